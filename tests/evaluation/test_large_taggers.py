"""A network that can take few jets at once is never given more, and what is measured of it is the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, attacked_features, marginal_preserving
from kerastag.evaluation.diagnostics import check_robustness
from kerastag.evaluation.flatness import flatness, surface
from kerastag.layers import memory
from tests.toy import SCALE, toy_threat_model

FEW = 7


class Watched(keras.layers.Layer):
    """Hands on what it gets, and notes how many jets that is."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        tf.py_function(lambda jets: self.seen.append(int(jets)), [tf.shape(x)[0]], [])
        return tf.identity(x)


def numbers(tagger, x, y):
    """Everything that is measured with gradients, by name."""
    threat_model = toy_threat_model(0.05)
    attacked = attacked_features(tagger, x, y, FGSM(threat_model))
    # Where PGD starts at random, starts are drawn for each batch.
    checks = [check.value for check in check_robustness(tagger, x, y, threat_model) if check.name != "unlimited"]
    flat = flatness(tagger, x, y, threat_model, iterations=3)
    return {
        "checks": np.array(checks),
        "flatness": np.stack([flat["gradient_norm"], flat["rise_adversarial"]]),
        "surface": surface(tagger, x[0], y[0], (3, 4), SCALE, np.linspace(-1, 1, 5)),
        "marginal-preserving": marginal_preserving(FGSM(threat_model), tagger, x, y, attacked=attacked)[0],
    }


@pytest.fixture
def watched(toy_tagger):
    layer, inputs = Watched(), keras.Input((20,))
    return keras.Model(inputs, toy_tagger(layer(inputs))), layer.seen


def test_a_network_gets_no_more_jets_than_it_can_take(watched, toy_jets, monkeypatch):
    tagger, seen = watched
    x, y = (values.numpy()[:40] for values in toy_jets)
    expected = numbers(tagger, x, y)
    assert max(seen) > FEW
    seen.clear()
    monkeypatch.setattr(memory, "_MOST", FEW)
    found = numbers(tagger, x, y)
    assert max(seen) == FEW
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
