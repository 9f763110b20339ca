"""XLA compiles the step of every defence and every model on a CPU, and what it makes is the same but for rounding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, PGD, ThreatModel
from kerastag.catalogue import DEFENSES as CATALOGUE
from kerastag.catalogue import MODELS
from kerastag.request import Physics
from kerastag.training import TRADES, AdversarialTagger, BoundedLoss, Consistency
from tests.models import checks
from tests.models.test_every_model import TINY, schema_of
from tests.toy import SCALE, TOY, toy_threat_model
from tests.training import test_mixed

# Without random starts, whose numbers XLA draws otherwise; TRADES climbs from the clean jet by a discriminator then.
STILL = {"steps": 2, "random_start": False, "try_corner": False, "objective": "+BvL"}
DETERMINISTIC = {
    name: test_mixed.DEFENSES[name]
    for name in ("nominal", "fgsm", "fgsm-mixed", "ngm every second", "input-gradient", "cure", "sam", "asam", "awp", "domain")
} | {
    "trades": lambda tm: TRADES(PGD(tm, **STILL)),
    "consistency": lambda tm: Consistency(PGD(tm, **STILL)),
    "crown-ibp": lambda tm: BoundedLoss(ThreatModel.from_schema(TOY, SCALE, 0.1, physics=Physics(untied=True))),
    "ibp": lambda tm: BoundedLoss(ThreatModel.from_schema(TOY, SCALE, 0.1, physics=Physics(untied=True)), "interval"),
}
RANDOM = {name: test_mixed.DEFENSES[name] for name in ("fgsm-rs", "pgd", "trades", "noise", "rdsa", "free", "ramp")}


def relu_network():
    keras.utils.set_random_seed(4)
    inputs = keras.Input((20,))
    x = keras.layers.Dense(8, "relu")(keras.layers.Rescaling(1 / SCALE)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def trained(tagger, defense, x, y, jit, optimizer=None):
    model = AdversarialTagger(tagger, defense=defense)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss, jit_compile=jit)
    model.fit(x, y, batch_size=50, epochs=2, shuffle=False, verbose=0)
    return model.tagger.get_weights()


def test_every_defence_is_compiled_here():
    """A new line in the catalogue needs one here."""
    other_names = {"pgd-N": "pgd", "ngm": "ngm every second", "variations": "nominal", "variations-fgsm": "fgsm"}
    other_names |= {"variations-input-gradient": "input-gradient", "lipschitz": "nominal"}
    assert {other_names.get(name, name) for name in CATALOGUE} <= DETERMINISTIC.keys() | RANDOM.keys()
    assert set(MODELS) <= TINY.keys() | SAME_CODE.keys() | {"mlp", "paper_mlp", "deep_sets"}


@pytest.mark.slow
@pytest.mark.parametrize("make", DETERMINISTIC.values(), ids=DETERMINISTIC)
def test_a_compiled_step_is_the_same_where_nothing_is_random(make, toy_jets):
    plain, compiled = (trained(relu_network(), make(toy_threat_model()), *toy_jets, jit) for jit in (False, True))
    for one, other in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", RANDOM)
def test_a_compiled_random_attack_trains_as_well(name, toy_jets):
    plain, compiled = (trained(relu_network(), RANDOM[name](toy_threat_model()), *toy_jets, jit) for jit in (False, True))
    assert all(np.isfinite(weight).all() for weight in compiled)
    size = max(abs(weight).max() for weight in plain)
    assert max(abs(one - other).max() for one, other in zip(plain, compiled, strict=True)) < 0.2 * size


SAME_CODE = {"particle_net_lite": "particle_net", "particle_transformer_small": "particle_transformer"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "paper_mlp", "deep_sets", *TINY])
def test_a_compiled_model_makes_the_same_attacked_step(name):
    from kerastag import models

    schema = schema_of(name)
    x = checks.made_up(schema)
    y = checks.labels(len(x), 3)
    changes = []
    for jit in (False, True):
        keras.utils.set_random_seed(3)
        tagger = TINY.get(name, models.get(name) if name in MODELS else None)(schema, checks.flat_statistics(schema))
        for layer in tagger._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        model = AdversarialTagger(tagger, FGSM(checks.threat_model(schema)))
        model.compile(keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=jit)
        before = tagger.get_weights()
        model.train_on_batch(x, tf.constant(y))
        changes.append([new - old for new, old in zip(tagger.get_weights(), before, strict=True)])
    size = max(abs(change).max() for change in changes[0])
    assert size > 0
    # A cell whose gradient is nothing but rounding may go the other way.
    assert max(abs(one - other).max() for one, other in zip(*changes, strict=True)) < 0.02 * size
