"""A network, an attack and an objective of the user's own through the commands: their code runs only where they name it."""

import csv
import dataclasses
import json
import sys

import keras
import numpy as np
import pytest

import kerastag
from kerastag.errors import UserError
from kerastag.recipes import Settings
from kerastag.training.assembly import make_defense
from tests.conftest import run_command

MODEL = "tests.own_networks:{}"
# In the paper's box features do not follow others, which takes long to trace.
QUICK = ("--paper", "--epochs=2", "--batch-size=1000", "--select=last")


def train(output, data_dir, model, *options):
    arguments = ("--output", output, "--data-dir", data_dir, "--model", MODEL.format(model), *QUICK, *options)
    return run_command("train", *arguments)


def forget(monkeypatch):
    """As in a new process, which has not seen the user's module."""
    monkeypatch.delitem(sys.modules, "tests.own_networks", raising=False)
    for name in [name for name in keras.saving.get_custom_objects() if name.startswith("tests.own>")]:
        monkeypatch.delitem(keras.saving.get_custom_objects(), name)


@pytest.fixture(scope="module")
def run(dataset, data_dir, tmp_path_factory):
    """A run of a subclassed network, trained on and evaluated under an attack of one's own."""
    output = tmp_path_factory.mktemp("runs") / "own"
    own = ("--attack", "Halfway", "--attack-objective", "against_truth", "--defense", "Partly")
    own = [name if name.startswith("--") else MODEL.format(name) for name in own]
    done = train(output, data_dir, "subclassed", *own)
    assert done.code == 0, done.err
    return output


@pytest.mark.slow
def test_run_says_where_its_code_is_and_what_the_attack_did(run):
    settings = json.loads((run / "config.json").read_text())["settings"]
    assert settings["model"] == "tests.own_networks:subclassed"
    assert settings["attack"] == "tests.own_networks:Halfway"
    assert settings["defense"] == "tests.own_networks:Partly"
    (*_, last) = csv.DictReader((run / "history.csv").read_text().splitlines())
    (column,) = (name for name in last if name.startswith("val_cross_entropy_") and "Halfway" in name)
    assert float(last[column]) > float(last["val_cross_entropy"])


@pytest.mark.slow
def test_code_is_run_where_it_is_named_alone(run, data_dir, tmp_path, monkeypatch):
    forget(monkeypatch)
    arguments = ("--data-dir", data_dir, "--paper", "--attack", "fgsm", "--replicates", 10, "--output")
    refused = run_command("evaluate", run, *arguments, tmp_path / "refused")
    assert refused.code == 2 and "tests.own_networks" not in sys.modules
    assert "--code MODULE" in refused.err and "tests.own_networks.Subclassed" in refused.err
    bare = run_command("evaluate", run / "saved_model", *arguments, tmp_path / "bare")
    assert bare.code == 0, bare.err
    named = run_command("evaluate", run, "--code", "tests.own_networks", *arguments, tmp_path / "named")
    assert named.code == 0, named.err
    numbers = [json.loads((tmp_path / name / "metrics.json").read_text())["results"] for name in ("bare", "named")]
    assert numbers[0]["saved_model"]["clean"]["BvL"]["value"] == pytest.approx(
        numbers[1]["own"]["clean"]["BvL"]["value"], abs=1e-5
    )


@pytest.mark.slow
def test_exports_of_a_subclassed_network_agree(run, data_dir, tmp_path):
    pytest.importorskip("tf2onnx")
    done = run_command("export", run, "--code", "tests.own_networks", "--data-dir", data_dir, "--output", tmp_path / "out")
    assert done.code == 0, done.err
    differences = json.loads((tmp_path / "out" / "parity.json").read_text())["max_difference"]
    assert max(differences.values()) < 1e-4


@pytest.mark.slow
def test_own_network_is_resumed_to_the_same_result(run, data_dir, tmp_path):
    import shutil

    shutil.copytree(run, tmp_path / "again")
    (tmp_path / "again" / "tagger.keras").unlink()
    refused = run_command("train", "--resume", "--output", tmp_path / "again", "--data-dir", data_dir)
    assert refused.code == 2 and "say with --model tests.own_networks:subclassed that it may be called" in refused.err
    named = ("--model", MODEL.format("subclassed"), "--attack", MODEL.format("Halfway"))
    refused = run_command("train", "--resume", "--output", tmp_path / "again", "--data-dir", data_dir, *named)
    assert refused.code == 2 and "attack objective of its own; say with --attack-objective tests." in refused.err
    named += ("--attack-objective", MODEL.format("against_truth"))
    refused = run_command("train", "--resume", "--output", tmp_path / "again", "--data-dir", data_dir, *named)
    assert refused.code == 2 and "defence of its own; say with --defense tests.own_networks:Partly" in refused.err
    named += ("--defense", MODEL.format("Partly"))
    done = run_command("train", "--resume", "--output", tmp_path / "again", "--data-dir", data_dir, *named)
    assert done.code == 0, done.err
    for one, other in zip(*(kerastag.load(folder).get_weights() for folder in (run, tmp_path / "again")), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("model", ["with_lambda", "without_config", "unregistered", "ends_in_softmax"])
def test_what_could_not_be_used_makes_no_run(model, dataset, data_dir, tmp_path):
    refused = train(tmp_path / "run", data_dir, model)
    assert refused.code == 2 and len(refused.err.splitlines()) == 1
    assert not (tmp_path / "run" / "config.json").exists()


def test_missing_code_is_said_so(tmp_path):
    done = run_command("evaluate", tmp_path, "--code", "not_here", "--output", tmp_path / "out")
    assert done.code == 2 and "The module 'not_here' cannot be imported" in done.err


def test_settings_take_own_names():
    own = {"attack": "mine:Attack", "attack_objective": "mine:objective", "model": "mine:network", "defense": "mine:Defence"}
    settings = Settings.resolve(own | {"warmup_epochs": 1})
    assert Settings.resolve(settings.to_dict()) == settings
    with pytest.raises(UserError, match="The defence 'mine:Defence' knows no 'beta'"):
        Settings.resolve(own | {"beta": 1.0})


def test_own_defence_is_made_with_the_attack_in_its_box(dataset):
    settings = Settings.resolve({"defense": MODEL.format("Partly"), "attack": "pgd-3", "epsilon": 0.5, "paper": True})
    defense = make_defense(settings, dataset, 1)
    assert (defense.share, defense.attack.steps, defense.attack.threat_model.epsilon) == (0.5, 3, 0.5)
    for name, sentence in (
        ("Demanding", "'temperature'; it can take attack, threat_model, ramp, seed by name, and more with a default"),
        ("Forgetful", "cannot be stored; give it a get_config"),
        ("Halfway", "is no class below kerastag's Defense"),
    ):
        with pytest.raises(UserError, match=sentence):
            make_defense(dataclasses.replace(settings, defense=MODEL.format(name)), dataset, 1)
