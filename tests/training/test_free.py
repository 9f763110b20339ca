"""Free adversarial training against the same steps in NumPy, and in a training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, ThreatModel
from kerastag.errors import UserError
from kerastag.training import AdversarialTagger, FreeBatches, Ramp
from tests.attacks.test_ties import TIED
from tests.attacks.test_ties import X as TIED_JETS
from tests.toy import SCALE, toy_threat_model

SIZE, RATE = 0.2, 0.1


def network():
    keras.utils.set_random_seed(4)
    inputs = keras.Input((20,))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Rescaling(1 / SCALE)(inputs)))


def compiled(defense, tagger=None, **options):
    model = AdversarialTagger(tagger or network(), defense=defense)
    model.compile(keras.optimizers.SGD(RATE), keras.losses.CategoricalCrossentropy(from_logits=True), **options)
    return model


def softmax(logits):
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def test_updates_are_those_of_the_algorithm_with_one_gradient_each(toy_jets):
    x, y = (part.numpy() for part in toy_jets)
    defense = FreeBatches(toy_threat_model(SIZE), replays=3, seed=5)
    model = compiled(defense)
    kernel, bias = (weight.astype(np.float64) for weight in model.tagger.get_weights())
    _, start = defense.begin(model.tagger, x, y, tf.constant(0))
    defense.seed_generator.state.assign(FreeBatches(toy_threat_model(SIZE), seed=5).seed_generator.state)
    direction, budget = start.numpy().astype(np.float64), np.asarray(toy_threat_model(SIZE).budget(x))
    assert direction.min() < -0.98 and direction.max() > 0.98 and abs(direction.mean()) < 0.05
    assert direction.std() == pytest.approx(3**-0.5, rel=0.05)
    weights = np.random.default_rng(2).uniform(0.5, 2, len(y)) * np.where(np.arange(len(y)) % 5, 1, -1)
    for _ in range(3):
        moved = np.where(budget > 0, x + budget * direction, x)
        error = softmax(moved / SCALE @ kernel + bias) - y
        # A jet of negative weight is attacked like any other.
        direction = np.clip(direction + np.sign(error @ kernel.T / SCALE * budget), -1, 1)
        error *= weights[:, None] / len(y)
        kernel = kernel - RATE * (moved / SCALE).T @ error
        bias = bias - RATE * error.sum(axis=0)
    model.train_on_batch(x, y, sample_weight=weights.astype(np.float32))
    np.testing.assert_allclose(model.tagger.get_weights()[0], kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.tagger.get_weights()[1], bias, rtol=1e-4, atol=1e-5)
    assert int(model.optimizer.iterations) == 3


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}], ids=["graph", "xla"])
def test_trains_and_comes_back(toy_jets, tmp_path, options):
    x, y = toy_jets
    model = compiled(FreeBatches(toy_threat_model(SIZE), ramp=Ramp(2, 4)), weighted_metrics=["accuracy"], **options)
    losses = model.fit(x, y, sample_weight=tf.ones(200), batch_size=50, epochs=3, verbose=0).history["loss"]
    assert losses[2] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.defense.get_config() == model.defense.get_config()
    assert any(variable is model.defense.seed_generator.state for variable in model.variables)


def test_it_makes_a_tagger_that_loses_less(toy_jets):
    x, y = toy_jets
    fgsm, losses = FGSM(toy_threat_model(1.0)), {}
    for name, defense, epochs in (("nominal", None, 40), ("free", FreeBatches(toy_threat_model(1.0)), 10)):
        keras.utils.set_random_seed(4)
        tagger = keras.Sequential([keras.Input((20,)), keras.layers.Rescaling(1 / SCALE)])
        tagger.add(keras.layers.Dense(64, "relu"))
        tagger.add(keras.layers.Dense(3))
        model = AdversarialTagger(tagger, defense=defense)
        model.compile(keras.optimizers.Adam(1e-2), keras.losses.CategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
        attacked = keras.losses.categorical_crossentropy(y, tagger(fgsm(tagger, x, y)), from_logits=True)
        losses[name] = float(tf.reduce_mean(attacked))
    assert losses["free"] < 0.8 * losses["nominal"], losses


def test_less_than_one_replay_is_refused():
    with pytest.raises(UserError, match="replays"):
        FreeBatches(toy_threat_model(SIZE), 0)


def test_trains_on_jets_inside_the_box_of_ties():
    """What follows a moved cell is recomputed before the tagger sees it."""
    seen = []

    class Watched(keras.layers.Layer):
        def call(self, x):
            tf.py_function(lambda x: seen.append(x.numpy()), [x], [])
            return tf.identity(x)

    keras.utils.set_random_seed(3)
    inputs = keras.Input((len(TIED.names),))
    tagger = keras.Model(inputs, keras.layers.Dense(3)(Watched()(inputs)))
    model = compiled(FreeBatches(ThreatModel.from_schema(TIED, np.ones(len(TIED.names)), 0.1), replays=2), tagger)
    seen.clear()
    model.train_on_batch(TIED_JETS, np.eye(3, dtype=np.float32))
    ip, significance = (np.stack([x[[0, 2]][:, TIED.index(name)] for x in seen]) for name in ("ip", "significance"))
    assert len(seen) >= 2 and (ip != TIED_JETS[[0, 2], TIED.index("ip")]).any()
    np.testing.assert_allclose(significance / ip, 4, rtol=1e-5)
