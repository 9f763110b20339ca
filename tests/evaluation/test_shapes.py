import numpy as np
import pytest

from kerastag.evaluation.histograms import chi2_per_ndf, counts, edges_of, histograms
from kerastag.evaluation.shapes import as_drawn, normality, one_of_each_variable
from tests.toy import TOY, toy_threat_model


@pytest.fixture(scope="module")
def jets():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4000, 20)).astype(np.float32)
    x[:, TOY.integer] = np.rint(2 * x[:, TOY.integer])
    return np.where(generator.random(x.shape) < 0.1, TOY.defaults, x), np.arange(4000) % 3, generator.uniform(0.5, 2, 4000)


def test_whole_numbers_have_unit_bins():
    values = np.array([0, 1, 1, 2, 7] * 100)
    edges = edges_of(TOY.features[TOY.index("n")], values)
    np.testing.assert_array_equal(edges, np.arange(9) - 0.5)
    np.testing.assert_array_equal(counts(values, edges, np.ones(500)), [100, 200, 100, 0, 0, 0, 0, 100])


def test_outer_bins_hold_what_lies_beyond():
    edges = np.linspace(0, 1, 5)
    np.testing.assert_array_equal(counts(np.array([-3, 0.1, 0.6, 9, 9]), edges, np.arange(1, 6)), [3, 0, 3, 9])


def test_histograms_hold_every_present_jet_of_its_flavour(jets):
    x, label, weights = jets
    found = histograms(TOY, "track_0_d0", x, {"a": x + 0.01}, label, weights)
    here = x[:, TOY.index("track_0_d0")] != TOY.defaults[TOY.index("track_0_d0")]
    for number, flavour in enumerate(TOY.class_names):
        own = weights[here & (label == number)].sum()
        assert sum(found["clean"][flavour]) == pytest.approx(own)
        assert sum(found["attacked"]["a"][flavour]) == pytest.approx(own)
    assert sum(found["variance"]) == pytest.approx((weights[here] ** 2).sum())
    assert found["absent"] == pytest.approx(weights[~here].sum() / weights.sum())


def test_chi2_is_its_formula():
    clean, attacked = np.array([100.0, 50, 0, 0]), np.array([90.0, 55, 5, 0])
    variance = np.array([100.0, 50, 0, 0])
    expected = (10**2 / (20**2 + 100) + 5**2 / (10**2 + 50) + 5**2 / 1) / 2  # an empty bin has the variance of one jet
    assert chi2_per_ndf(clean, attacked, variance, 0.2) == pytest.approx(expected)


def test_chi2_does_not_depend_on_the_scale_of_weights():
    generator = np.random.default_rng(1)
    clean, attacked = generator.integers(1, 50, (2, 20)).astype(float)
    once = chi2_per_ndf(clean, attacked, clean, 0.1)
    assert chi2_per_ndf(3 * clean, 3 * attacked, 9 * clean, 0.1) == pytest.approx(once)


def test_a_shift_of_everything_shows_and_one_that_changes_nothing_does_not(jets):
    x, _, weights = jets
    moved = x.copy()
    column, other = TOY.index("track_0_d0"), TOY.index("vertex_mass")
    here = x[:, column] != TOY.defaults[column]
    moved[here, column] += 1
    rows = np.flatnonzero(x[:, other] != TOY.defaults[other])
    moved[rows, other] = np.roll(x[rows, other], 1)  # every jet another value, the distribution the same
    chi2, divergence = as_drawn(TOY, x, moved, np.ones(len(x)), 0.2)
    assert chi2[column] > 5 and divergence[column] > 0.05
    assert chi2[other] == 0 and divergence[other] < 1e-12
    answer = normality(TOY, x, moved, weights, toy_threat_model(), 0.2)
    assert answer["moving"] == 2 and answer["normal_in_fine_bins"] == 1
    assert {row["feature"] for row in answer["features"]} == {"track_0_d0", "vertex_mass"}
    assert answer["largest_change_of_correlation"] > 0.005


def test_one_slot_of_each_variable_is_chosen():
    importance = np.zeros(20)
    for name, value in {"track_2_d0": 5, "track_0_d0": 4, "track_1_phi": 3, "eta": 2, "pt": np.nan}.items():
        importance[TOY.index(name)] = value
    assert one_of_each_variable(TOY, importance, 10) == ["track_2_d0", "track_1_phi", "eta"]
    assert one_of_each_variable(TOY, importance, 1) == ["track_2_d0"]
