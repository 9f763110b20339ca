import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from kerastag.evaluation.calibration import BINS, calibration, expected_calibration_error
from kerastag.flavours import FLAVOURS
from kerastag.metrics import Bootstrap


def jets(number=30_000, sharper=1.0):
    """Labels drawn from the softmax of logits; a factor makes them over- or under-confident."""
    generator = np.random.default_rng(0)
    logits = generator.normal(scale=2, size=(number, 3))
    p = softmax(logits, axis=1)
    label = (generator.random((number, 1)) > p.cumsum(axis=1)).sum(axis=1)
    return label, (sharper * logits).astype(np.float32)


def test_error_is_its_formula():
    confidence = np.array([0.55, 0.58, 0.9, 0.95])
    correct, weights = np.array([True, False, True, True]), np.array([1.0, 1, 2, 1])
    # two bins: |1 - 1.13| of weight 2, |3 - 2.75| of weight 3, over the sum of weights
    expected = (abs(1 - 1.13) + abs(3 - 2.75)) / 5
    assert expected_calibration_error(confidence, correct, weights, bins=4) == pytest.approx(expected)


def test_drawn_from_the_probabilities_means_calibrated():
    label, logits = jets()
    bootstrap = Bootstrap(np.arange(len(label)), 30)
    assert calibration(label, logits, bootstrap, FLAVOURS)["error"].value < 0.01
    assert calibration(label, jets(sharper=3)[1], bootstrap, FLAVOURS)["error"].value > 0.1


def test_curve_equals_scikit_learn():
    label, logits = jets(sharper=2)
    curve = calibration(label, logits, Bootstrap(np.arange(len(label)), 100), FLAVOURS)["curves"]["c"]
    observed, predicted = calibration_curve(label == 1, softmax(logits.astype(float), axis=1)[:, 1], n_bins=BINS)
    assert [row["observed"].value for row in curve] == pytest.approx(observed)
    assert [row["predicted"] for row in curve] == pytest.approx(predicted)
    shares, jets_of_bins = (np.array(values) for values in (observed, [row["jets"] for row in curve]))
    binomial = np.sqrt(shares * (1 - shares) / jets_of_bins)
    np.testing.assert_allclose([row["observed"].error for row in curve], binomial, rtol=0.35)


def test_bins_of_few_jets_are_left_out():
    label, logits = jets(300, sharper=3)
    curves = calibration(label, logits, Bootstrap(np.arange(300), 10), FLAVOURS)["curves"]
    assert all(row["jets"] >= 20 for rows in curves.values() for row in rows)
    assert sum(len(rows) for rows in curves.values()) < 3 * BINS
    few = calibration(label[:15], logits[:15], Bootstrap(np.arange(15), 10), FLAVOURS)
    assert not any(few["curves"].values()) and few["error"].value > 0
