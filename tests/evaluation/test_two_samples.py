"""Two-sample tests against SciPy, closed forms and toys."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp, norm

from kerastag.evaluation import two_samples

LEVEL = 0.05


def generator(seed=0):
    return np.random.default_rng(seed)


def test_shapes_are_compared_as_by_scipy():
    draw = generator()
    for shift in (0.0, 0.1, 0.3):
        first, second = draw.normal(size=900), draw.normal(shift, size=1400)
        expected = ks_2samp(first, second, method="exact")
        difference = two_samples.compare_shapes(first, second)
        assert difference.distance == difference.excess == pytest.approx(expected.statistic)
        assert expected.pvalue <= difference.p * 1.01
        assert np.log(difference.p) == pytest.approx(np.log(expected.pvalue), rel=0.1, abs=0.1)


def test_repeated_values_are_permuted_and_the_asymptotic_p_is_their_upper_limit():
    draw = generator(1)
    first, second = draw.integers(0, 4, 300), draw.integers(0, 4, 200)
    exact = two_samples.compare_shapes(first, second, generator=draw)
    limit = two_samples.compare_shapes(first, second)
    distances = [
        ks_2samp(permuted[:300], permuted[300:], method="asymp").statistic
        for permuted in (draw.permutation(np.concatenate([first, second])) for _ in range(2000))
    ]
    assert exact.p == pytest.approx(np.mean(np.array(distances) >= exact.distance - 1e-12), abs=0.05)
    assert exact.p < limit.p


class Balanced:
    """Draws of which none is extreme: each sample has half of every value."""

    def multivariate_hypergeometric(self, pooled, first, number):
        return np.tile(pooled // 2, (number, 1))


def test_no_permutation_that_is_as_extreme_makes_p_one_in_all_permutations_and_the_samples():
    """(1 + 0)/(1 + 9,999), never 0: Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39."""
    first, second = np.repeat([0, 1], [60, 40]), np.repeat([0, 1], [40, 60])
    assert two_samples.compare_shapes(first, second, generator=Balanced()).p == 1e-4


def test_few_values_give_no_alarm():
    assert two_samples.compare_shapes(np.array([1.0]), np.array([2.0, 3.0]), generator=generator()).p > 0.3
    assert two_samples.compare_shapes(np.array([1.0]), np.array([2.0, 3.0])).p > 0.3
    assert two_samples.compare_shapes(np.array([]), np.array([1.0])).p == 1


def test_shares_are_compared_as_by_fisher():
    # As many jets on both sides make the exact test symmetric: by difference and by probability are the same.
    first, second = np.array([3, 40, 100]), np.array([12, 42, 60])
    for difference, a, b in zip(two_samples.compare_shares(first, 500, second, 500), first, second, strict=True):
        assert difference.distance == pytest.approx(abs(a - b) / 500)
        assert difference.p == pytest.approx(fisher_exact([[a, b], [500 - a, 500 - b]]).pvalue, rel=1e-6)


def test_spikes_are_compared_as_in_a_contingency_table():
    first, second = np.array([30, 50, 20, 400]), np.array([45, 30, 25, 700])
    expected = chi2_contingency([first, second], correction=False)
    difference = two_samples.compare_spikes(first, second)
    assert difference.p == pytest.approx(expected.pvalue)
    chi2_per_jet = expected.statistic * (1 / 500 + 1 / 800)
    assert difference.excess == pytest.approx(chi2_per_jet)
    assert two_samples.compare_spikes(first, second, 0.1).excess == pytest.approx(chi2_per_jet - 0.01)


@pytest.mark.parametrize("uncertainty", [0.0, 0.2])
def test_alarms_are_rare_where_the_null_hypothesis_holds(uncertainty):
    """For u > 0 at its very edge: half of the values are 20 % too frequent, the others 20 % too rare."""
    draw, alarms = generator(2), {"shape": 0, "table": 0, "share": 0, "spikes": 0}
    toys, jets, edge = 600, 1500, (1 + uncertainty) / 2
    for _ in range(toys):
        first, second = draw.random(jets), draw.random(jets)
        first = np.where(draw.random(jets) < edge, first / 2, (1 + first) / 2)
        table = [np.floor(4 * values) for values in (first, second)]
        counts = [np.bincount(values.astype(int), minlength=4) for values in table]
        shares = two_samples.compare_shares(*(x for side in counts for x in (side[:2].sum()[None], jets)), uncertainty)
        alarms["shape"] += two_samples.compare_shapes(first, second, uncertainty).p < LEVEL
        alarms["table"] += two_samples.compare_shapes(*table, uncertainty, draw).p < LEVEL
        alarms["share"] += shares[0].p < LEVEL
        alarms["spikes"] += two_samples.compare_spikes(*counts, uncertainty).p < LEVEL
    for number in alarms.values():
        assert number <= toys * LEVEL + 3 * np.sqrt(toys * LEVEL)
    assert min(alarms["shape"], alarms["spikes"]) > 0, "tests that never speak"


def test_more_than_the_uncertainty_is_found():
    draw, jets = generator(3), 20_000
    first, second = draw.random(jets), draw.random(jets)
    first = np.where(draw.random(jets) < 0.6, first / 2, (1 + first) / 2)  # 20 % more in the lower half
    assert two_samples.compare_shapes(first, second, 0.1).p < 1e-6
    assert two_samples.compare_shapes(first, second, 0.3).p == 1


def test_family_wise_correction():
    np.testing.assert_allclose(two_samples.holm(np.array([0.04, 0.01, 0.03, 0.005])), [0.06, 0.03, 0.06, 0.02])
    assert two_samples.holm(np.array([0.9, 0.8])).max() == 1
    draw = generator(4)
    families = draw.random((4000, 50))
    alarms = np.mean([two_samples.holm(p).min() < LEVEL for p in families])
    assert alarms == pytest.approx(LEVEL, abs=0.012)


@pytest.mark.parametrize("level", [0.05, 1e-3])
def test_most_toys_show_a_shift_at_the_number_of_jets_that_is_told(level):
    shift = 0.1
    jets = two_samples.jets_for_shape(2 * norm.cdf(shift / 2) - 1, level)
    draw = generator(5)

    def share_seen(factor):
        size = int(factor * jets)
        return np.mean(
            [two_samples.compare_shapes(draw.normal(shift, size=size), draw.normal(size=size)).p < level for _ in range(150)]
        )

    assert share_seen(0.3) < 0.5 < share_seen(1) < 0.9


def test_number_of_jets_for_shares_and_spikes():
    draw, toys = generator(6), 2000
    jets = int(two_samples.jets_for_share(0.02, 0.31, LEVEL))
    counts = draw.binomial(jets, 0.32, toys), draw.binomial(jets, 0.30, toys)
    shares = two_samples.compare_shares(counts[0], jets, counts[1], jets)
    assert np.mean([difference.p < LEVEL for difference in shares]) == pytest.approx(0.5, abs=0.05)

    true = np.array([0.2, 0.3, 0.5]), np.array([0.22, 0.3, 0.48])
    jets = int(two_samples.jets_for_spikes(two_samples.spike_excess(*true), 3, LEVEL))
    tables = zip(draw.multinomial(jets, true[0], toys), draw.multinomial(jets, true[1], toys), strict=True)
    seen = np.mean([two_samples.compare_spikes(*table).p < LEVEL for table in tables])
    assert seen == pytest.approx(0.5, abs=0.12)

    assert two_samples.jets_for_shape(0.0, LEVEL) == np.inf
