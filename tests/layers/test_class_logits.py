import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import flavours
from kerastag.attacks import FGSM, ThreatModel
from kerastag.attacks.samples import attacked_logits
from kerastag.errors import UserError
from kerastag.layers.class_logits import ClassLogits, by_flavour, class_names

NAMES = ("b", "uds", "bb", "c", "g", "lepb")


@pytest.fixture
def tagger():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    return keras.Model(inputs, ClassLogits(NAMES)(keras.layers.Dense(6)(keras.layers.Dense(8, "tanh")(inputs))))


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)


def test_flavours_have_the_summed_probability_of_their_classes(tagger, x):
    fine, coarse = tf.nn.softmax(tagger(x)).numpy(), tf.nn.softmax(by_flavour(tagger)(x)).numpy()
    np.testing.assert_allclose(coarse[:, 0], fine[:, [0, 2, 5]].sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(coarse[:, 1], fine[:, 3], atol=1e-6)
    np.testing.assert_allclose(coarse[:, 2], fine[:, [1, 4]].sum(axis=1), atol=1e-6)
    assert class_names(tagger) == NAMES
    assert class_names(by_flavour(tagger)) == flavours.FLAVOURS
    already = by_flavour(tagger)
    assert by_flavour(already) is already


def test_attack_and_evaluation_meet_the_logits_by_flavour(tagger, x):
    threat_model = ThreatModel(0.1, np.ones(5), np.zeros(5), np.full(5, -9))
    y = np.eye(3, dtype=np.float32)[np.arange(40) % 3]
    attack, coarse = FGSM(threat_model), by_flavour(tagger)
    np.testing.assert_array_equal(attack(tagger, tf.constant(x), y), attack(coarse, tf.constant(x), y))
    np.testing.assert_allclose(attacked_logits(tagger, x, y, attack), attacked_logits(coarse, x, y, attack), atol=1e-6)


def test_labels_of_the_taggers_own_classes_meet_its_own_logits(tagger, x):
    threat_model = ThreatModel(0.1, np.ones(5), np.zeros(5), np.full(5, -9))
    y = np.eye(6, dtype=np.float32)[np.arange(40) % 6]
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        loss = tf.nn.softmax_cross_entropy_with_logits(y, tagger(inputs))
    expected = x + np.float32(0.1) * np.sign(tape.gradient(loss, inputs))
    np.testing.assert_allclose(FGSM(threat_model)(tagger, tf.constant(x), tf.constant(y)), expected, atol=1e-6)
    with pytest.raises(UserError, match="needs labels of b, c, light"):
        FGSM(threat_model, "BvL")(tagger, tf.constant(x), tf.constant(y))
    with pytest.raises(UserError, match="Labels have 4 columns"):
        FGSM(threat_model)(tagger, tf.constant(x), tf.constant(y[:, :4]))


@pytest.mark.parametrize("names", [("QCD", "Hbb"), ("b", "c"), ("b", "c", "light", "tau")])
def test_classes_that_are_no_flavours_are_named(names):
    with pytest.raises(UserError, match=f"classes {', '.join(names)} does not tell b, c, light jets apart"):
        flavours.columns(names)


def test_classes_in_another_order_or_finer_become_those_of_the_jets(tagger, x):
    logits = tagger(x).numpy()
    wanted = ("g", "lepb", "uds", "bb", "c", "b")
    np.testing.assert_array_equal(by_flavour(tagger, wanted)(x), logits[:, [NAMES.index(name) for name in wanted]])
    assert class_names(by_flavour(tagger, wanted)) == wanted
    some = by_flavour(tagger, ("g", "uds", "c", "b"))  # of the finer ones, those of b alone are added up
    expected = np.logaddexp.reduce(logits[:, [0, 2, 5]], axis=1)
    np.testing.assert_allclose(some(x), np.stack([*logits[:, [4, 1, 3]].T, expected], axis=1), rtol=1e-5, atol=1e-6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(some))
    again.set_weights(some.get_weights())
    np.testing.assert_array_equal(again(x), some(x))


@pytest.mark.parametrize(("names", "wanted"), [(("b", "c", "light"), ("b", "c", "uds", "g")), (("b", "b", "c"), ("b", "c"))])
def test_coarser_or_doubled_classes_are_refused(names, wanted):
    with pytest.raises(UserError, match=f"classes {', '.join(names)} does not tell {', '.join(wanted)} jets apart"):
        flavours.columns(names, wanted)


def test_names_of_a_network_inside_of_another_are_seen():
    """They were lost where a layer came first, and logits were taken in another order."""
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), ClassLogits(("light", "c", "b"))])
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, inner(keras.layers.Rescaling(1.0)(inputs)))
    assert class_names(outer) == ("light", "c", "b")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(by_flavour(outer)(x), inner(x).numpy()[:, ::-1], rtol=1e-6)
