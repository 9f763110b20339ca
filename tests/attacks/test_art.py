"""FGSM and PGD of a network without frozen cells equal those of the Adversarial Robustness Toolbox."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, PGD, ThreatModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    evasion = pytest.importorskip("art.attacks.evasion", reason="adversarial-robustness-toolbox is not installed")
    from art.estimators.classification import TensorFlowV2Classifier


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((20,))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(32, "tanh")(inputs)))


@pytest.fixture(scope="module")
def jets():
    generator = np.random.default_rng(0)
    return generator.normal(size=(300, 20)).astype(np.float32), np.eye(3, dtype=np.float32)[generator.integers(0, 3, 300)]


@pytest.fixture(scope="module")
def classifier(network):
    loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True)
    return TensorFlowV2Classifier(model=network, nb_classes=3, input_shape=(20,), loss_object=loss)


def threat_model():
    return ThreatModel(0.1, np.ones(20), np.zeros(20), np.full(20, -99.0))


def test_fgsm(network, classifier, jets):
    theirs = evasion.FastGradientMethod(classifier, norm=np.inf, eps=0.1).generate(*jets)
    np.testing.assert_allclose(FGSM(threat_model())(network, *map(tf.constant, jets)), theirs, atol=1e-6)


def test_pgd_from_the_clean_jet(network, classifier, jets):
    """Theirs keeps the last point; with rising loss on a smooth network that is the best one too."""
    x, y = jets
    theirs = evasion.ProjectedGradientDescentTensorFlowV2(
        classifier, norm=np.inf, eps=0.1, eps_step=0.02, max_iter=4, num_random_init=0, verbose=False
    ).generate(x, y)
    attack = PGD(threat_model(), steps=4, step_size=0.2, random_start=False, try_corner=False)
    np.testing.assert_allclose(attack(network, tf.constant(x), tf.constant(y)), theirs, atol=1e-6)
