"""Which defence to choose: rows and their strengths, the sentences, and quantities against other ways to them."""

import dataclasses
import json

import numpy as np
import pytest

from kerastag import runs, saving
from kerastag.attacks import Condition
from kerastag.evaluation.calibration import expected_calibration_error
from kerastag.recipes import Settings
from kerastag.results import Seeds
from kerastag.runs.benchmark_robustness import _kind, _shown
from kerastag.runs.defense_choice import ATTACKED, CERTIFIED, TIME, WORST, Choice, best
from kerastag.runs.defense_rows import Strengths, folder, strength, trainings
from kerastag.schema import JET_FLAVOR, Discriminator
from tests.conftest import run_command


def row(time, **quantities):
    return {TIME: Seeds((time,))} | {name: Seeds(values) for name, values in quantities.items()}


def test_the_cheapest_within_errors_is_named():
    rows = {
        "dear": row(9.0, attacked=(0.9404, 0.9400, 0.9402)),
        "cheap": row(2.0, attacked=(0.9399, 0.9403, 0.9398)),
        "cheapest": row(1.0, attacked=(0.9301, 0.9299, 0.9300)),
        "one seed": row(1.0, attacked=(0.9500,)),
        "boosted trees": {"attacked": Seeds((0.99, 0.99))},
    }
    said = best(
        {name: {ATTACKED if key == "attacked" else key: value for key, value in one.items()} for name, one in rows.items()},
        ATTACKED,
    )
    assert said.startswith("Best by *strongest attack*: dear (0.94020 ± 0.00020); cheap (0.94000 ± 0.00026) is the cheapest")
    assert said.endswith("Rows of one seed are left out.")
    small = {"a": row(1.0), "b": row(2.0)}
    small["a"][WORST], small["b"][WORST] = Seeds((0.02, 0.021)), Seeds((0.010, 0.011))
    assert "b (0.0105 ± 0.0007); no cheaper one is within" in best(small, WORST)
    assert best(small, CERTIFIED) is None
    single = {"a": row(1.0), "b": row(2.0)}
    single["a"][ATTACKED], single["b"][ATTACKED] = Seeds((0.93,)), Seeds((0.94,))
    assert best(single, ATTACKED) == "Best by *strongest attack*: b (0.9400), of one seed each, so without errors."


def test_rows_have_each_strength_that_means_something(tmp_path):
    settings = Settings.resolve({"epochs": 2})
    rows = trainings(
        settings,
        {"nominal": [0], "fgsm": [0, 1], "sam": [0], "crown-ibp": [0], "trades": [0]},
        Strengths((0.01, 0.02), (3.0, 6.0), (1.0, 2.0)),
        {"variations": None, "unlabelled": None},
    )
    names = ["nominal", "fgsm", "fgsm ε=0.02", "sam", "sam ρ=0.1", "crown-ibp", "crown-ibp weight=1", "crown-ibp ε=0.02"]
    names += ["crown-ibp ε=0.02 weight=1", "trades", "trades β=6", "trades ε=0.02", "trades ε=0.02 β=6"]
    assert list(rows) == names
    assert [one.seed for one in rows["fgsm"]] == [0, 1] and rows["sam"][0].rho is None and rows["sam ρ=0.1"][0].rho == 0.1
    assert strength(rows["sam"][0]) == (("", 0.01), ("ρ=", 0.05))
    assert strength(rows["crown-ibp ε=0.02 weight=1"][0]) == (("", 0.02), ("weight=", 1.0))
    folders = {folder(tmp_path, name, one).name for name, several in rows.items() for one in several}
    assert {"fgsm-0.02-seed1", "sam-rho0.1-seed0", "crown-ibp-0.02-weight1-seed0", "trades-beta6-seed0"} <= folders
    assert len(folders) == len(names) + 2


def test_attacks_have_the_sizes_asked_for(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(runs, "benchmark_robustness", lambda *positional, **named: asked.update(named))
    words = ("--defense", "nominal", "--output", tmp_path / "out")
    columns = ("--attack", "fgsm", "noise", "--epsilon", "0.01", "0.05", "0.05")
    assert run_command("benchmark_robustness", *words, *columns).code == 0
    labels = ["FGSM on margin ε=0.01", "noise ε=0.01", "FGSM on margin ε=0.05", "noise ε=0.05"]
    assert [condition.label for condition in asked.pop("attacks")] == labels
    assert run_command("benchmark_robustness", *words).code == 0
    assert "attacks" not in asked
    outcome = run_command("benchmark_robustness", *words, "--epsilon", "0.05")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1) and "--epsilon is that of the attacks of --attack" in outcome.err


def test_attacks_and_trainings_have_the_scale_asked_for(dataset, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(runs, "benchmark_robustness", lambda settings, *rest, **options: asked.append(settings))
    assert run_command("benchmark_robustness", "--scale", "core", "--output", tmp_path / "out").code == 0
    assert asked[0].scale == "core"
    choice = Choice(dataset, dataset.arrays("test"), scale="core")
    np.testing.assert_allclose(choice._attack.threat_model(dataset).scale, dataset.scale("core"), rtol=1e-6)


def test_every_defence_takes_the_seeds_asked_for(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(runs, "benchmark_robustness", lambda settings, output, seeds, **options: asked.append(seeds))
    words = ("--defense", "nominal", "pgd-7", "--output", tmp_path / "out")
    assert run_command("benchmark_robustness", *words, "--seeds", "3", "4").code == 0
    assert asked.pop() == {"nominal": [3, 4], "pgd-7": [3, 4]}
    assert run_command("benchmark_robustness", *words).code == 0
    assert asked.pop() == {"nominal": (0, 1, 2, 3, 4), "pgd-7": (0,)}


@pytest.mark.parametrize("option", ["--train-epsilons", "--betas", "--factors"])
def test_a_strength_below_zero_is_refused_by_the_name_of_its_option(option, tmp_path):
    outcome = run_command("benchmark_robustness", option, "1", "-1", "--output", tmp_path / "out")
    assert outcome.code == 2 and f"{option} must be at least 0, not -1" in outcome.err


@pytest.mark.slow
def test_quantities_are_those_of_other_commands(dataset, data_dir, tmp_path, capsys):
    """The strongest attack is the least area of the table; certificates are below attacks; calibration as by hand."""
    given = {"config": "jet_flavor", "epochs": 1, "data_dir": str(data_dir), "batch_size": 300}
    attacks = [Condition("fgsm", 0.01, objective="margin"), Condition("noise", 0.01)]
    options = {"certify": "interval", "max_jets": 300, "trees": False}
    runs.benchmark_robustness(Settings.resolve(given), tmp_path, {"nominal": [0], "sam": [0]}, attacks, **options)
    text = (tmp_path / "table.md").read_text()
    assert text in capsys.readouterr().out and "Best by *certified, untied*" in text
    rows = json.loads((tmp_path / "choice.json").read_text())["rows"]
    table = json.loads((tmp_path / "nominal-seed0" / "robustness.json").read_text())["areas"]
    values = {name: value["values"][0] for name, value in rows["nominal"].items()}
    assert values[ATTACKED] == table["FGSM on margin ε=0.01"]["BvL"]["value"]
    assert values[CERTIFIED] <= values["strongest attack, untied"] < values["clean"]
    jets = dataset.arrays("test").take(slice(300))
    probabilities = np.exp(saving.load(tmp_path / "nominal-seed0")(jets.features).numpy().astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    correct = probabilities.argmax(axis=1) == jets.label
    error = expected_calibration_error(probabilities.max(axis=1), correct, np.ones(300))
    assert values["calibration error"] == pytest.approx(error, rel=1e-5)
    assert (tmp_path / "choice.png").stat().st_size > 10_000


def test_a_discriminator_of_the_schemas_own_is_shown_first():
    schema = dataclasses.replace(JET_FLAVOR, ratios=(Discriminator("BvAll", (("b", 1.0),), (("light", 0.9), ("c", 0.1))),))
    assert _shown(schema)[0].name == "BvAll"
    assert [one.name for one in _shown(JET_FLAVOR)] == ["BvL", "CvL"]


def test_times_are_those_of_trainings_alike():
    usual, sparse = (Settings.resolve({"defense": "fgsm", "every": every}) for every in (1, 4))
    assert _kind(usual) == "fgsm" != _kind(sparse)
    assert _kind(Settings.resolve({"defense": "fgsm", "epsilon": 0.05, "seed": 3})) == "fgsm"
