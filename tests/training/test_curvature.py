"""The penalty on the curvature against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.training.adversarial_tagger import AdversarialTagger
from kerastag.training.curvature import CURE
from tests.toy import SCALE, TOY, toy_threat_model


def test_penalty_of_a_quadratic_loss(toy_jets):
    """∇J(x + z) − ∇J(x) = H·z, in units of the budget, with a cap; cells that stay neither move nor count."""
    x, _ = toy_jets
    hessian = np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32)
    hessian += hessian.T
    box = toy_threat_model(0.3, 0.2).box(x)
    found = CURE(toy_threat_model(), step=0.5).penalty(box, lambda point: box.budget * tf.matmul(point, hessian))
    budget = np.minimum(0.3 * SCALE, 0.2 * abs(x.numpy()))
    budget[TOY.integer | (x.numpy() == TOY.defaults)] = 0
    z = 0.5 * budget * np.sign(x.numpy() @ hessian)
    expected = ((budget * (z @ hessian)) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert expected.min() > 1e-4


def test_a_straight_loss_costs_nothing(toy_jets):
    x, _ = toy_jets
    box = toy_threat_model(0.3).box(x)
    slope = np.linspace(-1, 1, 20, dtype=np.float32)
    assert not np.any(CURE(toy_threat_model()).penalty(box, lambda point: box.budget * slope + 0 * point))


def formula(kernel, budget, direction, x, y, w, weight):
    """Loss of a linear tagger with the penalty; gradients of softmax cross-entropy in closed form."""

    def probabilities(x):
        logits = x @ kernel
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def gradient(x):
        return (probabilities(x) - y) @ kernel.T

    moved = x + budget * direction
    change = ((budget * (gradient(moved) - gradient(x))) ** 2).sum(axis=1)
    return (w * (weight * change - np.log((probabilities(x) * y).sum(axis=1)))).mean()


def test_step_is_the_gradient_of_its_formula(toy_jets):
    """Along random directions of the weights, by differences in double precision."""
    x, y = toy_jets
    generator = np.random.default_rng(2)
    w = generator.uniform(0.5, 2, 200).astype(np.float32)
    inputs = keras.Input((20,))
    tagger = keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(inputs))
    start = (generator.normal(size=(20, 3)) / SCALE[:, None] / 4).astype(np.float32)
    tagger.set_weights([start])
    model = AdversarialTagger(tagger, defense=CURE(toy_threat_model(0.5), 2.0))
    model.compile(keras.optimizers.SGD(0.01), keras.losses.CategoricalCrossentropy(from_logits=True))
    loss = model.train_on_batch(x, y, sample_weight=w)
    found = (start - tagger.get_weights()[0]).astype(np.float64) / 0.01

    x, y, kernel = (np.asarray(values, np.float64) for values in (x, y, start))
    budget = np.where(TOY.integer | (x == TOY.defaults), 0, 0.5 * SCALE)
    logits = x @ kernel
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    direction = np.sign((p / p.sum(axis=1, keepdims=True) - y) @ kernel.T)
    clean, whole = (formula(kernel, budget, direction, x, y, w, weight) for weight in (0.0, 2.0))
    assert loss == pytest.approx(whole, rel=1e-4) and whole > 1.02 * clean
    for _ in range(5):
        step = generator.normal(size=(20, 3)) / SCALE[:, None]
        rise = [formula(kernel + sign * 1e-5 * step, budget, direction, x, y, w, 2.0) for sign in (1, -1)]
        assert (found * step).sum() == pytest.approx((rise[0] - rise[1]) / 2e-5, rel=0.01, abs=1e-3)


def test_both_gradients_see_the_same_dropout(toy_jets):
    """A linear network has no curvature in its logit; with other masks its gradients would differ."""
    x, y = toy_jets
    keras.utils.set_random_seed(1)
    inputs = keras.Input((20,))
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(30, use_bias=False)(keras.layers.Rescaling(1 / SCALE)(inputs)))
    tagger = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    tagger.layers[-1].set_weights([1e-3 * tagger.layers[-1].get_weights()[0], np.zeros(3, np.float32)])
    defense = CURE(toy_threat_model(0.1), 1.0)
    penalty = defense.loss(tagger, lambda y, y_pred, w: 0.0, x, y, tagger(x), None)
    assert 0 <= float(penalty) < 1e-14
    state = [variable.numpy() for variable in tagger.non_trainable_variables]
    defense.loss(tagger, lambda y, y_pred, w: 0.0, x, y, tagger(x), None)
    for old, variable in zip(state, tagger.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_impossible_options_are_refused():
    for options, said in (({"weight": -1.0}, "`weight`"), ({"step": 0.0}, "`step`"), ({"step": 1.5}, "`step`")):
        with pytest.raises(UserError, match=said):
            CURE(toy_threat_model(), **options)
