"""Outputs of CMS on its jets against ours, with the data set that `tfds build tfds_jets --config deepcsv` makes."""

import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import tensorflow as tf
import uproot

from kerastag import data, legacy
from kerastag.metrics import discriminator_auc
from tests.legacy.conftest import PFNANO, WEIGHTS, needs_weights

pytestmark = [needs_weights, pytest.mark.skipif(not PFNANO.is_file(), reason="CMS's jets are not part of the repository")]


@pytest.fixture(scope="module")
def jets(tmp_path_factory):
    """Features and labels of the 64 jets in the order of the file."""
    folder = tmp_path_factory.mktemp("pfnano")
    (folder / "files").mkdir()
    (folder / "files" / PFNANO.name).symlink_to(PFNANO)
    command = [Path(sys.executable).parent / "tfds", "build", "tfds_jets", "--config", "deepcsv", "--manual_dir"]
    root = Path(__file__).parents[2]
    subprocess.run([*command, folder / "files", "--data_dir", folder / "data"], check=True, capture_output=True, cwd=root)
    dataset = data.prepare("deepcsv", data_dir=folder / "data")
    splits = [dataset.arrays(split) for split in dataset.jets if sum(dataset.jets[split].values())]
    order = np.argsort(np.concatenate([split.spectators["entry"] for split in splits]))
    return tuple(np.concatenate([getattr(split, name) for split in splits])[order] for name in ("features", "label"))


@pytest.fixture(scope="module")
def outputs():
    """Outputs b, bb, c, udsg of CMS, float32 `(64, 4)`; -1 where it gave no answer."""
    with uproot.open(PFNANO) as file:
        names = ("Jet_btagDeepB_b", "Jet_btagDeepB_bb", "Jet_btagDeepC", "Jet_btagDeepL")
        return np.stack([ak.to_numpy(ak.flatten(file["Events"][name].array())) for name in names], axis=1)


def test_all_jets_agree_with_cms(jets, outputs):
    features, _ = jets
    answered = outputs[:, 0] >= 0
    assert features.shape == (64, 66)
    assert answered.sum() == 51
    probabilities = tf.nn.softmax(legacy.load("DeepCSV", WEIGHTS)(features)).numpy()
    difference = abs(probabilities - outputs)[answered].max()
    print(f"DeepCSV: largest difference to the outputs of CMS on {answered.sum()} jets {difference:.1e}")
    assert difference <= 1e-3
    # The files keep 10 bits of a number; a wrong jet pT alone would move a jet by 0.02.
    assert difference == pytest.approx(5.2e-4, abs=0.5e-4)


def test_area_of_a_missing_flavour_is_not_defined(jets):
    _, label = jets
    assert np.bincount(label, minlength=3).tolist() == [0, 3, 61]
    areas = discriminator_auc(label, np.zeros((64, 3)))
    assert str(areas["BvL"]) == str(areas["CvB"]) == "not defined: no b jets"
    assert areas["CvL"] == 0.5
