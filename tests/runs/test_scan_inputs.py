import dataclasses
import json

import numpy as np
import pytest

from kerastag import saving
from kerastag.attacks import FGSM, ThreatModel
from kerastag.errors import UserError
from kerastag.recipes import Settings
from kerastag.request import PAPER, SCAN
from kerastag.runs.scan_inputs import default_inputs, scan_inputs
from kerastag.schema import DEEPCSV, JET_FLAVOR


def test_default_sets_are_groups_and_rising_numbers_of_tracks():
    assert default_inputs(JET_FLAVOR) == [
        ("jet",),
        ("vertex",),
        ("jet", "vertex"),
        *[("jet", f"track:{tracks}") for tracks in (1, 2, 4, 6)],
        ("jet", "vertex", "track"),
    ]
    assert ("jet", "track:6") in default_inputs(DEEPCSV)


@pytest.mark.slow
def test_scan_trains_once_and_says_what_it_found(dataset, data_dir, tmp_path):
    # In the paper's box nothing is tied, so that an attack moves what the network sees and nothing else.
    given = {"config": "jet_flavor", "data_dir": str(data_dir), "epochs": 1, "model": "paper_mlp", "paper": True}
    settings = Settings.resolve(given)
    sets = [["jet", "track:1"], ["vertex"]]
    scan_inputs(settings, tmp_path, sets)
    content = json.loads((tmp_path / "inputs.json").read_text())
    assert [(row["inputs"], row["features"]) for row in content["rows"][::6]] == [("vertex", 6), ("jet + track:1", 38)]
    assert {row["training"] for row in content["rows"]} == {"nominal", "adversarial"}
    assert (tmp_path / "inputs.png").is_file() and "jet + track:1" in (tmp_path / "table.md").read_text()
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    scan_inputs(settings, tmp_path, sets)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    assert json.loads((tmp_path / "inputs.json").read_text()) == content
    scan_inputs(settings, tmp_path, sets, grid=dataclasses.replace(SCAN, objectives=("margin",)))
    aimed = json.loads((tmp_path / "inputs.json").read_text())["rows"]
    labels = [row["condition"] for row in content["rows"]]
    assert [row["condition"].replace(" on margin", "") for row in aimed] == labels and "FGSM on margin ε" in str(aimed)
    assert aimed != content["rows"]

    tagger = saving.load(tmp_path / "jet_track1-nominal-seed0")
    split = dataset.arrays("test")
    x, y = split.features[:200], split.y[:200]
    attack = FGSM(ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.05, physics=PAPER))
    moves = (np.asarray(attack(tagger, x, y)) != x).any(axis=0)
    seen = dataset.schema.restricted(["jet", "track:1"]).names
    assert {dataset.schema.names[column] for column in np.flatnonzero(moves)} <= set(seen)
    assert moves.sum() > 20


def test_unknown_groups_are_refused(dataset, data_dir, tmp_path):
    settings = Settings.resolve({"config": "jet_flavor", "data_dir": str(data_dir)})
    for inputs, sentence in (
        (["jets"], "has no group of inputs 'jets'; it has jet, vertex, track"),
        (["track:7"], "'track:7' asks for slots of the group 'track', which has 1 to 6 slots"),
        (["jet:1"], "which has no slots"),
    ):
        with pytest.raises(UserError, match=sentence):
            scan_inputs(settings, tmp_path / "out", [inputs])
    assert not list(tmp_path.iterdir())
