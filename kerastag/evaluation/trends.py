"""Does a number rise with another? Rank correlations with intervals."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from kerastag.results import Interval, error_of_another_seed

# Fisher's z is infinite at ±1.
_LARGEST = 0.999999


def rank_correlation(at: np.ndarray, values: np.ndarray) -> Interval:
    """Spearman's ρ with its 68 % interval.

    The interval is that of Fisher's z with the variance (1 + ρ²/2)/(n - 3) of Bonett and Wright, Psychometrika 65 (2000) 23,
    for independent points. The epochs of a training are not independent, so theirs is too narrow.

    Args:
        at: `(points,)`.
        values: `(points,)`.
    """
    rho = float(stats.spearmanr(at, values).statistic) if np.ptp(values) else 0.0
    z = _z(rho)
    error = np.sqrt((1 + rho**2 / 2) / max(len(values) - 3, 1))
    return Interval(rho, float(np.tanh(z - error)), float(np.tanh(z + error)))


def correlation_at_95(correlation: Interval) -> Interval:
    """The 95 % interval of a rank correlation from that of `rank_correlation`, one σ of Fisher's z to each side."""
    z, low, high = (_z(number) for number in (correlation.value, correlation.low, correlation.high))
    error = stats.norm.ppf(0.975) * (high - low) / 2
    return Interval(correlation.value, float(np.tanh(z - error)), float(np.tanh(z + error)))


def correlation_of_seeds(correlations: Sequence[Interval]) -> Interval:
    """Mean rank correlation over seeds, and where that of one more seed lies with 95 %, both of Fisher's z.

    Unlike the interval of one seed, that of several does not take their points for independent.

    Args:
        correlations: That of each seed, of `rank_correlation`; the 95 % interval of a single one is its own.
    """
    if len(correlations) == 1:
        return correlation_at_95(correlations[0])
    z = [_z(correlation.value) for correlation in correlations]
    mean, error = float(np.mean(z)), error_of_another_seed(z)
    return Interval(float(np.tanh(mean)), float(np.tanh(mean - error)), float(np.tanh(mean + error)))


def _z(correlation: float) -> float:
    """Fisher's z."""
    return float(np.arctanh(np.clip(correlation, -_LARGEST, _LARGEST)))
