"""Several architectures on the same jets: trained, attacked, timed, and resumed."""

import importlib
import json

import keras
import numpy as np
import pytest

from kerastag import runs, saving
from kerastag.errors import UserError
from kerastag.evaluation.taggers import Tagger
from kerastag.jets import Jets
from kerastag.metrics import discriminator_auc
from kerastag.recipes import Settings
from kerastag.request import AttackGrid, Physics
from tests.conftest import run_command

architectures = importlib.import_module("kerastag.runs.architectures")


@pytest.mark.slow
def test_architectures_are_compared_and_the_study_is_resumed(dataset, data_dir, tmp_path, capsys):
    given = {"config": "jet_flavor", "epochs": 1, "data_dir": str(data_dir), "batch_size": 300, "untied": True}
    settings = Settings.resolve(given)
    grid = AttackGrid(("fgsm", "track-dropout"), (0.01,), (None,), objectives=("margin",), physics=Physics(untied=True))
    arguments = (settings, tmp_path, ["lipschitz_mlp"], [1], grid)
    runs.architectures(*arguments)
    text = (tmp_path / "table.md").read_text()
    assert text in capsys.readouterr().out
    stored = json.loads((tmp_path / "metrics.json").read_text())
    names = ["lipschitz_mlp, nominal", "lipschitz_mlp, adversarial"]
    assert stored["fingerprint"] == dataset.fingerprint and stored["jets"] == len(dataset.arrays("test"))
    assert list(stored["costs"]) == list(stored["results"]) == [*names, "boosted trees"]
    assert list(stored["costs"]["boosted trees"]) == ["training", "scikit-learn"]
    trees = stored["results"]["boosted trees"]
    searched = trees["loss, random search-200 on margin ε=0.01 untied"]["values"]
    assert len(searched) == 1 and searched[0] > max(0, trees["loss, FGSM on margin ε=0.01 untied"]["values"][0])
    assert not any("search" in quantity for name in names for quantity in stored["results"][name])
    parameters = {name: stored["costs"][name]["parameters"] for name in names}
    tagger = saving.load(tmp_path / "lipschitz_mlp-nominal-seed1")
    assert parameters["lipschitz_mlp, nominal"] == tagger.count_params() == parameters["lipschitz_mlp, adversarial"]
    assert all(speed > 0 for row in stored["costs"].values() for speed in row.values())
    one = json.loads((tmp_path / "lipschitz_mlp-nominal-seed1" / "architecture.json").read_text())["quantities"]
    jets = dataset.arrays("test")
    assert one["clean"] == pytest.approx(discriminator_auc(jets.y, tagger(jets.features).numpy())["BvL"])
    certified = stored["results"]["lipschitz_mlp, nominal"]["largest loss ε=0.01 untied, certified"]["values"]
    attacked = stored["results"]["lipschitz_mlp, nominal"]["loss, FGSM on margin ε=0.01 untied"]["values"]
    assert all(bound >= loss for bound, loss in zip(certified, attacked, strict=True))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.json")}
    runs.architectures(*arguments)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.json")}
    assert (tmp_path / "architectures.png").is_file()


def test_trees_of_each_seed_are_a_fit_of_their_own():
    """Of more than 10,000 jets early stopping draws those of its validation, so another seed is another fit."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 10_100)
    features = (label[:, None] + generator.normal(size=(10_100, 2))).astype(np.float32)
    train = Jets(features, label, {}, 2)
    first, again, other = (Tagger.trees(train, keras.Sequential(), seed).logits(features[:200]) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 0.01


def test_mistakes_are_said_before_anything_is_trained(tmp_path):
    for arguments, sentence in (
        (["--variations", tmp_path], "--variations goes with --models"),
        (["--models", "mlp", "--train-epsilon", "0.01", "0.05"], "give one --train-epsilon at most"),
        (["--max-jets", 10], "--max-jets goes with --models"),
        (["--models", "mlp", "--model", "deep_sets"], "leave --model out"),
    ):
        outcome = run_command("study", *arguments, "--output", tmp_path / "study")
        assert outcome.code == 2 and sentence in outcome.err
    assert not (tmp_path / "study").exists()


def test_an_unknown_objective_is_found_before_anything_is_trained(dataset, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(architectures, "train_missing", pytest.fail)
    settings = Settings.resolve({"config": "jet_flavor", "data_dir": str(data_dir)})
    with pytest.raises(UserError, match="nonsense"):
        runs.architectures(settings, tmp_path, ["paper_mlp"], [1], AttackGrid(("fgsm",), (0.01,), objectives=("nonsense",)))
