import functools
import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.layers.preprocessing import PresenceFlags, Standardize, symlog
from kerastag.schema import DEEPNTUPLE, JET_FLAVOR
from kerastag.statistics import Moments, Statistics
from kerastag.training.unlabelled import reversed_gradient


def test_each_of_the_184_inputs_comes_out_with_unit_sigma(dataset):
    x = dataset.arrays("train").features
    schema, statistics = dataset.schema, dataset.statistics
    z = Standardize(statistics.mean, statistics.sigma, schema.defaults)(x).numpy().astype(np.float64)
    present = x != schema.defaults
    assert (statistics.sigma < 1e-7).sum() >= 20  # where keras.layers.Normalization fails
    for column, name in enumerate(schema.names):
        values = z[present[:, column], column]
        assert values.std() == pytest.approx(1, abs=1e-4), name
        assert values.mean() == pytest.approx(0, abs=1e-3), name


def test_absent_cells_become_zero_after_scaling_or_stay(random_deepntuple):
    x = random_deepntuple
    mean, sigma = np.full(x.shape[1], 3.0), np.full(x.shape[1], 2.0)
    absent = x == DEEPNTUPLE.defaults
    zeroed = Standardize(mean, sigma, DEEPNTUPLE.defaults)(x).numpy()
    assert (zeroed[absent] == 0).all()
    np.testing.assert_allclose(zeroed[~absent], (x[~absent] - 3) / 2, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(Standardize(mean, sigma)(x).numpy(), (x - 3) / 2, rtol=1e-6, atol=1e-6)


def test_feature_without_spread_is_refused_by_name():
    sigma = np.ones(184)
    sigma[20] = 0
    with pytest.raises(UserError, match="track_4_D0"):
        Standardize(np.zeros(184), sigma, names=JET_FLAVOR.names)


def test_flags_are_those_of_the_objects_of_a_jet(random_deepntuple):
    x = random_deepntuple.copy()
    track_0, vertex_1 = DEEPNTUPLE.optional_objects[0], DEEPNTUPLE.optional_objects[-1]
    x[:10, list(track_0)] = DEEPNTUPLE.defaults[list(track_0)]
    x[5:20, list(vertex_1)] = DEEPNTUPLE.defaults[list(vertex_1)]
    flags = PresenceFlags(DEEPNTUPLE.optional_objects, DEEPNTUPLE.defaults)(x).numpy()
    assert flags.shape == (200, 10)
    assert flags[:20, 0].tolist() == [0.0] * 10 + [1.0] * 10
    assert flags[:20, -1].tolist() == [1.0] * 5 + [0.0] * 15


def test_layers_survive_saving_exactly(dataset, tmp_path, jets):
    inputs = keras.Input((184,))
    outputs = keras.layers.Concatenate()(
        [
            Standardize.robust(dataset.schema, dataset.statistics)(inputs),
            PresenceFlags(dataset.schema.optional_objects, dataset.schema.defaults)(inputs),
        ]
    )
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(jets[0]), model(jets[0]))


def test_moments_in_chunks_equal_those_at_once_far_from_zero():
    x = np.random.default_rng(0).normal(1e4, 0.1, (5000, 2)).astype(np.float32)
    x[::3, 0] = -1
    moments = Moments(np.array([-1, -1], np.float32))
    for chunk in np.array_split(x, 7):
        moments.update(chunk)
    statistics = Statistics.of(x, np.array([-1, -1], np.float32))
    np.testing.assert_allclose(moments.sigma, statistics.sigma, rtol=1e-9)
    assert moments.sigma[1] == pytest.approx(x[:, 1].astype(np.float64).std(), rel=1e-9)


@pytest.mark.parametrize(
    "function", [symlog, functools.partial(reversed_gradient, factor=2.0)], ids=["symlog", "reversed gradient"]
)
def test_graphs_with_a_gradient_of_their_own_are_forgotten(function):
    """TensorFlow's registry of gradients would keep them for ever."""

    @tf.function
    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    slope(tf.zeros((3, 2)))  # the function itself is traced once
    graph = weakref.ref(slope.get_concrete_function(tf.TensorSpec((5, 2))).graph)
    del slope
    gc.collect()
    assert graph() is None


def test_symlog_and_its_slope_in_closed_form():
    z = np.concatenate([-np.logspace(30, -30, 61), [0.0], np.logspace(-30, 30, 61)]).astype(np.float32)
    x = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = symlog(x)
    np.testing.assert_allclose(value, np.sign(z) * np.log1p(abs(z.astype(np.float64))), rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(value, x), 1 / (1 + abs(z.astype(np.float64))), rtol=1e-6)


def test_cells_at_the_median_have_a_gradient(dataset):
    layer = Standardize.robust(dataset.schema, dataset.statistics)
    x = tf.constant(dataset.statistics.median.astype(np.float32)[None])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = layer(x)
    present = dataset.statistics.median.astype(np.float32) != dataset.schema.defaults
    assert (tape.gradient(value, x).numpy()[0, present] > 0).all()
