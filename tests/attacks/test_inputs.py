"""What users have at hand is attacked as it should be, or refused in one sentence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, PGD, GaussianNoise
from kerastag.errors import UserError
from tests.toy import toy_threat_model


@pytest.fixture(scope="module")
def expected(toy_tagger, toy_jets):
    return FGSM(toy_threat_model())(toy_tagger, *toy_jets).numpy()


@pytest.mark.parametrize("kind", ["float64", "list", "numbers", "int8 one-hot", "float64 tensors"])
def test_other_kinds_of_numbers_give_the_same(kind, toy_tagger, toy_jets, expected):
    x, y = (values.numpy() for values in toy_jets)
    x, y = {
        "float64": (x.astype(np.float64), y.astype(np.float64)),
        "list": (x.tolist(), y.tolist()),
        "numbers": (x, y.argmax(axis=1)),
        "int8 one-hot": (x, y.astype(np.int8)),
        "float64 tensors": (tf.constant(x, tf.float64), tf.constant(y, tf.float64)),
    }[kind]
    attacked = FGSM(toy_threat_model())(toy_tagger, x, y)
    assert attacked.dtype == tf.float32
    np.testing.assert_array_equal(attacked, expected)


@pytest.mark.parametrize("attack", [FGSM(toy_threat_model()), GaussianNoise(toy_threat_model(by_flavour={"b": 2.0}))])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, y: (x[:, :10], y), r"Features must be of shape \(batch, 20\).* Received: \(200, 10\)"),
        (lambda x, y: (x.reshape(200, 4, 5), y), r"Received: \(200, 4, 5\)"),
        (lambda x, y: (x[0], y[:1]), r"Received: \(20,\)"),
        (lambda x, y: (x[:100], y), "features of 100 jets, but labels of 200"),
        (lambda x, y: (x, y[:, None]), r"Labels must be one-hot.* Received: float32 of shape \(200, 1, 3\)"),
        (lambda x, y: (x, y[:, 0]), r"Received: float32 of shape \(200,\)"),
        (lambda x, y: (x, 1 + y.argmax(axis=1)), "Labels must be from 0 to 2. Received: 1 to 3"),
    ],
)
def test_other_shapes_are_refused_in_a_sentence(attack, change, sentence, toy_tagger, toy_jets):
    x, y = change(*(values.numpy() for values in toy_jets))
    with pytest.raises(UserError, match=sentence):
        attack(toy_tagger, x, y)


def test_labels_of_other_classes_are_refused_in_a_sentence(toy_tagger, toy_jets):
    x, y = toy_jets
    with pytest.raises(UserError, match="Labels have 2 columns"):
        FGSM(toy_threat_model())(toy_tagger, x, y[:, :2])


def test_numbers_as_labels_within_a_graph(toy_tagger, toy_jets):
    x, y = toy_jets
    attack = PGD(toy_threat_model(), steps=2, random_start=False)
    graph = tf.function(lambda x, y: attack(toy_tagger, x, y))
    np.testing.assert_allclose(graph(x, tf.argmax(y, axis=1)), attack(toy_tagger, x, y), atol=1e-6)


def test_sparse_loss_trains_as_the_one_of_one_hot_labels(toy_jets):
    from kerastag.training import TRADES, AdversarialTagger, AttackedBatches, InputGradientPenalty

    x, y = (values.numpy() for values in toy_jets)
    losses = (keras.losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy)
    for defense in (
        AttackedBatches(FGSM(toy_threat_model())),
        TRADES(PGD(toy_threat_model(), steps=1, try_corner=False)),
        InputGradientPenalty(toy_threat_model()),
    ):
        trained = []
        for loss, labels in zip(losses, (y, y.argmax(axis=1)), strict=True):
            keras.utils.set_random_seed(0)
            tagger = keras.Sequential([keras.Input((20,)), keras.layers.Dense(3)])
            if defense.attack:
                defense.attack.restart()
            model = AdversarialTagger(tagger, defense=defense)
            model.compile(keras.optimizers.SGD(1e-3), loss(from_logits=True))
            model.fit(x, labels, verbose=0, shuffle=False)
            trained.append(tagger.get_weights()[0])
        np.testing.assert_allclose(*trained, rtol=1e-5, atol=1e-7)
