"""Gradients that no precision of hidden layers loses, and that are those of a tape in float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, OBJECTIVES
from kerastag.attacks.gradients import gradient_in
from tests.toy import SCALE, toy_threat_model


def plain(tagger, x, y, training=False):
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = OBJECTIVES["cross_entropy"](y, tagger(x, training=training))
    return tape.gradient(loss, x).numpy()


def found(tagger, x, y, training=False, by_jet=True):
    loss = OBJECTIVES["cross_entropy"]
    return gradient_in(x, tagger, lambda x: tagger(x, training=training), lambda logits: loss(y, logits), by_jet)[1].numpy()


def network(dtype, size=1.0):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((20,))
    x = keras.layers.Dense(16, "elu", dtype=dtype)(keras.layers.Rescaling(1 / SCALE)(inputs))
    x = keras.layers.Dense(16, "elu", dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Rescaling(size)(keras.layers.Dense(3)(x)))


@pytest.mark.parametrize("size", [1.0, 20.0])
@pytest.mark.parametrize("by_jet", [True, False])
def test_in_float32_no_bit_changes(toy_jets, size, by_jet):
    x, y = toy_jets
    np.testing.assert_array_equal(found(network("float32", size), x, y, by_jet=by_jet), plain(network("float32", size), x, y))


def test_jets_that_see_each_other_have_one_factor(toy_jets, toy_tagger):
    """In training mode a batch normalisation takes its mean over the batch."""
    x, y = toy_jets
    keras.utils.set_random_seed(5)
    inputs = keras.Input((20,))
    tagger = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.BatchNormalization()(inputs)))
    np.testing.assert_array_equal(found(tagger, x, y, training=True, by_jet=False), plain(tagger, x, y, training=True))
    objective = FGSM(toy_threat_model()).bind(tagger, y, training=True)
    np.testing.assert_array_equal(objective.gradient(x)[1], plain(tagger, x, y, training=True))


def test_confident_jets_move_in_float16_as_in_float32(toy_jets):
    """With a plain tape they stay, and the tagger looks robust."""
    x, y = toy_jets
    exact, half = network("float32", 60.0), network("mixed_float16", 60.0)
    y = tf.one_hot(tf.argmax(exact(x), axis=-1), 3)
    wanted = np.sign(plain(exact, x, y))
    confident = (abs(plain(exact, x, y)) * SCALE).max(axis=1) < 1e-9
    confident &= (wanted != 0).all(axis=1)
    assert confident.sum() > 10
    lost = np.sign(plain(half, x, y))[confident]
    kept = np.sign(found(half, x, y))[confident]
    assert (lost == 0).mean() > 0.9
    assert (kept == wanted[confident]).mean() > 0.97


def test_a_jet_whose_loss_has_no_slope_has_no_gradient(toy_jets):
    for dtype in ("float32", "mixed_float16"):
        tagger = network(dtype)
        gradient = gradient_in(toy_jets[0], tagger, tagger, lambda logits: 0 * tf.reduce_sum(logits, axis=-1))[1]
        assert not gradient.numpy().any()


def test_steep_inputs_of_confident_jets_do_not_overflow_in_float32():
    """A factor would: the slope of the logit is nearly as large as numbers are."""
    inputs = keras.Input((1,))
    tagger = keras.Model(inputs, keras.layers.Concatenate()([keras.layers.Rescaling(1e37)(inputs), inputs, inputs]))
    x, y = tf.constant([[3e-36]]), tf.constant([[1.0, 0.0, 0.0]])
    gradient = found(tagger, x, y)
    np.testing.assert_array_equal(gradient, plain(tagger, x, y))
    assert np.isfinite(gradient).all() and gradient[0, 0] != 0
