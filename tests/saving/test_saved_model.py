import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastag
from kerastag.attacks import FGSM, ThreatModel
from kerastag.errors import UserError
from kerastag.request import PAPER
from kerastag.saving import description, export
from kerastag.training.adversarial_tagger import AdversarialTagger
from tests.toy import toy_threat_model


@pytest.fixture
def saved(dataset, tagger, tmp_path):
    export(tagger, dataset.schema, dataset.statistics, tmp_path / "saved_model")
    return tmp_path / "saved_model"


def test_fresh_process_without_kerastag_gives_the_same_scores(dataset, tagger, saved, tmp_path):
    x = dataset.arrays("test").features
    np.save(tmp_path / "x.npy", x)
    code = (
        "import numpy as np, tensorflow as tf\n"
        f"model = tf.saved_model.load('{saved}'); x = tf.constant(np.load('{tmp_path}/x.npy'))\n"
        f"np.savez('{tmp_path}/out.npz', logits=model.logits(x), probabilities=model.probabilities(x),\n"
        "  served=model.signatures['serving_default'](x)['probabilities'])"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ""}, cwd=tmp_path)
    with np.load(tmp_path / "out.npz") as found:
        logits = tagger(x).numpy()
        np.testing.assert_allclose(found["logits"], logits, atol=1e-6 * abs(logits).max())
        np.testing.assert_allclose(found["probabilities"], tf.nn.softmax(logits), atol=1e-6)
        np.testing.assert_array_equal(found["served"], found["probabilities"])


def test_loaded_saved_model_is_attacked_like_the_original(dataset, tagger, saved, jets):
    attack = FGSM(ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.1, physics=PAPER))
    loaded = kerastag.load(saved)
    np.testing.assert_array_equal(attack(loaded, *jets), attack(tagger, *jets))
    # Cells at the median are where a lost gradient would show.
    median = tf.constant(np.tile(dataset.statistics.median.astype(np.float32), (3, 1)))
    moved = attack(loaded, median, tf.eye(3)).numpy()
    np.testing.assert_array_equal(moved, attack(tagger, median, tf.eye(3)))
    assert np.mean(moved != median.numpy()) > 0.8


def test_schema_and_scale_travel_along(dataset, saved):
    import json

    assert description(saved) == dataset.schema
    content = json.loads((saved / "assets" / "kerastag.json").read_text())
    assert content["statistics"]["sigma"] == dataset.statistics.sigma.tolist()


def test_keras_file_of_a_tagger_or_its_trainer(tagger, jets, tmp_path):
    tagger.save(tmp_path / "plain.keras")
    AdversarialTagger(tagger).save(tmp_path / "trainer.keras")
    for name in ("plain.keras", "trainer.keras"):
        np.testing.assert_array_equal(kerastag.load(tmp_path / name)(jets[0]), tagger(jets[0]))


def test_what_is_no_tagger_is_named(tmp_path):
    (tmp_path / "a.keras").write_text("nothing")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    for name in ("a.keras", "damaged", "missing"):
        with pytest.raises(UserError, match=name):
            kerastag.load(tmp_path / name)


@pytest.mark.slow
def test_a_trainer_saved_whole_is_loaded_as_its_tagger_in_a_fresh_process(toy_tagger, toy_jets, tmp_path):
    """Its classes are registered by whoever loads it."""
    model = AdversarialTagger(toy_tagger, FGSM(toy_threat_model()))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(*toy_jets, verbose=0)
    model.save(tmp_path / "trainer.keras")
    code = f"import kerastag; print(kerastag.load({str(tmp_path / 'trainer.keras')!r}).name)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == toy_tagger.name, result.stderr
