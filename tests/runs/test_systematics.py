"""`kerastag systematics` from simulated files to tables, on a few jets."""

import dataclasses
import json
import tomllib

import pytest

from kerastag import data, models
from kerastag.attacks.budgets import Budget
from kerastag.commands import execute
from kerastag.errors import UserError
from kerastag.evaluation.taggers import Tagger
from kerastag.request import SCAN
from kerastag.results import Interval, NotDefined, revived
from kerastag.runs.systematics import _groups, boxes
from kerastag.simulation import catalogue, production, variations
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.variation_folders import list_files
from tests.conftest import run_command

NAMES = ("nominal", "d0_bias_5um", "tune_a14")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of 300 jets: nominal, a bias of d0, a tune."""
    folder = tmp_path_factory.mktemp("variations")
    for name in NAMES:
        settings = SimulationSettings(seed=3, events_per_unit=150, variations=() if name == "nominal" else (name,))
        production.produce(folder / f"{name}.root", 300, settings, 1)
    return folder


@pytest.fixture(scope="module")
def tagger(dataset, tmp_path_factory):
    """A network that was never trained."""
    path = tmp_path_factory.mktemp("tagger") / "tagger.keras"
    models.mlp(dataset.schema, dataset.statistics, hidden=(8,)).save(path)
    return path


def arguments(tagger, folder, data_dir, output, *further):
    words = [f"first={tagger}", f"second={tagger}", "--variations", folder, "--data-dir", data_dir, "--output", output]
    return [str(word) for word in (*words, "--replicates", 10, *further)]


@pytest.mark.slow
def test_command_measures_and_writes(tagger, folder, dataset, data_dir, tmp_path):
    output, envelope = tmp_path / "out", tmp_path / "envelope.toml"
    words = arguments(tagger, folder, data_dir, output, "--envelope", envelope, "--no-trees", "--budgets", "alignment-5um")
    execute("systematics", words)
    content = json.loads((output / "systematics.json").read_text(), object_hook=revived)
    assert content["groups"] == {"uncertainties": ["d0_bias_5um"], "detector": ["d0_bias_5um"]}
    rows = {(row["variation"], row["tagger"]): row for row in content["rows"]}
    assert len(rows) == 4
    assert rows["d0_bias_5um", "first"]["paired"] > 0.95
    # There is no reseeded.root, so the nominal jets are the reference; they are other events.
    assert rows["tune_a14", "first"]["paired"] is None
    assert rows["tune_a14", "first"]["reference"] == "nominal"
    change = rows["d0_bias_5um", "first"]["BvL change"]
    assert isinstance(change, Interval)
    assert change.low < change.high
    assert change == rows["d0_bias_5um", "second"]["BvL change"]
    losses = [name for name in content["summary"][0] if name.startswith("loss under ")]
    assert losses == [f"loss under FGSM ε={box}" for box in ("0.01 paper's box", "0.01", "1 alignment-5um")]
    assert "tune_a14" in (output / "table.md").read_text()
    assert (output / "systematics.png").stat().st_size > 1000
    assert (output / "variations.csv").read_text().count("\n") == 5
    assert "nominal: " not in (output / "variations.md").read_text()

    budget = tomllib.loads(envelope.read_text())
    assert "d0_bias_5um" in budget["title"]
    sizes = budget["jet_flavor"]
    assert 0.001 < sizes["track_0_D0"]["light"] < 0.02
    assert "jet_eta" not in sizes
    assert not {name for name in sizes if dataset.schema.integer[dataset.schema.index(name)]}
    Budget.of(dataset.schema, dataset.statistics.sigma, 1.0, str(envelope))

    with pytest.raises(UserError, match=r"results in .* already"):
        execute("systematics", words)
    with pytest.raises(UserError, match=r"budget in .* already"):
        execute("systematics", arguments(tagger, folder, data_dir, tmp_path / "other", "--envelope", envelope))


def test_branches_of_the_files_are_compared_under_variations(tagger, folder, dataset, data_dir, tmp_path):
    scores = ("--scores", "probability=-jet_prob", "--scores", "holes=BvL:where(jet_pt > 40, -1, -jet_prob),CvL:jet_pt")
    execute("systematics", arguments(tagger, folder, data_dir, tmp_path / "out", *scores, "--no-trees"))
    content = json.loads((tmp_path / "out" / "systematics.json").read_text(), object_hook=revived)
    rows = {(row["variation"], row["tagger"]): row for row in content["rows"]}
    assert isinstance(rows["d0_bias_5um", "probability"]["BvL change"], Interval)
    assert isinstance(rows["tune_a14", "holes"]["CvL area"], Interval)
    assert rows["d0_bias_5um", "probability"]["CvL change"] == NotDefined("no stored score")
    summary = {row["tagger"]: row for row in content["summary"]}
    assert all(value == NotDefined("stored scores") for name, value in summary["holes"].items() if name.startswith("loss"))
    left_out = {name: one["left_out"] for name, one in content["stored"].items()}
    assert left_out["probability"] == dict.fromkeys(NAMES, 0) and 0 < left_out["holes"]["nominal"] < content["jets"]
    table = (tmp_path / "out" / "table.md").read_text()
    assert "probability: stored scores, which have no loss; jets without one, which are left out: none." in table
    assert f"left out: {left_out['holes']['nominal']:,} of nominal, " in table


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ("CvL:jet_pt", "has no score of b against light"),
        ("first=jet_pt", "Two taggers are called 'first'"),
        ("jet_ptt", "has no branch 'jet_ptt'"),
    ],
)
def test_mistakes_in_scores_are_one_sentence(tagger, folder, dataset, data_dir, tmp_path, scores, sentence):
    with pytest.raises(UserError, match=sentence):
        execute("systematics", arguments(tagger, folder, data_dir, tmp_path / "out", "--scores", scores, "--no-trees"))


def test_mistakes_end_in_one_sentence(tagger, folder, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(Tagger, "trees", lambda *arguments: pytest.fail("trees are trained before mistakes are found"))
    (tmp_path / "empty").mkdir()
    for words, sentence in (
        (arguments(tagger, tmp_path / "empty", data_dir, tmp_path / "out"), "There is no 'nominal.root'"),
        (arguments(tagger, folder, data_dir, tmp_path / "out", "--variation", "fakes"), "There is no 'fakes.root'"),
        (arguments(tagger, folder, data_dir, tmp_path / "out", "--attack", "fgms"), "fgms"),
        (arguments(tagger, folder, data_dir, tmp_path / "out", "--variation", "nominal"), "There is no variation in"),
        (arguments(tagger, folder, data_dir, tmp_path / "out", "--objective", "BvX"), "BvX"),
    ):
        outcome = run_command("systematics", *words)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
        assert sentence in outcome.err
    assert not (tmp_path / "out").exists()


def test_an_envelope_needs_variations_of_the_detector(tagger, folder, data_dir, tmp_path):
    words = arguments(tagger, folder, data_dir, tmp_path / "out", "--variation", "tune_a14", "--envelope", tmp_path / "e.toml")
    outcome = run_command("systematics", *words)
    assert outcome.code == 2
    assert "variations of the detector" in outcome.err


def test_references_come_first_and_are_those_of_the_catalogue(folder, tmp_path, monkeypatch):
    files = list_files(folder)
    assert list(files) == ["nominal", "d0_bias_5um", "tune_a14"]
    assert list(list_files(folder, ["tune_a14"])) == ["nominal", "tune_a14"]
    assert files["d0_bias_5um"].same_events
    assert not files["tune_a14"].same_events
    names = ["mpi", "mpi_without_reconnection", "nominal", "reseeded"]
    for name in names:
        (tmp_path / f"{name}.root").touch()
    # What real files say is tested where they are made.
    monkeypatch.setattr(data, "variations_of", lambda path: () if path.stem == "nominal" else (path.stem,))
    monkeypatch.setattr(data, "sample_of", lambda path: {"seed": 1})
    files = list_files(tmp_path)
    assert list(files) == list(list_files(tmp_path, names[1:2])) == ["nominal", "reseeded", "mpi", "mpi_without_reconnection"]
    assert [file.reference for file in files.values()] == ["nominal", "nominal", "reseeded", "mpi"]
    assert files["reseeded"].kind == "control"
    (tmp_path / "pseudo_data_1.root").touch()
    mixture = list_files(tmp_path)["pseudo_data_1"]
    assert mixture.kind not in ("detector", "physics") and not mixture.same_events  # it has its row, and enters no mean
    kinds = {name: {"kind": file.kind} for name, file in list_files(tmp_path).items() if name != "nominal"}
    assert _groups(kinds) == {}
    assert _groups(kinds | {"fakes": {"kind": "detector"}}) == {"detector": ["fakes"]}


def test_files_of_another_sample_are_not_compared(folder, tmp_path):
    """Chance matches of jets would pass as pairs."""
    production.produce(tmp_path / "nominal.root", 20, SimulationSettings(seed=4, events_per_unit=150), 1)
    (tmp_path / "d0_bias_5um.root").symlink_to(folder / "d0_bias_5um.root")
    with pytest.raises(UserError, match="are of different samples, with seed 3 and 4; make both with the same --like"):
        list_files(tmp_path)


def test_every_attack_is_made_in_both_boxes():
    conditions = boxes(SCAN, ["resolution-10"])
    assert [condition.physics.paper for condition in conditions if condition.cap is None] == [True, False, False]
    assert conditions[-1].physics.budget == "resolution-10"
    in_cores = boxes(dataclasses.replace(SCAN, scale="core"), ["resolution-10"])
    assert [condition.scale for condition in in_cores if condition.cap is None] == ["core", "core", "sigma"]


def test_budgets_of_one_name_are_refused(tmp_path):
    with pytest.raises(UserError, match="Two of --budgets are called 'own' in tables"):
        boxes(SCAN, [str(tmp_path / "own.toml"), "own.toml"])


def test_uncertainties_are_variations_of_the_detector():
    assert set(catalogue.UNCERTAINTIES) <= set(variations.names(catalogue.DETECTOR))
