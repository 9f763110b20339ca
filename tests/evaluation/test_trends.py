import numpy as np
import pytest
from scipy import stats

from kerastag.evaluation.trends import rank_correlation


def test_value_is_spearmans():
    generator = np.random.default_rng(0)
    x = generator.normal(size=40)
    y = x + generator.normal(size=40)
    assert rank_correlation(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_interval_covers_two_thirds_of_the_time():
    """Spearman's ρ of normal numbers of correlation r is 6/π·asin(r/2)."""
    generator = np.random.default_rng(1)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)
    inside = 0
    for _ in range(400):
        x = generator.normal(size=50)
        interval = rank_correlation(x, 0.6 * x + 0.8 * generator.normal(size=50))
        inside += interval.low < truth < interval.high
    assert 0.62 < inside / 400 < 0.75


def test_no_trend_in_equal_values():
    assert rank_correlation(np.arange(10), np.ones(10)).value == 0
