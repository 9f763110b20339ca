"""Damaged run directories end in one sentence that names the file, whatever reads them."""

import json
import shutil

import pytest

from kerastag import runs
from kerastag.recipes import Settings
from tests.conftest import run_command


@pytest.fixture(scope="module")
def run(dataset, data_dir, tmp_path_factory):
    """A small run with a checkpoint after its last epoch."""
    folder = tmp_path_factory.mktemp("damage") / "run"
    given = {"config": "jet_flavor", "model": "paper_mlp", "epochs": 1, "data_dir": str(data_dir), "attack": "noise"}
    runs.train(Settings.resolve(given), folder)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def truncated(content):
    return content[: len(content) // 2]


def flipped(content):
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 0x55]) + content[len(content) // 2 + 1 :]


def field(name, value):
    """A change of a JSON file."""

    def changed(content):
        return json.dumps(json.loads(content) | {name: value}).encode()

    return changed


def setting(name, value):
    def changed(content):
        config = json.loads(content)
        return json.dumps(config | {"settings": config["settings"] | {name: value}}).encode()

    return changed


RESUMED = (
    ("config.json", lambda content: b""),
    ("config.json", truncated),
    ("config.json", lambda content: b"[]"),
    ("config.json", lambda content: b"[" * 50_000),
    ("config.json", field("settings", 3)),
    ("config.json", field("fingerprint", None)),
    ("config.json", setting("epochs", "many")),
    ("config.json", setting("epochs", -1)),
    ("config.json", setting("recipe", ["default"])),
    ("config.json", setting("unknown", 1)),
    ("checkpoints/epoch-00001/state.json", truncated),
    ("checkpoints/epoch-00001/state.json", field("history", {})),
    ("checkpoints/epoch-00001/state.json", field("epoch", True)),
    ("checkpoints/epoch-00001/state.npz", truncated),
    ("checkpoints/epoch-00001/state.npz", flipped),
    ("checkpoints/epoch-00001/state.npz", lambda content: b""),
    ("made_by.json", lambda content: b"{"),
)
EVALUATED = (
    ("tagger.keras", truncated),
    ("tagger.keras", flipped),
    ("tagger.keras", lambda content: b"PK\x03\x04"),
    ("saved_model/assets/kerastag.json", lambda content: b"{}"),
    ("saved_model/assets/kerastag.json", field("schema", {"name": "jet_flavor"})),
    ("saved_model/assets/kerastag.json", field("schema", [])),
)
EXPORTED = (
    ("saved_model/saved_model.pb", truncated),
    ("saved_model/saved_model.pb", flipped),
    ("saved_model/variables/variables.data-00000-of-00001", flipped),
    ("saved_model/variables/variables.index", truncated),
    ("saved_model/assets/kerastag.json", field("classes", ["b", "c"])),
    ("saved_model/checksums.json", lambda content: b"{}"),
)


def assert_one_sentence(outcome, name):
    assert outcome.code == 2, outcome.err
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1, outcome.err
    assert name.rpartition("/")[2] in outcome.err or name.rpartition("/")[0] in outcome.err


@pytest.mark.parametrize(("name", "damage"), RESUMED)
def test_a_damaged_run_is_not_resumed(copy, data_dir, name, damage):
    (copy / "tagger.keras").unlink()
    (copy / name).write_bytes(damage((copy / name).read_bytes()))
    assert_one_sentence(run_command("train", "--resume", "--output", copy, "--data-dir", data_dir), name)


@pytest.mark.parametrize(("name", "damage"), EVALUATED)
def test_a_damaged_run_is_not_evaluated(copy, data_dir, tmp_path, name, damage):
    (copy / name).write_bytes(damage((copy / name).read_bytes()))
    words = ("--data-dir", data_dir, "--attack", "noise", "--replicates", 2, "--output", tmp_path / "out")
    assert_one_sentence(run_command("evaluate", copy, *words), name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "damage"), EXPORTED)
def test_a_damaged_saved_model_is_not_evaluated(copy, data_dir, tmp_path, name, damage):
    (copy / name).write_bytes(damage((copy / name).read_bytes()))
    words = ("--data-dir", data_dir, "--attack", "noise", "--replicates", 2, "--output", tmp_path / "out")
    assert_one_sentence(run_command("evaluate", copy / "saved_model", *words), name)


@pytest.mark.parametrize(
    "words",
    (
        ("train", "--seed", "-1"),
        ("train", "--seed", 2**40),
        ("train", "--batch-size", 10**20),
        ("train", "--epsilon", "nan"),
        ("train", "--epsilon", "-1"),
        ("train", "--epochs", "0"),
        ("train", "--weight-decay", "-0.1"),
        ("train", "--warmup-epochs", "-2"),
        ("train", "--learning-rate", "inf"),
        ("train", "--relative-cap", "nan"),
        ("evaluate", "x", "--output", "out", "--max-jets", "0"),
        ("evaluate", "x", "--output", "out", "--replicates", "0"),
        ("evaluate", "x", "--output", "out", "--replicates", "1"),
        ("evaluate", "x", "--output", "out", "--epsilon", "nan"),
        ("evaluate", "x", "--output", "out", "--relative-cap", "-1"),
        ("threat_model", "--epsilon", "nan"),
        ("study", "--output", "out", "--seeds", "-3"),
        ("study", "--output", "out", "--seeds", "0", "0"),
        ("study", "--output", "out", "--seeds", 10**11),
        ("simulate", "--processes", "0"),
        ("simulate", "--jets", "-5"),
        ("convert_jet_flavor", "x", "out", "--files", "0"),
        ("convert_jet_flavor", "x", "out", "--max-jets", "-1"),
        ("benchmark", "--jets", "0"),
    ),
    ids=lambda words: " ".join(map(str, words)),
)
def test_numbers_out_of_range(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run_command(*words)
    assert outcome.code == 2 and outcome.err.count("\n") == 1, outcome.err
    option = [word for word in words if str(word).startswith("--") and word != "--output"][-1]
    assert option in outcome.err
    assert not list(tmp_path.iterdir())
