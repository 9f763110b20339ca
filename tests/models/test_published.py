"""Published weights give the logits of the published implementations, in every jet."""

import shutil
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import models
from kerastag.errors import UserError
from tests.models import checks

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "golden"
NETWORKS = {"particle_net_full": 370_156, "particle_net_kin": 368_216, "particle_transformer_small": 70_894}

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the published weights are not part of the repository")


def golden(name: str) -> tuple[keras.Model, dict[str, tf.Tensor], np.ndarray]:
    """The model, its inputs and the published logits."""
    with np.load(GOLDEN / f"{name}.npz") as stored:
        names = ("features", "mask", "vectors" if "vectors" in stored else "points")
        inputs = {name: tf.constant(stored[name].transpose(0, 2, 1), tf.float32) for name in names}
        return models.published(GOLDEN / f"{name}.npz", slots=stored["mask"].shape[-1]), inputs, stored["logits"]


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_the_published_ones_in_every_jet(name):
    model, inputs, expected = golden(name)
    particles = inputs["mask"].numpy().sum(axis=(1, 2))
    assert {1, 2, 17} <= set(particles) and particles.max() > 17
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == NETWORKS[name]
    as_in_training = tf.function(lambda x: model(x, training=False))
    for logits in (model(inputs), as_in_training(inputs)):
        difference = abs(logits.numpy() - expected).max(axis=1) / abs(expected).max(axis=1)
        print(f"{name}: {len(difference)} jets, largest relative difference {difference.max():.1e}")
        assert difference.max() < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_published_weights_do_not_depend_on_slots(name):
    """To the rounding of float32, of which `checks.check_change` tells."""
    model, inputs, expected = golden(name)
    slots = inputs["mask"].shape[1]
    order = np.random.default_rng(0).permutation(slots)
    permuted = model({key: tf.gather(values, order, axis=1) for key, values in inputs.items()})
    longer = models.published(GOLDEN / f"{name}.npz", slots=slots + 3)
    appended = longer({key: tf.pad(values, ((0, 0), (0, 3), (0, 0))) for key, values in inputs.items()})
    for what, logits in (("slots in another order", permuted), ("3 more empty slots", appended)):
        change = checks.Change(float(abs(logits - model(inputs)).numpy().max()), float(abs(expected).max()))
        checks.check_change(change, model, what)


def test_rounding_of_masses_is_what_compilation_changes():
    model, inputs, expected = golden("particle_transformer_small")
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)(inputs).numpy()
    difference = abs(compiled - expected).max(axis=1) / abs(expected).max(axis=1)
    print(f"compiled with XLA: median {np.median(difference):.1e}, largest {difference.max():.1e}")
    assert difference.max() < 1e-2


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_finite_with_any_number_of_particles(name):
    model, inputs, _ = golden(name)
    inputs["mask"] = tf.concat([inputs["mask"][1:], tf.zeros_like(inputs["mask"][:1])], 0)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        logits = model(inputs)
    gradients = tape.gradient(logits, inputs)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values() if gradient is not None)
    assert gradients["features"].numpy().any() and np.isfinite(logits).all()


def test_padded_slots_are_never_seen():
    model, inputs, _ = golden("particle_transformer_small")
    noise = np.random.default_rng(0).normal(size=inputs["features"].shape).astype(np.float32)
    other = {**inputs, "features": inputs["features"] + noise * (1 - inputs["mask"])}
    np.testing.assert_array_equal(model(other), model(inputs))


def test_files_that_are_none_of_these_are_refused(tmp_path):
    file = tmp_path / "weights.npz"

    def refused(match: str, **arrays: np.ndarray) -> None:
        np.savez(file, **arrays)
        with pytest.raises(UserError, match=match):
            models.published(file)

    with np.load(GOLDEN / "particle_net_kin.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    wrong = arrays["weights/edge_convs.1.convs.0.weight"]
    refused("weights of no ParticleNet", **{**arrays, "weights/edge_convs.1.convs.0.weight": wrong[:, :-1]})
    refused("'weights/more' besides|'more' besides", **arrays, **{"weights/more": np.zeros(3)})
    del arrays["weights/fc.1.bias"]
    refused("fc.1.bias", **arrays)
    refused("weights of no ParticleNet")
    refused("cannot be read as .npz", **{"weights/cls_token": np.array([{}], dtype=object)})
    file.write_bytes(b"no zip")
    with pytest.raises(UserError, match="cannot be read as"):
        models.published(file)
    with pytest.raises(UserError, match="cannot be read as"):
        models.published(tmp_path / "absent.npz")


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):

    shutil.copy(GOLDEN / "particle_net_kin.npz", tmp_path / "weights.npz")
    unpacked = sum(entry.file_size for entry in zipfile.ZipFile(tmp_path / "weights.npz").infolist())
    monkeypatch.setattr(sys.modules[models.published.__module__], "_LARGEST_FILE", unpacked - 1)
    with pytest.raises(UserError, match=f"it unpacks to {unpacked:,} bytes"):
        models.published(tmp_path / "weights.npz")
