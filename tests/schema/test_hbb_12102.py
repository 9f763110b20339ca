"""CERN Open Data 12102 in both of its formats, on made-up files of that shape, and CMS's tagger on it."""

import dataclasses

import awkward as ak
import h5py
import numpy as np
import pytest

from kerastag import schema as schemas
from kerastag.files import read_json
from kerastag.leaderboard import entry_files
from kerastag.schema import DEEPDOUBLEX
from tests.conftest import run_command
from tests.legacy.conftest import WEIGHTS, needs_weights
from tests.schema.test_examples import JETS, hbb_12102, read, written

SCHEMA = schemas.get("hbb_12102")
COLUMNS = hbb_12102()
# Slots of each kind of object in HDF5 files.
PADDED = {"pfcand": 100, "track": 60, "trackBTag": 60, "sv": 5}


def write_hdf5(path, columns):
    """An array for each variable, padded with 0."""
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            if isinstance(values, ak.Array):
                slots = PADDED[name.partition("_")[0]]
                values = ak.to_numpy(ak.fill_none(ak.pad_none(values, slots, clip=True), 0)).astype("f4")
            file.create_dataset(name, data=values, compression="gzip")


def both_formats(folder, columns):
    written(folder / "ntuple_merged_0.root", SCHEMA.tree, columns)
    write_hdf5(folder / "ntuple_merged_0.h5", columns)
    return read(folder / "ntuple_merged_0.root", SCHEMA), read(folder / "ntuple_merged_0.h5", SCHEMA)


def test_features_are_those_of_the_tagger_in_its_order():
    def facts(schema):
        return [dataclasses.replace(feature, branch="") for feature in schema.features]

    assert facts(SCHEMA) == facts(DEEPDOUBLEX["BvL"])
    assert SCHEMA.ties == DEEPDOUBLEX["BvL"].ties
    assert SCHEMA.class_names == DEEPDOUBLEX["BvL"].class_names
    assert SCHEMA.main.sides == ("Hbb", "QCD")


def test_both_formats_hold_the_same_jets(tmp_path):
    from_root, from_hdf5 = both_formats(tmp_path, COLUMNS)
    np.testing.assert_array_equal(from_root.features, from_hdf5.features)
    np.testing.assert_array_equal(from_root.label, from_hdf5.label)
    for name in ("event", "pt", "eta", "soft_drop_mass", "entry"):
        np.testing.assert_array_equal(from_root.spectators[name], from_hdf5.spectators[name])


@pytest.mark.parametrize(
    ("feature", "branch"),
    [
        ("pf_ptrel_noclip_59", "pfcand_ptrel"),
        ("pf_hadFrac_0", "pfcand_hcalFrac"),
        ("cpf_trackSip3dSig_39", "trackBTag_Sip3dSig"),
        ("cpf_chi2_3", "track_normchi2"),
        ("sv_costhetasvpv_4", "sv_costhetasvpv"),
    ],
)
def test_slots_hold_the_first_objects_as_stored(feature, branch, tmp_path):
    jets, _ = both_formats(tmp_path, COLUMNS)
    slot = int(feature.rpartition("_")[2])
    expected = [values[slot] if slot < len(values) else 0 for values in COLUMNS[branch].to_list()]
    np.testing.assert_array_equal(jets.features[:, SCHEMA.index(feature)], np.float32(expected))


def test_quantities_of_the_first_axis_have_their_own_names(tmp_path):
    jets, _ = both_formats(tmp_path, COLUMNS)
    for name, branch in (
        ("tau1_trackEtaRel_1", "fj_tau0_trackEtaRel_1"),
        ("tau1_vertexDeltaR", "fj_tau_vertexDeltaR_0"),
        ("tau1_vertexEnergyRatio", "fj_tau_vertexEnergyRatio_0"),
    ):
        np.testing.assert_array_equal(jets.features[:, SCHEMA.index(name)], COLUMNS[branch])


def test_labels_need_both_flags_and_jets_lie_in_the_window(tmp_path):
    columns = {name: values if isinstance(values, ak.Array) else values.copy() for name, values in COLUMNS.items()}
    columns["sample_isQCD"][0] = columns["fj_isBB"][1] = 0
    columns["fj_sdmass"][2:4] = 39, 201
    columns["fj_pt"][4:6] = 299, 2001
    for jets in both_formats(tmp_path, columns):
        np.testing.assert_array_equal(jets.spectators["entry"], np.arange(6, JETS))
        np.testing.assert_array_equal(jets.label, np.arange(6, JETS) % 2)


@needs_weights
@pytest.mark.slow
def test_the_tagger_of_cms_scores_both_formats_alike(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTAG_WEIGHTS", str(WEIGHTS))
    results = []
    for suffix in ("root", "h5"):
        folder = tmp_path / suffix
        folder.mkdir()
        both_formats(folder, COLUMNS)
        (folder / f"ntuple_merged_0.{'h5' if suffix == 'root' else 'root'}").unlink()
        where = ["--config", "hbb_12102", "--manual-dir", folder, "--data-dir", folder / "data", "--split", "all"]
        quick = ["--attack", "fgsm", "--objective", "cross_entropy", "--replicates", 5]
        done = run_command("evaluate", "DeepDoubleBvL", *where, *quick, "--output", folder / "out")
        assert done.code == 0, done.err
        results.append(read_json(folder / "out" / "metrics.json"))
    assert results[0]["jets"] == JETS and results[0]["results"].keys() == {"DeepDoubleBvL"}
    clean, again = (content["results"]["DeepDoubleBvL"]["clean"] for content in results)
    assert clean["cross_entropy"] == pytest.approx(again["cross_entropy"], rel=1e-5)


@needs_weights
@pytest.mark.slow
def test_the_tagger_of_cms_can_be_entered_in_the_leaderboard(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTAG_WEIGHTS", str(WEIGHTS))
    (tmp_path / "files").mkdir()
    both_formats(tmp_path / "files", COLUMNS)
    (tmp_path / "files" / "ntuple_merged_0.h5").unlink()
    where = ["--config", "hbb_12102", "--manual-dir", tmp_path / "files", "--data-dir", tmp_path / "data", "--split", "all"]
    quick = ["--attack", "fgsm", "--replicates", 5, "--entries", tmp_path / "board"]
    done = run_command("leaderboard", "--evaluate", "DeepDoubleBvL", *where, *quick)
    assert done.code == 0, done.err
    entry = entry_files.read(tmp_path / "board" / "DeepDoubleBvL.json")
    assert (entry.sample.config, entry.sample.jets, entry.discriminator) == ("hbb_12102", JETS, SCHEMA.main.name)
    assert (entry.architecture, entry.parameters) == ("DeepDoubleBvL", 57_540)
    assert entry.best.area.value < entry.clean.value
