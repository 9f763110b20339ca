"""Does a number rise with another? Rank correlations with intervals."""

import numpy as np
from scipy import stats

from kerastag.results import Interval


def rank_correlation(at: np.ndarray, values: np.ndarray) -> Interval:
    """Spearman's ρ with its 68 % interval.

    The interval is that of Fisher's z with the variance (1 + ρ²/2)/(n - 3) of Bonett and Wright, Psychometrika 65 (2000) 23,
    for independent points. The epochs of a training are not independent, so theirs is too narrow.

    Args:
        at: `(points,)`.
        values: `(points,)`.
    """
    rho = float(stats.spearmanr(at, values).statistic) if np.ptp(values) else 0.0
    z = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    error = np.sqrt((1 + rho**2 / 2) / max(len(values) - 3, 1))
    return Interval(rho, float(np.tanh(z - error)), float(np.tanh(z + error)))


def correlation_at_95(correlation: Interval) -> Interval:
    """The 95 % interval of a rank correlation from that of `rank_correlation`, one σ of Fisher's z to each side."""
    z, low, high = np.arctanh(np.clip([correlation.value, correlation.low, correlation.high], -0.999999, 0.999999))
    error = stats.norm.ppf(0.975) * (high - low) / 2
    return Interval(correlation.value, float(np.tanh(z - error)), float(np.tanh(z + error)))
