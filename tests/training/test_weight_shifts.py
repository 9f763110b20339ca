"""SAM, ASAM and AWP against NumPy, and that weights, dropout and moving averages are what they should be."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM
from kerastag.errors import UserError
from kerastag.training.adversarial_tagger import AdversarialTagger
from kerastag.training.curvature import CURE
from kerastag.training.defenses import AttackedBatches, InputGradientPenalty
from kerastag.training.weight_shifts import ASAM, AWP, SAM
from tests.toy import SCALE, toy_threat_model

RATE = 0.1


def linear_tagger():
    """Scaled features to logits, so that all gradients are known in closed form."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((20,))
    dense = keras.layers.Dense(3, bias_initializer="random_normal")
    return keras.Model(inputs, dense(keras.layers.Rescaling(1 / SCALE)(inputs)))


def trained(tagger, defense, x, y, w=None, rate=RATE, **options):
    """Weights before and after a step of plain SGD."""
    model = AdversarialTagger(tagger, defense=defense)
    model.compile(keras.optimizers.SGD(rate), keras.losses.CategoricalCrossentropy(from_logits=True), **options)
    before = tagger.get_weights()
    model.train_on_batch(x, y, sample_weight=w)
    return before, tagger.get_weights()


def gradients(kernel, bias, u, y, w):
    """Of the weighted mean of cross-entropies of a linear tagger, in double precision."""
    logits = u @ kernel + bias
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    residual = w[:, None] * (p / p.sum(axis=1, keepdims=True) - y) / len(y)
    return u.T @ residual, residual.sum(axis=0)


def sam(weights, g, rho):
    length = np.sqrt(sum((one**2).sum() for one in g))
    return [rho * one / length for one in g]


def asam(weights, g, rho):
    units = [abs(weight) + 0.01 for weight in weights]
    length = np.sqrt(sum(((unit * one) ** 2).sum() for unit, one in zip(units, g, strict=True)))
    return [rho * unit**2 * one / length for unit, one in zip(units, g, strict=True)]


def awp(weights, g, rho):
    return [rho * np.linalg.norm(weights[0]) * g[0] / np.linalg.norm(g[0]), np.zeros(3)]


@pytest.mark.parametrize(
    ("make", "moved_by", "rho"),
    [
        (SAM, sam, 0.5),
        (ASAM, asam, 0.8),
        (lambda rho: AWP(AttackedBatches(FGSM(toy_threat_model(0.3))), rho), awp, 0.4),
    ],
    ids=["sam", "asam", "awp"],
)
def test_step_is_the_gradient_at_moved_weights(toy_jets, make, moved_by, rho):
    x, y = toy_jets
    w = np.random.default_rng(1).uniform(0.5, 2, 200).astype(np.float32)
    tagger, defense = linear_tagger(), make(rho)
    seen = x if defense.attack is None else FGSM(toy_threat_model(0.3))(tagger, x, y)
    (kernel, bias), after = trained(tagger, defense, x, y, w)
    u, y, w = (np.asarray(values, np.float64) for values in (seen / SCALE, y, w))
    first = gradients(kernel, bias, u, y, w)
    moves = moved_by([kernel, bias], first, rho)
    second = gradients(kernel + moves[0], bias + moves[1], u, y, w)
    for old, new, plain, wanted in zip((kernel, bias), after, first, second, strict=True):
        np.testing.assert_allclose((old - new) / RATE, wanted, rtol=1e-4, atol=2e-6)
        assert abs(plain - wanted).max() > 1e-3  # else a plain step would pass as well


def network(dropout=0.4):
    keras.utils.set_random_seed(6)
    x = inputs = keras.Input((20,))
    for layer in (
        keras.layers.Rescaling(1 / SCALE),
        keras.layers.Dense(8, "tanh"),
        keras.layers.BatchNormalization(momentum=0.5),
        keras.layers.Dropout(dropout),
        keras.layers.Dense(3),
    ):
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("eagerly", [False, True], ids=["graph", "eager"])
@pytest.mark.parametrize(
    "make",
    [lambda: ASAM(), lambda: SAM(0.5, AttackedBatches(FGSM(toy_threat_model()), "mean"))],
    ids=["asam", "sam on attacked"],
)
def test_weights_are_bit_equal_where_the_optimizer_leaves_them(toy_jets, make, eagerly):
    tagger = network()
    trained(tagger, make(), *toy_jets, rate=0.0, run_eagerly=eagerly)
    for old, variable in zip(network().trainable_variables, tagger.trainable_variables, strict=True):
        assert old.numpy().tobytes() == variable.numpy().tobytes()


def test_a_move_of_nothing_is_nominal_training_with_the_same_dropout(toy_jets):
    """Moving averages and states of dropout too: the second pass counts for neither."""
    results = []
    for defense in (None, SAM(0.0)):
        tagger = network()
        model = AdversarialTagger(tagger, defense=defense)
        model.compile(keras.optimizers.SGD(RATE), keras.losses.CategoricalCrossentropy(from_logits=True))
        model.fit(*toy_jets, batch_size=50, epochs=1, shuffle=False, verbose=0)
        results.append([variable.numpy() for variable in tagger.variables])
    for nominal, other in zip(*results, strict=True):
        np.testing.assert_allclose(other, nominal, rtol=1e-5, atol=1e-6)


def test_moving_averages_are_those_of_the_weights_and_count_once(toy_jets):
    x, y = toy_jets
    first, second = network(), network()
    trained(first, None, x, y)
    trained(second, SAM(2.0), x, y)
    averages = [[variable.numpy() for variable in one.non_trainable_variables] for one in (first, second)]
    for nominal, found in zip(*averages, strict=True):
        np.testing.assert_allclose(found, nominal, rtol=1e-5, atol=1e-6)
    assert abs(first.get_weights()[0] - second.get_weights()[0]).max() > 1e-4


def test_both_passes_drop_the_same_cells(toy_jets):
    """The loss in the logs is that at the moved weights, made here by hand from the state before the step."""
    x, y = toy_jets
    tagger, by_hand = network(), network()
    model = AdversarialTagger(tagger, defense=SAM(0.3))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss)
    found = model.train_on_batch(x, y)
    states = [variable.numpy() for variable in by_hand.non_trainable_variables]
    weights = [variable.value for variable in by_hand.trainable_variables]
    with tf.GradientTape() as tape:
        value = loss(y, by_hand(x, training=True))
    g = [np.asarray(one) for one in tape.gradient(value, weights)]
    for weight, shift in zip(weights, sam(None, g, 0.3), strict=True):
        weight.assign_add(shift.astype(np.float32))
    for variable, state in zip(by_hand.non_trainable_variables, states, strict=True):
        variable.assign(state)
    assert found == pytest.approx(float(loss(y, by_hand(x, training=True))), rel=1e-5)
    assert found > float(value) + 1e-3


@pytest.mark.parametrize("penalty", [InputGradientPenalty, CURE])
def test_penalties_are_taken_at_moved_weights_too(toy_jets, penalty):
    """The gradient of an inner penalty, by weights that were moved by hand."""
    x, y = toy_jets
    inner = penalty(toy_threat_model(0.3), 3.0)
    tagger, by_hand = linear_tagger(), linear_tagger()
    weights = [variable.value for variable in by_hand.trainable_variables]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)

    def gradient():
        with tf.GradientTape() as tape:
            value = inner.loss(by_hand, lambda y, p, w: loss(y, p), x, y, by_hand(x), None)
        return [np.asarray(one) for one in tape.gradient(value, weights)]

    for weight, shift in zip(weights, sam(None, gradient(), 0.5), strict=True):
        weight.assign_add(shift)
    before, after = trained(tagger, SAM(0.5, inner), x, y)
    for old, new, wanted in zip(before, after, gradient(), strict=True):
        np.testing.assert_allclose((old - new) / RATE, wanted, rtol=1e-3, atol=1e-5)


def test_random_states_are_those_of_the_inner_defence():
    from kerastag.attacks import PGD

    inner = AttackedBatches(PGD(toy_threat_model()))
    assert AWP(inner).random_states == [inner.attack.seed_generator]
    assert SAM().random_states == []


def test_survive_their_config():
    for defense in (SAM(0.2), ASAM(0.3, 0.02), AWP(AttackedBatches(FGSM(toy_threat_model()), "mean"), 0.01)):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(defense))
        assert type(again) is type(defense) and again.get_config() == defense.get_config()
        assert type(again.inner) is type(defense.inner) and again.rho == defense.rho


def test_impossible_options_are_refused():
    for make, said in (
        (lambda: SAM(-0.1), "`rho`"),
        (lambda: ASAM(eta=-1.0), "`eta`"),
        (lambda: SAM(inner=ASAM()), "ASAM moves weights as well"),
    ):
        with pytest.raises(UserError, match=said):
            make()
