"""Are probabilities what they say? Reliability curves and expected calibration error.

Reference: Guo et al., arXiv:1706.04599, section 2.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from kerastag.metrics import MINIMUM_MISTAGGED, Bootstrap
from kerastag.results import Interval

BINS = 15


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray, bins: int = BINS) -> float:
    """Mean over jets of |share correct - mean confidence| in bins of equal width; equation (3) there.

    Args:
        confidence: Probability of the predicted flavour, `(jets,)`.
        correct: Whether it is the true one, `(jets,)`.
        weights: `(jets,)`.
        bins: Number of bins.
    """
    index = _bin_numbers(confidence, bins)
    return float(np.abs(np.bincount(index, weights * (correct - confidence), bins)).sum() / weights.sum())


def calibration(label: np.ndarray, logits: np.ndarray, bootstrap: Bootstrap, class_names: Sequence[str]) -> dict[str, Any]:
    """Reliability of each flavour's probability, and the expected calibration error of the predicted flavour.

    Args:
        label: Class indices `(jets,)`.
        logits: `(jets, classes)`.
        bootstrap: Resamples for the intervals, and the weights.
        class_names: Names of the classes, in the order of the logits.

    Returns:
        `error`, an interval; and `curves[flavour]`, rows of `predicted` (mean probability), `observed` (share of the flavour,
        an interval) and number of `jets`, for bins that hold at least 20. The error is bounded by 0, so in small samples
        resampling pushes it up and the value may lie below its interval.
    """
    probabilities = softmax(logits.astype(np.float64), axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == label
    error = bootstrap.resample(lambda weights: expected_calibration_error(confidence, correct, weights))
    curves = {name: _curve(probabilities[:, number], label == number, bootstrap) for number, name in enumerate(class_names)}
    return {"error": error.interval, "curves": curves}


def _curve(probability: np.ndarray, is_flavour: np.ndarray, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """Rows of the bins of a flavour's probability `(jets,)`."""
    index = _bin_numbers(probability, BINS)

    def shares(weights: np.ndarray) -> np.ndarray:
        total = np.bincount(index, weights, BINS)
        return np.bincount(index, weights * is_flavour, BINS) / np.where(total > 0, total, np.nan)

    jets, weights = np.bincount(index, minlength=BINS), bootstrap.weights
    predicted = np.bincount(index, weights * probability, BINS) / np.maximum(np.bincount(index, weights, BINS), 1e-30)
    observed, resampled = shares(weights), bootstrap.values(shares)
    return [
        {
            "predicted": float(predicted[row]),
            "observed": Interval.of(observed[row], resampled[:, row]),
            "jets": int(jets[row]),
        }
        for row in np.flatnonzero(jets >= MINIMUM_MISTAGGED)
    ]


def _bin_numbers(values: np.ndarray, bins: int) -> np.ndarray:
    """Number of the bin, of equal width in [0, 1], of each value; int64 `(jets,)`."""
    return np.minimum((values * bins).astype(int), bins - 1)
