"""Defences that also look at jets without labels: their losses against formulas, and what they do to a tagger."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import PGD
from kerastag.errors import UserError
from kerastag.training import TRADES, AdversarialTagger, Consistency, DomainAdversarial, Ramp
from kerastag.training.unlabelled import loss_of_labelled, reversed_gradient
from tests.toy import SCALE, toy_threat_model


def network(hidden=()):
    keras.utils.set_random_seed(4)
    inputs = keras.Input((20,))
    x = keras.layers.Rescaling(1 / SCALE)(inputs)
    for width in hidden:
        x = keras.layers.Dense(width, "tanh")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def compiled(defense, tagger, optimizer=None):
    model = AdversarialTagger(tagger, defense=defense)
    model.compile(optimizer or keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def cross_entropy(y, logits):
    return keras.losses.categorical_crossentropy(y, logits, from_logits=True).numpy()


def test_the_loss_is_that_of_the_labelled_jets_wherever_they_stand(toy_jets):
    x, y = toy_jets
    tagger = network()
    model = compiled(None, tagger)

    def compute(y, y_pred, w):
        return model.compute_loss(None, y, y_pred, w)

    known = np.arange(200) % 3 == 1
    w = np.random.default_rng(0).uniform(0.5, 2, 200).astype(np.float32)
    logits = tagger(x)
    found = loss_of_labelled(compute, y * known[:, None], logits, tf.constant(w))
    assert float(found) == pytest.approx((w * cross_entropy(y, logits))[known].mean(), rel=1e-5)
    all_labelled = loss_of_labelled(compute, y, logits, None)
    assert float(all_labelled) == pytest.approx(cross_entropy(y, logits).mean(), rel=1e-6)
    assert float(loss_of_labelled(compute, y * 0, logits, None)) == 0


def test_consistency_is_trades_whose_second_term_counts_all_jets(toy_jets):
    x, y = toy_jets
    attack = PGD(toy_threat_model(0.3), steps=2, random_start=False, try_corner=False, objective="+BvL")
    tagger = network()
    values = {}
    for name, kind, labels in (("trades", TRADES, y), ("consistency", Consistency, tf.concat([y[:100], 0 * y[100:]], 0))):
        model = compiled(kind(attack, 2.0), tagger)
        batch = model.defense.batch(tagger, x, labels, None, tf.constant(0))
        values[name] = float(model.compute_loss(batch[0], batch[1], tagger(batch[0]), batch[2]))
    losses = cross_entropy(y, tagger(x))
    assert values["consistency"] - losses[:100].mean() == pytest.approx(values["trades"] - losses.mean(), rel=1e-4)


def test_a_reversed_gradient_goes_down_where_the_plain_one_goes_up():
    x = tf.constant([1.0, -2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(reversed_gradient(x, 0.5) ** 2)
    assert float(y) == 5
    np.testing.assert_allclose(tape.gradient(y, x), -0.5 * 2 * x)


@pytest.mark.parametrize(("ramp", "factor"), [(None, 0.7), (Ramp(5, 1), 0.0)], ids=["full", "before the ramp"])
def test_domain_moves_the_network_down_its_loss_and_the_tagger_up(toy_jets, ramp, factor):
    """One step of plain descent against the gradients of both losses."""
    x, y = toy_jets
    labels = tf.concat([y[:100], 0 * y[100:]], 0)
    tagger = network()
    model = compiled(DomainAdversarial(0.7, (4,), ramp), tagger, keras.optimizers.SGD(1.0))
    w = np.random.default_rng(0).uniform(0.5, 2, 200).astype(np.float32)
    beside = model.beside
    truth = np.repeat([1.0, 0.0], 100)

    def told():
        logits = tf.squeeze(beside(tf.nn.log_softmax(tagger(x))), -1)
        return tf.reduce_mean(w * tf.nn.sigmoid_cross_entropy_with_logits(tf.constant(truth, tf.float32), logits))

    weights = [[weight.value for weight in part.trainable_weights] for part in (tagger, beside)]
    with tf.GradientTape(persistent=True) as tape:
        domain = told()
        flavour = tf.reduce_mean(w[:100] * tf.nn.softmax_cross_entropy_with_logits(y[:100], tagger(x[:100])))
    of_tagger, of_beside = (tape.gradient(domain, part) for part in weights)
    of_flavour = tape.gradient(flavour, weights[0])
    before = [part.get_weights() for part in (tagger, beside)]
    model.train_on_batch(x, labels, sample_weight=w)
    for a, b, plain, against in zip(tagger.get_weights(), before[0], of_flavour, of_tagger, strict=True):
        np.testing.assert_allclose(b - a, plain - factor * against, rtol=1e-3, atol=1e-5)
    for a, b, gradient in zip(beside.get_weights(), before[1], of_beside, strict=True):
        np.testing.assert_allclose(b - a, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_domain_hides_a_shift_that_a_plain_tagger_shows(toy_jets):
    """One feature separates the flavours and is shifted in the unlabelled jets, another separates as well and is not."""
    generator = np.random.default_rng(1)
    y = np.arange(1200) % 3
    x = generator.normal(size=(1200, 20)).astype(np.float32)
    x[:, 0] += 1.0 * y
    x[:, 1] += 1.0 * y
    x[600:, 0] += 2
    x *= SCALE.astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[y] * (np.arange(1200) < 600)[:, None]
    shifts = {}
    for weight in (0.0, 3.0):
        tagger = network((16,))
        model = compiled(DomainAdversarial(weight, (16,)), tagger, keras.optimizers.Adam(1e-2))
        model.fit(x, labels, batch_size=1200, epochs=150, verbose=0)
        margin = tf.nn.log_softmax(tagger(x)).numpy() @ [-1, 0, 1]
        shifts[weight] = (margin[600:].mean() - margin[:600].mean()) / margin[:600].std()
    assert shifts[0.0] > 0.5 and abs(shifts[3.0]) < 0.4 * shifts[0.0], shifts


def test_the_network_beside_is_saved_with_the_trainer_and_not_with_the_tagger(toy_jets, tmp_path):
    x, y = toy_jets
    model = compiled(DomainAdversarial(0.5, ramp=Ramp(1, 2)), network())
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.defense.get_config() == model.defense.get_config()
    for a, b in zip(again.beside.get_weights(), model.beside.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.tagger.weights) == len(network().weights)


def test_mistakes_are_said():
    with pytest.raises(UserError, match="weight"):
        DomainAdversarial(-1)
