"""Attacks as objects of the user's: copied, changed, of their own make, named on command lines."""

import copy
import pickle
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kerastag.attacks import FGSM, NGM, PGD, Condition, GaussianNoise, Transfer, attacked_logits
from kerastag.errors import UserError
from kerastag.request import AttackGrid, Physics
from tests.own_networks import against_truth
from tests.toy import SCALE, TOY, toy_threat_model

# What a condition wants to know of a data set.
TOY_DATA = SimpleNamespace(schema=TOY, scale=lambda kind: SCALE)
BOX = Physics(bounds=False)


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(toy_threat_model(), "BvL", "predicted"),
        NGM(toy_threat_model()),
        PGD(toy_threat_model(), steps=2, seed=5),
        GaussianNoise(toy_threat_model(), seed=5),
        FGSM(toy_threat_model(), against_truth),
    ],
)
@pytest.mark.parametrize("copied", [lambda attack: pickle.loads(pickle.dumps(attack)), copy.deepcopy], ids=["pickle", "copy"])
def test_copies_do_the_same(attack, copied, toy_tagger, toy_jets):
    attack.restart()
    other = copied(attack)
    np.testing.assert_array_equal(other(toy_tagger, *toy_jets), attack(toy_tagger, *toy_jets))


def test_pickle_of_a_transfer_keeps_the_weights_of_its_source(toy_tagger, toy_jets):
    attack = Transfer(FGSM(toy_threat_model()), toy_tagger)
    other = pickle.loads(pickle.dumps(attack))
    np.testing.assert_array_equal(other(None, *toy_jets), attack(None, *toy_jets))


def test_changed_threat_model_takes_effect_in_an_evaluation(toy_tagger, toy_jets):
    x, y = (values.numpy() for values in toy_jets)
    attack = FGSM(toy_threat_model(0.1))
    attacked_logits(toy_tagger, x, y, attack)
    attack.threat_model = toy_threat_model(1.0)
    expected = attacked_logits(toy_tagger, x, y, FGSM(toy_threat_model(1.0)))
    np.testing.assert_array_equal(attacked_logits(toy_tagger, x, y, attack), expected)
    attack.threat_model.epsilon = 0.0
    np.testing.assert_array_equal(attacked_logits(toy_tagger, x, y, attack), attacked_logits(toy_tagger, x, y, None))


def test_objective_of_ones_own_is_climbed(toy_tagger, toy_jets):
    """Against the gradient of the true logit, taken by hand."""
    import tensorflow as tf

    x, y = toy_jets
    model = toy_threat_model()
    with tf.GradientTape() as tape:
        tape.watch(x)
        true = tf.reduce_sum(y * toy_tagger(x))
    box = model.box(x, y)
    expected = box.complete(box.corner(-tf.sign(tape.gradient(true, x))))
    np.testing.assert_array_equal(FGSM(model, against_truth)(toy_tagger, x, y), expected)


def test_attack_and_objective_are_named_as_module_and_name(toy_tagger, toy_jets):
    x, y = toy_jets
    named = Condition("tests.own_networks:Halfway", 0.1, objective="tests.own_networks:against_truth", physics=BOX)
    half = named.build(TOY_DATA)(toy_tagger, x, y)
    full = FGSM(toy_threat_model(), against_truth)(toy_tagger, x, y)
    np.testing.assert_allclose(half - x, 0.5 * (full - x), atol=1e-5)
    assert named.is_attack and named.label == "Halfway on tests.own_networks:against_truth ε=0.1 no bounds"
    AttackGrid(("tests.own_networks:Halfway",), objectives=("tests.own_networks:against_truth",))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tests.nowhere:Halfway", "The module 'tests.nowhere' cannot be imported"),
        ("tests.own_networks:Nothing", "The attack 'tests.own_networks:Nothing' cannot be imported"),
        ("os:system", "no class below kerastag's Attack"),
        ("halfway", "There is no attack 'halfway'.*or give your own module:Class"),
    ],
)
def test_what_is_no_attack_is_refused(name, sentence):
    with pytest.raises(UserError, match=sentence):
        Condition(name, 0.1, physics=BOX).build(TOY_DATA)


def test_config_names_no_code_to_be_imported():
    """A stored attack may be somebody else's."""
    config = FGSM(toy_threat_model()).get_config() | {"objective": "os:getcwd"}
    with pytest.raises(UserError, match="There is no attack objective 'os:getcwd'"):
        keras.saving.deserialize_keras_object({"class_name": "FGSM", "config": config, "registered_name": "kerastag>FGSM"})
