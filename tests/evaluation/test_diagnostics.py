import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import APGD, PGD, ThreatModel, attacked_features
from kerastag.evaluation import diagnostics
from kerastag.evaluation.diagnostics import Losses, check_robustness, markdown
from kerastag.metrics import DISCRIMINATORS

WIDTH = 12
BVL = DISCRIMINATORS["BvL"]


@pytest.fixture(scope="module")
def jets():
    """Three flavours that a linear tagger tells apart, in features of unit size; float32 and one-hot."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, 3, 1500)
    centres = generator.normal(size=(3, WIDTH))
    return (centres[label] + generator.normal(size=(1500, WIDTH))).astype(np.float32), np.eye(3, dtype=np.float32)[label]


def threat_model(epsilon=0.1):
    return ThreatModel(epsilon, np.ones(WIDTH), np.zeros(WIDTH), np.full(WIDTH, -99.0))


@pytest.fixture(scope="module")
def honest(jets):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((WIDTH,))
    tagger = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(16, "tanh")(inputs)))
    tagger.compile(keras.optimizers.Adam(1e-2), keras.losses.CategoricalCrossentropy(from_logits=True))
    tagger.fit(*jets, epochs=5, verbose=0)
    return tagger


class Steps(keras.layers.Layer):
    """Rounds the inputs, so the gradient is 0 nearly everywhere: a mask, and no robustness."""

    def call(self, inputs):
        return tf.round(inputs / 0.05) * 0.05


class Confusing(keras.layers.Layer):
    """Leaves the inputs as they are but turns the gradient around."""

    def call(self, inputs):
        @tf.custom_gradient
        def same(x):
            return tf.identity(x), lambda upstream: -upstream

        return same(inputs)


def by_name(tagger, jets, **options):
    """The checks of a tagger by their names."""
    return {check.name: check for check in check_robustness(tagger, *jets, threat_model(), **options)}


def test_honest_tagger_passes_everything(honest, jets):
    other = keras.models.clone_model(honest)
    checks = by_name(honest, jets, sources={"other": other}, separation=BVL)
    assert [name for name, check in checks.items() if check.passed is not True] == []
    assert len(checks) == 12
    assert -0.5 < checks["certificate"].value <= 0
    assert checks["many steps"].value > checks["attacked"].limit
    assert checks["growth"].value > 0.001
    assert checks["unlimited"].limit == pytest.approx(np.log(3), abs=0.01)


def test_many_steps_are_twenty(honest, jets):
    pgd = PGD(threat_model(), steps=20, try_corner=False)
    assert by_name(honest, jets)["many steps"].value == Losses(honest, *jets).under(pgd)


def test_random_corners_are_the_same_each_time(honest, jets):
    losses = Losses(honest, *jets)
    assert losses.at_random_corners(threat_model()) == losses.at_random_corners(threat_model())


def test_rounded_inputs_are_seen_through(honest, jets):
    inputs = keras.Input((WIDTH,))
    masked = keras.Model(inputs, honest(Steps()(inputs)))
    checks = by_name(masked, jets, sources={"itself without the mask": honest})
    failed = {name for name, check in checks.items() if check.passed is False}
    assert {"zero gradients", "random", "growth", "transfer from itself without the mask"} <= failed
    assert checks["zero gradients"].value == 1


def test_gradients_that_point_away_are_seen_through(honest, jets):
    inputs = keras.Input((WIDTH,))
    masked = keras.Model(inputs, honest(Confusing()(inputs)))
    failed = {name for name, check in by_name(masked, jets).items() if check.passed is False}
    assert {"attacked", "random"} <= failed


def test_saturation_is_seen(honest, jets):
    inputs = keras.Input((WIDTH,))
    loud = keras.Model(inputs, keras.layers.Rescaling(1000.0)(honest(inputs)))
    assert by_name(loud, jets)["saturation"].passed is False


def test_table_says_what_was_not_looked_at(honest, jets):
    text = markdown({"a": check_robustness(honest, *jets, threat_model())})
    row = next(line for line in text.splitlines() if "transfer" in line)
    assert "not looked at" in row and "no other tagger" in row and "nan" not in row
    assert text.count(" pass ") == 10


def test_limits_that_an_attack_exceeds_are_a_bug_of_ours(honest, jets, monkeypatch):
    def too_narrow(tagger, low, high, y):
        middle = (low + high) / 2
        return tagger(middle) - tf.reduce_sum(y * tagger(middle), axis=1, keepdims=True)

    monkeypatch.setattr(diagnostics, "worst_logits", too_narrow)
    checks = by_name(honest, jets)
    check = checks["certificate"]
    assert check.passed is False and "a bug of kerastag" in check.meaning
    others = [one for one in checks.values() if one is not check]
    failed = dataclasses.replace(others[0], passed=False)
    assert diagnostics.beyond_limits({"fine": [*others, failed], "beyond": list(checks.values())}) == ["beyond"]


def test_margins_count_where_they_are_wrong(honest, jets):
    """Of b, c and light jets: those of b that look light, and light ones that look like b; c jets are on no side."""
    x, y = (part[:200] for part in jets)
    logits = honest(x).numpy()
    expected = (y[:, 2] - y[:, 0]) * (logits[:, 0] - logits[:, 2])
    np.testing.assert_allclose(Losses(honest, x, y, BVL).each(x), expected, rtol=1e-5)


@pytest.mark.parametrize("attack", ["FGSM", "PGD", "APGD"])
def test_each_attack_alone_shows_limits_that_are_too_narrow(honest, jets, monkeypatch, attack):
    losses = Losses(honest, *(part[:200] for part in jets), BVL)
    strongest = attacked_features(honest, losses.x, losses.y, APGD(threat_model(), "BvL", steps=20))
    assert (losses.each(strongest) <= losses.certified(threat_model()) + 1e-4).all()
    monkeypatch.setattr(Losses, "certified", lambda losses, box: losses.each(losses.x) + 0.01)
    for name in {"FGSM", "PGD", "APGD"} - {attack}:
        monkeypatch.setattr(diagnostics, name, lambda box, objective, **options: None)
    check = diagnostics._certificate(losses, threat_model())
    assert check.name == "certificate of BvL" and check.passed is False and "a bug of kerastag" in check.meaning
    reached = losses.each(strongest) - losses.each(losses.x) - 0.01
    assert check.value == pytest.approx(reached.max(), rel=0.1)


def test_a_tagger_without_rules_is_not_looked_at(jets):
    inputs = keras.Input((WIDTH,))
    tagger = keras.Model(inputs, keras.layers.Dense(3)(Steps()(inputs)))
    check = by_name(tagger, jets)["certificate"]
    assert check.passed is None and "the layer 'steps" in check.meaning


def test_signs_that_no_tagger_here_gives_are_seen(honest, jets, monkeypatch):
    assert diagnostics._many_steps(1.0, 1.1).passed is False and diagnostics._many_steps(1.1, 1.0).passed is True
    assert diagnostics._adaptive_steps(1.0, 1.1).passed is False and diagnostics._adaptive_steps(1.1, 1.0).passed is True
    losses = Losses(honest, *jets)
    monkeypatch.setattr(Losses, "under", lambda losses, attack: 2.0)
    assert diagnostics._unlimited(losses, threat_model()).passed is True
    assert diagnostics._leaking(losses, threat_model(), fgsm=1.0).passed is False
    monkeypatch.setattr(Losses, "under", lambda losses, attack: 1.0)  # less than ln 3 of a constant answer
    assert diagnostics._unlimited(losses, threat_model()).passed is False
