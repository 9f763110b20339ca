"""Training on certified losses: the loss against NumPy, and what training on it does to certificates."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import Physics, ThreatModel
from kerastag.bounds import worst_logits
from kerastag.errors import UserError
from kerastag.schema import JET_FLAVOR
from kerastag.training import AdversarialTagger, BoundedLoss, Ramp
from tests.toy import SCALE, toy_threat_model

SIZE = 0.1


def network(hidden=()):
    keras.utils.set_random_seed(8)
    inputs = keras.Input((20,))
    x = keras.layers.Rescaling(1 / SCALE)(inputs)
    for width in hidden:
        x = keras.layers.Dense(width, "relu")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def compiled(tagger, size=SIZE, **options):
    model = AdversarialTagger(tagger, defense=BoundedLoss(toy_threat_model(size), **options))
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize("method", ["crown", "interval"])
def test_the_loss_of_a_linear_tagger_is_that_of_the_worst_corner_for_each_class(toy_jets, method):
    tagger = network()
    x, y = toy_jets
    kernel, bias = tagger.layers[-1].get_weights()
    budget = np.asarray(toy_threat_model(SIZE).budget(x))
    logits = x.numpy() / SCALE @ kernel + bias
    label = y.numpy().argmax(axis=1)
    slopes = kernel[:, None, :] - kernel[:, label, None]  # (features, jets, classes): of each logit against the truth
    reach = np.einsum("jf,fjc->jc", budget / SCALE, abs(slopes))
    worst = logits - logits[np.arange(len(label)), label][:, None] + reach
    weights = np.random.default_rng(1).uniform(0.5, 2, len(label)).astype(np.float32)
    expected = (weights * np.log(np.exp(worst).sum(axis=1))).mean()
    clean = (weights * keras.losses.categorical_crossentropy(y, logits, from_logits=True).numpy()).mean()
    model = compiled(tagger, method=method, weight=0.25)
    found = model.compute_loss(x, y, tagger(x), tf.constant(weights))
    np.testing.assert_allclose(found, 0.75 * clean + 0.25 * expected, rtol=1e-5)


def test_training_on_it_narrows_what_attacks_can_do(toy_jets):
    x, y = toy_jets
    low, high = toy_threat_model(1.0).box(x, y).ends

    def certified(tagger):
        return keras.losses.categorical_crossentropy(y, worst_logits(tagger, low, high, y), from_logits=True).numpy().mean()

    taggers = []
    for options in ({"weight": 0.0}, {"method": "interval"}, {"method": "crown"}):
        tagger = network((16, 16))
        compiled(tagger, 1.0, **options).fit(x, y, batch_size=50, epochs=15, verbose=0)
        taggers.append(certified(tagger))
    assert max(taggers[1:]) < 0.7 * taggers[0], taggers


def test_the_box_rises_with_the_ramp_and_the_config_comes_back(toy_jets):
    x, y = toy_jets
    defense = BoundedLoss(toy_threat_model(SIZE), "crown", 0.5, Ramp(2, 2))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(defense))
    assert again.get_config() == defense.get_config()
    tagger = network((8,))
    losses = []
    for step in (0, 2, 3):
        again.batch(tagger, x, y, None, tf.constant(step))
        losses.append(float(again.loss(tagger, lambda *_: tf.constant(0.0), x, y, tagger(x), None)))
    clean = keras.losses.categorical_crossentropy(y, tagger(x), from_logits=True).numpy().mean()
    assert losses[0] == pytest.approx(0.5 * clean, rel=1e-5) and losses[0] < losses[1] < losses[2]


def test_mistakes_are_said():
    with pytest.raises(UserError, match="no method 'ibp'; choose one of crown, interval"):
        BoundedLoss(toy_threat_model(), "ibp")
    with pytest.raises(UserError, match="must lie between 0 and 1"):
        BoundedLoss(toy_threat_model(), weight=2.0)
    tied, untied = (
        ThreatModel.from_schema(JET_FLAVOR, np.ones(184), physics=Physics(untied=untied), only=("track_*",))
        for untied in (False, True)
    )
    BoundedLoss(untied)
    with pytest.raises(UserError, match="a box that ε limits in every cell"):
        BoundedLoss(tied)
