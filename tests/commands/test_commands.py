"""Every command explains itself, as a script and on the console."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kerastag import commands
from tests.conftest import run_command

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
# A script of that name would hide a module of Python from all others.
COMMAND_OF = {"inspect_jets": "inspect"}


def run(*command, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def test_every_command_is_a_script_and_every_script_a_command():
    assert sorted(commands.NAMES) == sorted(COMMAND_OF.get(name, name) for name in SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_explain_themselves(name):
    printed = run(sys.executable, ROOT / "scripts" / f"{name}.py", "--help").stdout
    assert printed.startswith(f"usage: {name}.py ")
    command = COMMAND_OF.get(name, name)
    in_process = run_command(command, "--help").out
    assert "".join(in_process.split()) == "".join(printed.replace(f"{name}.py", command).split())


@pytest.mark.parametrize("name", commands.NAMES)
def test_units_that_a_help_names_can_be_chosen(name):
    parser = commands.make_parser(name, name)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    assert set(re.findall(r"--(?:scale|budget)\b", parser.format_help())) <= flags


def test_console_lists_the_commands_and_passes_options_on():
    printed = run(sys.executable, "-m", "kerastag", "--help").stdout
    assert all(f"    {name}" in printed for name in commands.NAMES)
    assert run(sys.executable, "-m", "kerastag", "train", "--help").stdout.startswith("usage: kerastag train ")
    schema = run(sys.executable, "-m", "kerastag", "schema", "deepntuple").stdout.splitlines()
    assert any(line.split()[1:3] == ["track_0_pt", "Cpfcan_pt"] for line in schema)


def test_another_keras_backend_is_refused_in_one_sentence():
    refused = run(sys.executable, ROOT / "scripts" / "train.py", "--help", KERAS_BACKEND="jax")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: kerastag needs Keras' TensorFlow backend") and refused.stderr.count("\n") == 1
    imported = run(sys.executable, "-c", "from kerastag import FGSM", KERAS_BACKEND="jax")
    assert "WrongBackend: kerastag needs Keras' TensorFlow backend" in imported.stderr.strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("room", ["bounds", "legacy", "losses", "models", "runs"])
def test_whatever_is_imported_first_loads_tensorflow_without_a_wall_of_lines(room):
    assert run(sys.executable, "-c", f"import kerastag.{room}").stderr == ""


def test_a_parser_loads_no_tensorflow():
    loaded = (
        "import sys; from kerastag import commands\n"
        "for name in commands.NAMES: commands._command(name)\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    assert run(sys.executable, "-c", loaded).stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("words", "before"),
    [
        (("evaluate", "tagger.keras", "--output", "x", "--data-dir", ""), "--data-dir"),
        (("evaluate", "tagger.keras", "--output="), "--output"),
        (("train", "--manual-dir", " "), "--manual-dir"),
        (("report", "", "--output", "x"), "report"),
        (("threat_model", "--budget", ""), "--budget"),
    ],
)
def test_an_empty_value_is_one_sentence(words, before):
    result = run_command(*words)
    assert (result.code, result.err) == (
        2,
        f"error: The value after '{before}' is empty; give one, or leave the option out.\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--epsilon", "1e300"),
        ("train", "--learning-rate", "1e39"),
        ("threat_model", "--epsilon", "1e300"),
        ("evaluate", "tagger.keras", "--output", "x", "--epsilon", "1e300"),
        ("evaluate", "tagger.keras", "--output", "x", "--relative-cap", "1e39"),
        ("study", "--output", "x", "--train-epsilon", "0.01", "1e39"),
    ],
)
def test_a_number_beyond_single_precision_is_one_sentence(words):
    result = run_command(*words)
    option = [word for word in words if word.startswith("--")][-1]
    assert result.code == 2 and result.err.startswith(f"error: {option} is too large") and result.err.count("\n") == 1


def test_unknown_schema_is_one_sentence():
    result = run_command("schema", "nonsense")
    assert result.code == 2 and result.err.count("\n") == 1 and "There is no schema 'nonsense'" in result.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), (0.01, 0.05)), (("--budget", "envelope"), (1.0,)), (("--budget", "envelope", "--train-epsilon", "0.5"), [0.5])],
)
def test_a_study_in_a_budget_trains_at_once_the_budget(monkeypatch, options, expected):
    asked = []
    monkeypatch.setattr(
        "kerastag.runs.study", lambda settings, output, seeds, epsilons, grid: asked.append((epsilons, grid.epsilons))
    )
    assert run_command("study", *options, "--output", "unused").code in (0, None)
    epsilons, evaluated = asked[0]
    assert epsilons == expected and (not options or evaluated == (1.0,))
