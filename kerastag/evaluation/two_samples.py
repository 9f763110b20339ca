"""Tests of whether two independent samples come from the same distribution, up to a relative uncertainty.

The null hypothesis: one sample has the density of the other times a factor between 1 - u and 1 + u. A share F of a sample then
changes by at most u·min(F, 1 - F), and a cumulative distribution likewise. Only what exceeds this is compared with the
fluctuations of two samples, so p-values are upper limits for u > 0 and exact for u = 0.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import chi2, hypergeom, kstwobign, ncx2, norm

# Probability to call something visible that is not.
LEVEL = 0.05
# Samples of up to so many different values are permuted, first a few times, and often where few permutations are as extreme.
_FEW_VALUES = 200
_PERMUTATIONS, _MORE_PERMUTATIONS, _FEW_EXTREME = 499, 9_999, 10


def halves(events: np.ndarray, seed: int = 0) -> np.ndarray:
    """A random half of the jets, bool `(jets,)`: those to attack, so that the others are independent clean ones.

    Args:
        events: Number of the event of each jet, `(jets,)`; its jets stay together.
        seed: Seed of the draw.
    """
    return (np.random.default_rng(seed).permutation(int(events.max()) + 1) % 2 == 0)[events]


class Difference(NamedTuple):
    """How two samples differ.

    Attributes:
        distance: Kolmogorov-Smirnov distance, or difference of shares.
        excess: What of it the relative uncertainty does not allow.
        p: Probability of such an excess where there is no difference.
    """

    distance: float
    excess: float
    p: float


def compare_shapes(
    first: np.ndarray, second: np.ndarray, uncertainty: float = 0.0, generator: np.random.Generator | None = None
) -> Difference:
    """Kolmogorov-Smirnov test, unbinned.

    The p-value is asymptotic, which is an upper limit where values repeat. Where there are few different values, permutations
    make it exact.

    Args:
        first: Values of the first sample, `(jets,)`.
        second: Values of the second sample, `(jets,)`.
        uncertainty: Relative uncertainty u of the density.
        generator: Of the permutations; None for none.
    """
    if not len(first) or not len(second):
        return Difference(0.0, 0.0, 1.0)
    counts = _counts(first, second)
    distance, excess = _distances(counts, uncertainty)
    if excess == 0:
        return Difference(distance, excess, 1.0)
    p = float(kstwobign.sf(excess * np.sqrt(_effective(len(first), len(second)))))
    # The upper limit says more than the fewest permutations that can be as extreme.
    if generator is not None and counts.shape[1] <= _FEW_VALUES and p > 1 / _MORE_PERMUTATIONS:
        p = min(p, _permuted_p(counts, excess, generator))
    return Difference(distance, excess, p)


def _effective(first: float, second: float) -> float:
    """Number of jets that a comparison of two samples is worth."""
    return first * second / (first + second)


def shape_excess(first: np.ndarray, second: np.ndarray, uncertainty: float = 0.0) -> float:
    """Kolmogorov-Smirnov distance beyond what the uncertainty allows. Arguments as of `compare_shapes`."""
    return _distances(_counts(first, second), uncertainty)[1] if len(first) and len(second) else 0.0


def _counts(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How often each different value is in either sample, values in ascending order, `(2, values)`."""
    values = np.concatenate([first, second])
    order = np.argsort(values, kind="stable")
    values, is_first = values[order], order < len(first)
    ends = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    return np.stack([np.diff(np.cumsum(flag)[ends], prepend=0) for flag in (is_first, ~is_first)])


def _distances(counts: np.ndarray, uncertainty: float) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance, and what of it the uncertainty does not allow."""
    cumulative = np.cumsum(counts, axis=1)
    difference = np.abs(np.subtract(*(cumulative / cumulative[:, -1:])))
    pooled = cumulative.sum(axis=0) / cumulative[:, -1].sum()
    excess = difference - uncertainty * np.minimum(pooled, 1 - pooled)
    return float(difference.max()), float(max(excess.max(), 0.0))


def _permuted_p(counts: np.ndarray, excess: float, generator: np.random.Generator) -> float:
    """Share of the permutations of two samples that are as far apart as `excess`."""
    pooled, (first, second) = counts.sum(axis=0), counts.sum(axis=1)
    extreme = drawn = 0
    for number in (_PERMUTATIONS, _MORE_PERMUTATIONS - _PERMUTATIONS):
        if extreme >= _FEW_EXTREME:
            break
        cumulative = np.cumsum(generator.multivariate_hypergeometric(pooled, first, number), axis=1)
        distances = np.abs(cumulative / first - (np.cumsum(pooled) - cumulative) / second).max(axis=1)
        extreme += int((distances >= excess * (1 - 1e-9)).sum())
        drawn += number
    return (1 + extreme) / (1 + drawn)


def compare_shares(
    first: np.ndarray, of_first: int, second: np.ndarray, of_second: int, uncertainty: float = 0.0
) -> list[Difference]:
    """Test of two shares, several at once; p-values are exact, those of all permutations of the two samples.

    Args:
        first: Numbers of jets of the first sample that have something, `(values,)`.
        of_first: Number of jets of the first sample.
        second: As `first`, of the second sample.
        of_second: Number of jets of the second sample.
        uncertainty: Relative uncertainty u of the shares.
    """
    total, jets, effective = first + second, of_first + of_second, _effective(of_first, of_second)
    distance, excess = share_excess(first, of_first, second, of_second, uncertainty)
    # Numbers in the first sample at which the shares differ as much.
    high, low = ((total / of_second + sign * excess) * effective for sign in (1, -1))
    high, low = np.ceil(high - 1e-6), np.floor(low + 1e-6)
    p = hypergeom.sf(high - 1, jets, total, of_first) + hypergeom.cdf(low, jets, total, of_first)
    p = np.where(excess > 0, np.minimum(p, 1.0), 1.0)
    return [Difference(*map(float, values)) for values in zip(distance, excess, p, strict=True)]


def share_excess(
    first: np.ndarray, of_first: int, second: np.ndarray, of_second: int, uncertainty: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Differences of shares, and what of them the uncertainty does not allow. Arguments as of `compare_shares`."""
    pooled = (first + second) / (of_first + of_second)
    distance = np.abs(first / of_first - second / of_second)
    return distance, np.maximum(distance - uncertainty * np.minimum(pooled, 1 - pooled), 0.0)


def compare_spikes(first: np.ndarray, second: np.ndarray, uncertainty: float = 0.0) -> Difference:
    """χ² test of how often different values occur; each should be expected some ten times.

    Args:
        first: Numbers of jets of the first sample by value, `(values,)`.
        second: The same of the second sample.
        uncertainty: Relative uncertainty u of each share, which makes χ² non-central by u² for each effective jet.

    Returns:
        Half the sum of the differences of shares, χ² for each effective jet beyond what the uncertainty allows, and p.
    """
    effective, freedom = _effective(first.sum(), second.sum()), np.count_nonzero(first + second) - 1
    distance, chi2_per_jet = _spike_distances(first, second)
    if freedom < 1 or chi2_per_jet == 0:
        return Difference(distance, 0.0, 1.0)
    p = float(ncx2.sf(effective * chi2_per_jet, freedom, effective * uncertainty**2))
    return Difference(distance, max(chi2_per_jet - uncertainty**2, 0.0), p)


def spike_excess(first: np.ndarray, second: np.ndarray, uncertainty: float = 0.0) -> float:
    """χ² for each effective jet beyond what the uncertainty allows. Arguments as of `compare_spikes`."""
    return max(_spike_distances(first, second)[1] - uncertainty**2, 0.0)


def _spike_distances(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Half the sum of the differences of shares, and χ² for each effective jet."""
    pooled = (first + second) / (first.sum() + second.sum())
    difference = np.abs(first / first.sum() - second / second.sum())
    return float(difference.sum() / 2), float((difference**2 / np.where(pooled > 0, pooled, 1)).sum())


def holm(p: np.ndarray) -> np.ndarray:
    """p-values for the claim that any of many tests is significant, `(tests,)`; the method of Holm (1979)."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected


def jets_for_shape(excess: float, level: float) -> float:
    """Size of either sample at which a distance is as large as the threshold of the test, so that more than half show it.

    Args:
        excess: True distance beyond what the uncertainty allows.
        level: Probability of a false alarm.
    """
    return float(2 * (kstwobign.isf(level) / excess) ** 2) if excess > 0 else np.inf


def jets_for_share(excess: float, share: float, level: float) -> float:
    """Size of either sample at which a difference of shares shows.

    Args:
        excess: True difference beyond what the uncertainty allows.
        share: Mean of the shares.
        level: Probability of a false alarm.
    """
    return float(2 * share * (1 - share) * (norm.isf(level / 2) / excess) ** 2) if excess > 0 else np.inf


def jets_for_spikes(excess: float, values: int, level: float) -> float:
    """Size of either sample at which χ² shows.

    Args:
        excess: True χ² for each effective jet beyond what the uncertainty allows.
        values: Number of different values.
        level: Probability of a false alarm.
    """
    freedom = values - 1
    return float(2 * (chi2.isf(level, freedom) - freedom) / excess) if excess > 0 else np.inf
