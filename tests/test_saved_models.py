"""The taggers that come along, on the first jets of the sample that comes along."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kerastag
from kerastag.attacks import FGSM, ThreatModel
from kerastag.metrics import discriminator_auc
from kerastag.schema import JET_FLAVOR
from tfds_jets import reading
from tfds_jets.tfds_jets_dataset_builder import SAMPLE_FILE

FOLDER = Path(__file__).parents[1] / "saved_models"


@pytest.fixture(scope="module")
def jets():
    """Features and one-hot labels of 6,000 jets."""
    chunks = reading.read([reading.RootFile.of(SAMPLE_FILE)], JET_FLAVOR, "", reading.Cleaning.none(JET_FLAVOR))
    chunk = next(chunks)
    return tf.constant(chunk.features[:6000]), tf.constant(np.eye(3, dtype=np.float32)[chunk.label[:6000]])


def areas(name: str, jets, epsilon: float) -> dict[str, float]:
    """Areas of a tagger under FGSM."""
    x, y = jets
    tagger = kerastag.load(FOLDER / f"jet_flavor_{name}")
    scale = np.maximum(x.numpy().std(axis=0), 1e-30)
    attack = FGSM(ThreatModel.from_schema(JET_FLAVOR, scale, epsilon=epsilon))
    return discriminator_auc(y.numpy(), tagger(attack(tagger, x, y)).numpy())


@pytest.mark.parametrize("name", ["nominal", "adversarial"])
def test_keras_file_and_saved_model_agree_and_tag(name, jets):
    x, y = jets
    folder = FOLDER / f"jet_flavor_{name}"
    scores = kerastag.load(folder / "tagger.keras")(x).numpy()
    np.testing.assert_allclose(kerastag.load(folder / "saved_model")(x), scores, atol=1e-4)
    assert discriminator_auc(y.numpy(), scores)["BvL"] > 0.93
    settings = json.loads((folder / "config.json").read_text())["settings"]
    assert settings["model"] == "mlp"
    assert settings["adversarial"] == (name == "adversarial")


def test_adversarial_training_loses_less(jets):
    clean, attacked = ({name: areas(name, jets, epsilon) for name in ("nominal", "adversarial")} for epsilon in (0.0, 0.01))
    loss = {name: clean[name]["BvL"] - attacked[name]["BvL"] for name in clean}
    assert loss["nominal"] > 3 * loss["adversarial"] > 0
    assert clean["adversarial"]["BvL"] > clean["nominal"]["BvL"] - 0.01
