import numpy as np
import pytest
from scipy import stats

from kerastag.evaluation.trends import correlation_at_95, rank_correlation


def test_value_is_spearmans():
    generator = np.random.default_rng(0)
    x = generator.normal(size=40)
    y = x + generator.normal(size=40)
    assert rank_correlation(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Spearman's ρ of normal numbers of correlation r is 6/π·asin(r/2)."""
    generator = np.random.default_rng(1)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)
    inside = np.zeros(2)
    for _ in range(400):
        x = generator.normal(size=50)
        interval = rank_correlation(x, 0.6 * x + 0.8 * generator.normal(size=50))
        wide = correlation_at_95(interval)
        inside += np.array([interval.low < truth < interval.high, wide.low < truth < wide.high])
    assert 0.62 < inside[0] / 400 < 0.75
    assert inside[1] / 400 == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 400))


def test_95_percent_stay_within_one():
    """At seven points the interval of a normal distribution would go beyond 1."""
    wide = correlation_at_95(rank_correlation(np.arange(7), np.array([0, 3, 1, 2, 6, 4, 5])))
    z, error = np.arctanh(wide.value), 1.96 * np.sqrt((1 + wide.value**2 / 2) / 4)
    assert (wide.low, wide.high) == pytest.approx((np.tanh(z - error), np.tanh(z + error)), abs=1e-3)


def test_no_trend_in_equal_values():
    assert rank_correlation(np.arange(10), np.ones(10)).value == 0


@pytest.mark.parametrize("points", (3, 4, 5))
def test_few_points_have_the_error_of_their_number(points):
    """Of Fisher's z, √((1 + ρ²/2)/(n - 3)); three points count as four."""
    y = np.append(np.arange(points - 2), [points - 1, points - 2])
    rho = stats.spearmanr(np.arange(points), y).statistic
    error = np.sqrt((1 + rho**2 / 2) / max(points - 3, 1))
    interval = rank_correlation(np.arange(points), y)
    np.testing.assert_allclose(np.arctanh([interval.low, interval.high]), np.arctanh(rho) + np.array([-error, error]))
