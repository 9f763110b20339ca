import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import models, saving
from kerastag.attacks import FGSM, ThreatModel
from kerastag.evaluation.flatness import flatness, surface
from kerastag.request import PAPER, Physics
from tests.toy import SCALE, TOY, toy_threat_model


def losses(tagger, x, y):
    return tf.nn.softmax_cross_entropy_with_logits(y, tagger(x, training=False))


@pytest.fixture(scope="module")
def measured(toy_jets, toy_tagger):
    x, y = (values.numpy()[:40] for values in toy_jets)
    return x, y, flatness(toy_tagger, x, y, toy_threat_model(0.05), iterations=300)


def test_curvature_is_the_largest_eigenvalue_of_the_hessian(measured, toy_tagger):
    x, y, results = measured
    free = (np.asarray(toy_threat_model(0.05).budget(x)) > 0) * SCALE
    points = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(points)
        with tf.GradientTape() as inner:
            inner.watch(points)
            loss = losses(toy_tagger, points, y)
        gradient = inner.gradient(loss, points)
    hessian = outer.batch_jacobian(gradient, points).numpy()
    expected = [
        np.linalg.eigvalsh(scale[:, None] * matrix * scale[None, :])[-1] for scale, matrix in zip(free, hessian, strict=True)
    ]
    np.testing.assert_allclose(results["curvature"], expected, rtol=0.02, atol=1e-3 * np.max(expected))
    np.testing.assert_allclose(results["gradient_norm"], np.linalg.norm(gradient * free, axis=1), rtol=1e-4)


def test_adversarial_rise_is_that_of_fgsm_and_exceeds_random_ones(measured, toy_tagger):
    x, y, results = measured
    attacked = FGSM(toy_threat_model(0.05))(toy_tagger, x, y)
    np.testing.assert_allclose(
        results["rise_adversarial"], losses(toy_tagger, attacked, y) - losses(toy_tagger, x, y), atol=1e-5
    )
    assert (np.abs(results["rise_random"]) < np.abs(results["rise_adversarial"]) + 1e-6).mean() > 0.95


def test_random_rise_of_a_bowl_is_its_curvature():
    """With z = (|u|², 0, 0) and the label 1, J rises with |u|² to first order: by the share of the first class times ε²n."""
    inputs = keras.Input((20,))
    z = keras.ops.sum((inputs / SCALE.astype("float32")) ** 2, axis=1, keepdims=True)
    tagger = keras.Model(inputs, keras.ops.concatenate([z, 0 * z, 0 * z], axis=1))
    x, y = np.zeros((8, 20), np.float32), np.tile([[0, 1, 0]], (8, 1)).astype(np.float32)
    threat_model = toy_threat_model(0.01)
    free = (np.asarray(threat_model.budget(x[:1])) > 0).sum()
    results = flatness(tagger, x, y, threat_model)
    np.testing.assert_allclose(results["rise_random"], 1e-4 * free / 3, rtol=0.01)
    np.testing.assert_allclose(results["curvature"], 2 / 3, rtol=1e-3)
    np.testing.assert_allclose(results["gradient_norm"], 0, atol=1e-6)


def test_surface_is_the_loss_at_its_points(toy_jets, toy_tagger):
    x, y = (values.numpy()[3] for values in toy_jets)
    steps = np.array([-0.5, 0.0, 0.25])
    losses_at_steps = surface(toy_tagger, x, y, (4, 17), SCALE, steps)
    moved = x.copy()
    moved[4] += 0.25 * SCALE[4]
    moved[17] += -0.5 * SCALE[17]
    assert losses_at_steps[0, 2] == pytest.approx(float(losses(toy_tagger, moved[None], y[None])[0]), rel=1e-5)
    assert losses_at_steps[1, 1] == pytest.approx(float(losses(toy_tagger, x[None], y[None])[0]), rel=1e-5)


@pytest.mark.slow
def test_a_saved_model_is_as_flat_as_what_it_was_made_of(dataset, jets, tmp_path):
    """The custom gradient of `symlog` travels with it, and can be differentiated once more."""
    keras.utils.set_random_seed(1)
    tagger = models.mlp(dataset.schema, dataset.statistics, hidden=(8,))
    saving.export(tagger, dataset.schema, dataset.statistics, tmp_path / "saved_model")
    x, y = (values.numpy()[:50] for values in jets)
    threat_model = ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.01, physics=PAPER)
    expected = flatness(tagger, x, y, threat_model, iterations=5)
    reloaded = flatness(saving.load(tmp_path / "saved_model"), x, y, threat_model, iterations=5)
    for name, values in expected.items():
        np.testing.assert_allclose(reloaded[name], values, rtol=1e-3, atol=1e-5)


def test_sizes_that_depend_on_the_jet_are_the_unit(toy_jets, toy_tagger, tmp_path):
    """A share of a value is its own unit; as a number of the scale it would underflow."""
    file = tmp_path / "own.toml"
    file.write_text('title = "t"\n[toy]\npt = {share = 0.01}\n')
    threat_model = ThreatModel.from_schema(TOY, SCALE, 1.0, physics=Physics(budget=str(file), bounds=False))
    x, y = (values.numpy()[:40] for values in toy_jets)
    found = flatness(toy_tagger, x, y, threat_model, iterations=50)
    points, pt = tf.constant(x), TOY.index("pt")
    with tf.GradientTape() as tape:
        tape.watch(points)
        loss = losses(toy_tagger, points, y)
    steepness = np.abs(tape.gradient(loss, points)[:, pt] * 0.01 * x[:, pt])
    np.testing.assert_allclose(
        found["gradient_norm"], np.where(x[:, pt] == TOY.defaults[pt], 0, steepness), rtol=1e-4, atol=1e-9
    )
    assert (found["gradient_norm"] > 0).any() and np.isfinite(found["curvature"]).all()
