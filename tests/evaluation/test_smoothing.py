"""Smoothed decisions of a linear tagger, of which everything is known."""

import keras
import numpy as np
import pytest
from scipy import stats

from kerastag.evaluation.smoothing import smooth, smoothed_rows
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap
from kerastag.tables import where
from tests.models import checks
from tests.toy import SCALE, TOY, toy_threat_model


def linear(direction):
    """logit b - logit light = direction·x/scale."""
    inputs = keras.Input((20,))
    layer = keras.layers.Dense(3, use_bias=False)
    model = keras.Model(inputs, layer(keras.layers.Rescaling(1 / SCALE)(inputs)))
    layer.set_weights([np.stack([direction, 0 * direction, 0 * direction], axis=1).astype(np.float32)])
    return model


def test_the_radius_is_the_distance_to_the_plane_less_what_the_draws_leave_open():
    x = checks.made_up(TOY, jets=60)
    threat_model = toy_threat_model(0.1, bounds=True)
    direction = np.random.default_rng(1).normal(size=20)
    free = np.asarray(threat_model.budget(x)) > 0
    values = (x / SCALE) @ direction
    # What moves decides how far the plane is; what stays only shifts it.
    slope = np.sqrt((free * direction**2).sum(axis=1))
    cut = float(np.median(values))
    jets = Jets(x, np.arange(60) % 3, {}, 3)
    (found,) = smooth(linear(direction), jets, threat_model, TOY.main, [cut], noise=0.5, draws=2_000)
    distance = np.abs(values - cut) / slope
    clear = distance > 0.1
    assert clear.sum() > 40 and (found.tagged == (values > cut))[clear].all()
    expected = stats.norm.cdf(distance / 0.5)
    width = 4.5 * np.sqrt(expected * (1 - expected) / 2_000) + 7 / 2_000
    lowest = 0.5 * stats.norm.ppf(np.clip(expected - 2 * width, 1e-9, 1))
    assert (found.radius <= distance).all(), "a certificate beyond the plane"
    assert (found.radius >= np.maximum(lowest, 0) - 1e-9).all()
    assert found.surely_tagged(0.0).sum() + found.surely_rejected(0.0).sum() == (found.radius > 0).sum()
    assert found.surely_tagged(0.3).sum() < found.surely_tagged(0.1).sum()


def test_what_cannot_move_has_no_noise_and_the_seed_decides_the_rest():
    x = checks.made_up(TOY, jets=10)
    x[0] = TOY.defaults
    jets = Jets(x, np.arange(10) % 3, {}, 3)
    (first,), (again,), (other,) = (
        smooth(linear(np.ones(20)), jets, toy_threat_model(), TOY.main, [0.0], noise=1.0, draws=50, seed=seed)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.radius, again.radius)
    assert (first.radius[1:] != other.radius[1:]).any()
    assert first.radius[0] == max(first.radius)


def test_rates_at_most_rise_and_rates_at_least_fall_with_the_length():
    """Of light jets all count that a change could push over the threshold, so never fewer than lie above it."""
    x, label = checks.made_up(TOY, jets=900), np.arange(900) % 3
    jets, direction = Jets(x, label, {}, 3), np.random.default_rng(1).normal(size=20)
    bootstrap = Bootstrap(np.arange(900), 5)
    rows = smoothed_rows({"linear": linear(direction)}, jets, toy_threat_model(0.1, bounds=True), TOY.main, 0.5, bootstrap)
    values = (x / SCALE) @ direction
    for working_point, passing in ((0.1, 30), (0.01, 3)):  # of 300
        of_point = where(rows, working_point=working_point)
        rates = {flavour: [row["tagged"][flavour].value for row in of_point] for flavour in ("b", "light")}
        assert [row["radius"] for row in of_point] == [0, 0.25, 0.5, 1]
        assert rates["b"] == sorted(rates["b"], reverse=True) and rates["b"][0] > rates["b"][-1]
        assert rates["light"] == sorted(rates["light"]) and rates["light"][0] < rates["light"][-1]
        cut = np.sort(values[label == 2])[::-1][passing - 1]
        assert rates["light"][0] >= (values[label == 2] > cut).mean() == pytest.approx((passing - 1) / 300)
        assert rates["b"][0] <= (values[label == 0] > cut).mean() + 0.02  # a draw of most may lie above a cut just missed
