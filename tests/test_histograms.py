import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from kerastag.histograms import (
    chi2_per_ndf,
    counts,
    difference,
    edges_of,
    histogram,
    histograms,
    squared_error,
)
from tests.toy import TOY


def test_whole_numbers_have_unit_bins():
    values = np.array([0, 1, 1, 2, 7] * 100)
    edges = edges_of(TOY.features[TOY.index("n")], values)
    np.testing.assert_array_equal(edges, np.arange(9) - 0.5)
    np.testing.assert_array_equal(counts(values, edges), [100, 200, 100, 0, 0, 0, 0, 100])


def test_outer_bins_hold_what_lies_beyond():
    edges = np.linspace(0, 1, 5)
    np.testing.assert_array_equal(counts(np.array([-3, 0.1, 0.6, 9, 9]), edges, np.arange(1, 6)), [3, 0, 3, 9])
    np.testing.assert_array_equal(counts(np.array([-1, 0.5, 2]), np.array([0.0, 1.0])), [3])


def test_a_histogram_equals_numpys():
    generator = np.random.default_rng(0)
    values, weights = generator.normal(size=5000).astype(np.float32), generator.uniform(0.5, 2, 5000)
    edges = np.linspace(-2, 2, 21)
    filled = histogram(values, edges, weights)
    for content, power in ((filled.sums, 1), (filled.variances, 2)):
        expected, _ = np.histogram(np.clip(values, -2, 2), edges, weights=weights**power)
        np.testing.assert_allclose(content, expected, rtol=1e-10)


def test_histograms_hold_every_present_jet_of_its_flavour(toy_jets):
    x, label = toy_jets[0].numpy(), toy_jets[1].numpy().argmax(axis=1)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(x))
    shapes = histograms(TOY, "track_0_d0", x, {"a": x + 0.01}, label, weights)
    present = x[:, TOY.index("track_0_d0")] != TOY.defaults[TOY.index("track_0_d0")]
    for number, flavour in enumerate(TOY.class_names):
        expected = weights[present & (label == number)].sum()
        assert sum(shapes["clean"][flavour]) == pytest.approx(expected)
        assert sum(shapes["attacked"]["a"][flavour]) == pytest.approx(expected)
    assert sum(shapes["variance"]) == pytest.approx((weights[present] ** 2).sum())
    assert shapes["absent"] == pytest.approx(weights[~present].sum() / weights.sum())


def test_chi2_is_its_formula():
    clean, attacked = np.array([100.0, 50, 0, 0]), np.array([90.0, 55, 5, 0])
    terms = 10**2 / (20**2 + 100) + 5**2 / (10**2 + 50) + 5**2 / 1  # an empty bin has the variance of a jet
    assert chi2_per_ndf(clean, attacked, clean, 0.2) == pytest.approx(terms / 2)
    np.testing.assert_allclose(squared_error(clean, clean, 0.2), [20**2 + 100, 10**2 + 50, 1, 1])


def test_chi2_does_not_depend_on_the_scale_of_weights():
    clean, attacked = np.random.default_rng(1).integers(1, 50, (2, 20)).astype(float)
    once = chi2_per_ndf(clean, attacked, clean, 0.1)
    assert chi2_per_ndf(3 * clean, 3 * attacked, 9 * clean, 0.1) == pytest.approx(once)


def test_empty_histograms_do_not_differ():
    assert chi2_per_ndf(np.zeros(3), np.zeros(3), np.zeros(3), 0.0) == 0


def test_difference_is_that_of_the_filled_histograms():
    generator = np.random.default_rng(2)
    clean = generator.normal(size=500)
    moved, weights, edges = clean + 0.3, generator.uniform(0.5, 2, 500), np.linspace(-2, 2, 11)
    before, after, variance = counts(clean, edges, weights), counts(moved, edges, weights), counts(clean, edges, weights**2)
    chi2, divergence = difference(clean, moved, edges, 0.1, weights)
    assert chi2 == pytest.approx(chi2_per_ndf(before, after, variance, 0.1))
    assert divergence == pytest.approx(jensenshannon(before, after, base=2) ** 2)
