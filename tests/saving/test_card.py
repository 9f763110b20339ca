"""Model cards, from what a run directory holds."""

import json
import re
import shlex
from pathlib import Path

import pytest

from kerastag import runs, schema
from kerastag.errors import UserError
from kerastag.recipes import run_config
from kerastag.saving import presets
from kerastag.saving.card import _command, card
from kerastag.schema import JET_FLAVOR
from tests.conftest import run_command

needs_clone = pytest.mark.skipif(not presets.SHIPPED.is_dir(), reason="an installed package has no saved_models")


@needs_clone
def test_a_card_says_what_the_run_measured():
    run_directory = presets.SHIPPED / "jet_flavor_adversarial"
    text = card(run_directory, JET_FLAVOR, 1234)
    lines = text.splitlines()
    front = dict(line.split(": ", 1) for line in lines[1 : lines.index("---", 1)])
    (model,) = json.loads(front["model-index"])
    measured = json.loads((run_directory / "metrics.json").read_text())
    ((name, results),) = measured["results"].items()
    assert model["name"] == name and json.loads(front["library_name"]) == "keras"
    found = {one["metrics"][0]["name"]: one["metrics"][0]["value"] for one in model["results"]}
    assert found.keys() == {f"BvL AUC, {condition}" for condition in results}
    table = {cells[1].strip(): cells[2].strip() for line in lines if line[:1] == "|" for cells in [line.split("|")]}
    for condition, areas in results.items():
        area, shown = areas["BvL"], found[f"BvL AUC, {condition}"]
        value, error = map(float, re.fullmatch(r"(0\.\d+) ± (0\.\d+)", shown).groups())
        assert abs(value - area["value"]) < error / 2  # to the digits that the error allows
        assert error == pytest.approx((area["high"] - area["low"]) / 2, rel=0.15)
        assert table[condition] == shown
    for part in (
        "## Intended use",
        'kerastag.from_preset("path/of/this/folder")',
        "For studies of attacks, defences and mismodelling",
        "1,234 trained numbers",
        "(batch, 184)",
        f"{measured['jets']:,} jets of the test split",
        "Box of the attacks: paper's box.",
        "## Limits",
        "± is half the 68 % interval",
    ):
        assert part in text
    settings = json.loads((run_directory / "config.json").read_text())
    assert settings["fingerprint"][:16] in text


@needs_clone
@pytest.mark.parametrize("name", presets.shipped())
def test_the_command_of_a_card_trains_that_tagger(name, monkeypatch):
    folder = presets.SHIPPED / name
    config = run_config(folder)
    text = card(folder, schema.get(config["settings"].config), 1)
    line = command_of(text)
    asked = []
    monkeypatch.setattr(runs, "train", lambda settings, output, *_: asked.append((settings, output)))
    assert not run_command("train", *shlex.split(line)[2:]).code
    assert asked == [(config["settings"], Path("saved_models") / name)]


@needs_clone
@pytest.mark.slow
def test_the_command_of_a_card_gives_the_areas_of_that_tagger(tmp_path):
    """On another kind of processor a training ends with other weights, and areas differ in the fourth digit."""
    folder, again = presets.SHIPPED / "deepcsv_nominal", tmp_path / "again"
    words = shlex.split(command_of(card(folder, schema.get("deepcsv"), 1)))[2:]
    done = run_command("train", *words, "--data-dir", tmp_path / "data", "--output", again)
    assert done.code == 0, done.err
    assert run_config(again)["fingerprint"] == run_config(folder)["fingerprint"]
    before, after = (json.loads((each / "metrics.json").read_text()) for each in (folder, again))
    assert (after["jets"], after["split"]) == (before["jets"], before["split"])
    (expected,), (results,) = before["results"].values(), after["results"].values()
    assert results.keys() == expected.keys()
    for condition, areas in expected.items():
        for name in ("BvL", "CvB", "CvL"):
            found = results[condition][name]["value"]
            assert found == pytest.approx(areas[name]["value"], abs=0.002), (condition, name)


def command_of(text):
    """The training that a card prints."""
    (line,) = [line for line in text.splitlines() if line.startswith("python scripts/train.py ")]
    return line


def test_a_training_of_the_installed_command_is_shown_as_such():
    assert _command(["/usr/bin/kerastag", "train", "--output", "a run"]) == "kerastag train --output 'a run'"


def test_no_card_of_what_is_no_run(tmp_path):
    with pytest.raises(UserError, match="needs a run directory"):
        card(tmp_path, JET_FLAVOR, 0)
