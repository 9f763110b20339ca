"""Attacks on the discriminators of a schema, whatever its classes are."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, NGM, PGD, ThreatModel
from kerastag.errors import UserError
from kerastag.metrics import DISCRIMINATORS
from kerastag.schema import Discriminator, FlavourClass
from tests.toy import SCALE, TOY

CLASSES = {name: FlavourClass(name, name, name, "black") for name in ("tau", "light", "c", "gluon", "b")}
RATIO = Discriminator("ratio", (("b", 1.0), ("tau", 2.0)), (("c", 0.1), ("light", 0.9)))
FIVE = dataclasses.replace(TOY, classes=tuple(CLASSES.values()), ratios=(RATIO,))


def linear(weights):
    inputs = keras.Input(weights.shape[:1])
    tagger = keras.Model(inputs, keras.layers.Dense(weights.shape[1], use_bias=False)(inputs))
    tagger.set_weights([weights])
    return tagger


def jets(classes):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(100, 20)).astype(np.float32)
    return x, generator.normal(size=(20, classes)).astype(np.float32) / 10, np.eye(classes, dtype=np.float32)


def test_margin_of_a_weighted_ratio_climbs_its_gradient():
    x, weights, one_hot = jets(5)
    model = ThreatModel(0.1, np.ones(20), np.zeros(20), np.full(20, -9.0), separations=FIVE.separations.values())
    label = np.arange(100) % 5
    moved = NGM(model, "ratio")(linear(weights), tf.constant(x), tf.constant(one_hot[label])).numpy()
    p = np.exp((x @ weights).astype(np.float64))

    def share(side):
        numbers = np.array([side.get(name, 0.0) for name in CLASSES])
        return p * numbers / (p * numbers).sum(axis=1, keepdims=True)

    # ∂/∂x of log Σ w·exp(z) is the mean of the weights of the classes; jets to find go down, those to reject up.
    slope = (share(dict(RATIO.over)) - share(dict(RATIO.against))) @ weights.T
    sign = np.select([np.isin(label, (4, 0)), np.isin(label, (1, 2))], [-1.0, 1.0], 0.0)[:, None]
    expected = x + 0.1 * sign * slope / np.linalg.norm(slope, axis=1, keepdims=True)
    np.testing.assert_allclose(moved, expected, atol=2e-5)
    assert (moved[label == 3] == x[label == 3]).all()  # gluons are on neither side


def test_an_attack_does_not_depend_on_the_order_of_the_classes():
    x, weights, one_hot = jets(3)
    backwards = dataclasses.replace(TOY, classes=TOY.classes[::-1])
    label = np.arange(100) % 3
    for objective in ("CvL", "-CvB", "+BvL"):
        moved = [
            FGSM(ThreatModel.from_schema(schema, SCALE, 0.1), objective)(
                linear(weights[:, order]), tf.constant(x), tf.constant(one_hot[label][:, order])
            )
            for schema, order in ((TOY, [0, 1, 2]), (backwards, [2, 1, 0]))
        ]
        np.testing.assert_array_equal(*moved)


def test_discriminators_travel_in_the_config():
    x, weights, one_hot = jets(5)
    attack = PGD(ThreatModel.from_schema(FIVE, SCALE, 0.1), objective="-ratio", steps=3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(attack))
    assert again.threat_model.separations == attack.threat_model.separations == tuple(FIVE.separations.values())
    of_two = [one(linear(weights), tf.constant(x), tf.constant(one_hot[np.arange(100) % 5])) for one in (attack, again)]
    np.testing.assert_array_equal(*of_two)


def test_config_of_an_older_version_has_the_discriminators_of_b_c_and_light():
    config = FGSM(ThreatModel.from_schema(TOY, SCALE, 0.1), "BvL").get_config()
    del config["threat_model"]["config"]["separations"]
    old = FGSM.from_config(config)
    assert (old.objective, old.threat_model.separations) == ("BvL", tuple(DISCRIMINATORS.values()))


@pytest.mark.parametrize("name", ["BvL", "+BvL", "margin", "", "ratio+"])
def test_discriminators_that_the_jets_do_not_have_are_refused_with_those_they_have(name):
    with pytest.raises(UserError, match=r"no attack objective '.*'; choose one of cross_entropy, paper, ratio, the latter"):
        FGSM(ThreatModel.from_schema(FIVE, SCALE, 0.1), name)


@pytest.mark.parametrize("labels", ["true", "predicted"])
def test_a_tagger_of_one_logit_is_refused(labels):
    x, weights, one_hot = jets(1)
    attack = FGSM(ThreatModel.from_schema(TOY, SCALE, 0.1), labels=labels)
    for y in (one_hot, np.eye(2, dtype=np.float32)[:1]):
        with pytest.raises(UserError, match="gives one logit, which no attack can move; give a tagger of two classes two"):
            attack(linear(weights), tf.constant(x), tf.constant(np.tile(y, (100, 1))))
