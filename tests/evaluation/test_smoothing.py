"""Smoothed decisions of a linear tagger, of which everything is known."""

import keras
import numpy as np
from scipy import stats

from kerastag.evaluation.smoothing import smooth
from kerastag.jets import Jets
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
    found = smooth(linear(direction), Jets(x, np.arange(60) % 3, {}, 3), threat_model, TOY.main, cut, noise=0.5, draws=2_000)
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
    first, again, other = (
        smooth(linear(np.ones(20)), jets, toy_threat_model(), TOY.main, 0.0, noise=1.0, draws=50, seed=seed)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.radius, again.radius)
    assert (first.radius[1:] != other.radius[1:]).any()
    assert first.radius[0] == max(first.radius)
