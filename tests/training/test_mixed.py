"""Training with hidden layers of 16 bits: every defence, the scale of the loss, and what comes of it on disk."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, PGD
from kerastag.errors import UserError
from kerastag.recipes import Settings
from kerastag.training import (
    ASAM,
    SAM,
    AdversarialTagger,
    AttackedBatches,
    Consistency,
    DomainAdversarial,
    FreeBatches,
)
from tests.toy import SCALE, toy_threat_model
from tests.training.test_defenses import ALL

DEFENSES = ALL | {
    "free": lambda tm: FreeBatches(tm, 2),
    "sam": lambda tm: SAM(),
    "asam": lambda tm: ASAM(),
    "consistency": lambda tm: Consistency(PGD(tm, steps=2, try_corner=False)),
    "domain": lambda tm: DomainAdversarial(widths=(4,)),
}
QUICK = ("fgsm", "input-gradient", "free", "awp")


def named(names, quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def network(dtype="float32", dropout=0.2):
    keras.utils.set_random_seed(4)
    inputs = keras.Input((20,))
    x = keras.layers.Dense(8, "tanh", dtype=dtype)(keras.layers.Rescaling(1 / SCALE)(inputs))
    x = keras.layers.Dense(8, "elu", dtype=dtype)(keras.layers.Dropout(dropout, seed=1, dtype=dtype)(x))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def compiled(tagger, defense, optimizer=None, **options):
    model = AdversarialTagger(tagger, defense=defense)
    model.compile(optimizer or keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True), **options)
    return model


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", named(DEFENSES, QUICK))
def test_every_defence_trains_with_hidden_layers_of_16_bits(name, precision, toy_jets):
    x, y = toy_jets
    model = compiled(network(f"mixed_{precision}"), DEFENSES[name](toy_threat_model()), jit_compile=False)
    history = model.fit(x, y, sample_weight=tf.ones(200), batch_size=40, epochs=3, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < history["loss"][0]
    assert all(weight.dtype == np.float32 and np.isfinite(weight).all() for weight in model.tagger.get_weights())
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "float16")
    assert int(model.optimizer.iterations) == (30 if name == "free" else 15), "a step was skipped"


@pytest.mark.parametrize("name", named(DEFENSES, QUICK))
def test_the_scale_of_the_loss_changes_no_training(name, toy_jets):
    """It is a power of two: in float32, where nothing is lost, the weights are those without it."""
    x, y = toy_jets
    weights = []
    for optimizer in (keras.optimizers.SGD(0.1), keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), 2.0**8)):
        model = compiled(network(), DEFENSES[name](toy_threat_model()), optimizer, jit_compile=False)
        model.fit(x, y, batch_size=50, epochs=2, shuffle=False, verbose=0)
        weights.append(model.tagger.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_small_gradients_of_weights_are_kept_by_the_scale_alone(toy_jets):
    """A loss of 1e-7 of its size: its gradients are below the smallest number of float16."""
    x, y = toy_jets

    def small(y, logits):
        return 1e-7 * keras.losses.categorical_crossentropy(y, logits, from_logits=True)

    moved = []
    for scale in (True, False):
        tagger = network("mixed_float16", dropout=0.0)
        model = AdversarialTagger(tagger, FGSM(toy_threat_model()))
        model.compile(keras.optimizers.SGD(1e6), small, auto_scale_loss=scale, jit_compile=False)
        before = tagger.get_weights()
        model.train_on_batch(x, y)
        moved.append([(new != old).mean() for new, old in zip(tagger.get_weights()[:4], before[:4], strict=True)])
    assert min(moved[0]) > 0.9 and max(moved[1]) < 0.1


def test_a_scale_that_is_too_large_costs_steps_and_no_weights(toy_jets):
    x, y = toy_jets
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**40)
    model = compiled(network("mixed_float16"), AttackedBatches(FGSM(toy_threat_model())), optimizer, jit_compile=False)
    before = model.tagger.get_weights()
    model.train_on_batch(x, y)
    assert int(model.optimizer.iterations) == 0 and float(model.optimizer.dynamic_scale) == 2.0**39
    for new, old in zip(model.tagger.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)
    for _ in range(30):
        model.train_on_batch(x, y)
    assert int(model.optimizer.iterations) > 0
    assert all(np.isfinite(weight).all() for weight in model.tagger.get_weights())


def test_trainer_comes_back_with_its_scale(toy_jets, tmp_path):
    x, y = toy_jets
    model = compiled(network("mixed_float16"), AttackedBatches(FGSM(toy_threat_model())))
    model.fit(x, y, batch_size=50, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(again.optimizer.inner_optimizer, keras.optimizers.SGD)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("given", [{"defense": "ibp"}, {"defense": "crown-ibp"}, {"model": "lipschitz_mlp"}])
def test_limits_do_not_go_with_16_bits(given):
    with pytest.raises(UserError, match="needs hidden layers in float32: its limits do not enclose the rounding of bfloat16"):
        Settings.resolve(given | {"mixed": "bfloat16"})
