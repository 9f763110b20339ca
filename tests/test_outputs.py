"""Folders of results belong to one command and one process, and a kill leaves nothing that stays."""

import json
import signal
import subprocess
import sys

import pytest

from kerastag import outputs
from kerastag.errors import UserError
from kerastag.files import read_json, write_json
from tests.conftest import run_command


def test_a_folder_says_what_made_it_and_takes_nothing_else(tmp_path):
    folder = tmp_path / "results"
    with outputs.claimed(folder, "evaluate"):
        (folder / "table.md").write_text("numbers")
    assert json.loads((folder / "made_by.json").read_text())["command"] == "evaluate"
    outputs.check(folder, "evaluate")
    with pytest.raises(UserError, match=r"'.*results' holds results of kerastag evaluate; choose another --output"):
        outputs.check(folder, "compare")
    with pytest.raises(UserError, match="holds results of kerastag evaluate"), outputs.claimed(folder, "compare"):
        raise AssertionError
    assert (folder / "table.md").read_text() == "numbers"


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="is not empty and was not made by kerastag report"):
        outputs.check(tmp_path, "report")
    with pytest.raises(UserError, match=r"thesis\.tex' is a file; choose a folder"):
        outputs.check(tmp_path / "thesis.tex", "report")


def test_runs_of_versions_without_marks_are_those_of_train(tmp_path):
    (tmp_path / "config.json").write_text('{"settings": {}}')
    outputs.check(tmp_path, "train")
    with pytest.raises(UserError, match="holds results of kerastag train"):
        outputs.check(tmp_path, "evaluate")
    (tmp_path / "config.json").write_text('{"theme": "dark"}')  # somebody's own
    with pytest.raises(UserError, match="was not made by kerastag train"):
        outputs.check(tmp_path, "train")


def test_a_folder_of_which_nothing_comes_is_removed(tmp_path):
    with pytest.raises(UserError, match="mistake"), outputs.claimed(tmp_path / "new", "train"):
        raise UserError("mistake")
    assert not (tmp_path / "new").exists()


def test_a_damaged_mark_is_one_sentence(tmp_path):
    for content in ("", "[]", '{"command": 3}', "[" * 100_000):
        (tmp_path / "made_by.json").write_text(content)
        with pytest.raises(UserError, match=r"made_by\.json' is damaged"):
            outputs.check(tmp_path, "train")


def hold(folder, seconds=60):
    """Another process that keeps a folder."""
    code = (
        "import sys, time; from pathlib import Path; from kerastag import outputs\n"
        f"with outputs.claimed(Path({str(folder)!r}), 'train'):\n"
        f"    (Path({str(folder)!r}) / '.writing_half').mkdir(); print('held', flush=True); time.sleep({seconds})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_process_is_told_at_once_who_has_the_folder_and_a_kill_frees_it(tmp_path):
    process = hold(tmp_path / "run")
    sentence = rf"kerastag train, process {process.pid} on .* since 20.* writes into '.*run' now; choose another --output"
    with pytest.raises(UserError, match=sentence), outputs.claimed(tmp_path / "run", "train"):
        raise AssertionError
    process.send_signal(signal.SIGKILL)
    process.wait()
    with outputs.claimed(tmp_path / "run", "train"):
        assert not (tmp_path / "run" / ".writing_half").exists()
    process.stdout.close()


def test_who_is_turned_away_takes_nothing_along(tmp_path):
    """Also when the first process has written nothing yet."""
    folder = tmp_path / "run"
    with outputs.claimed(folder, "train"):
        with pytest.raises(UserError, match="writes into"), outputs.claimed(folder, "train"):
            raise AssertionError
        assert outputs.made_by(folder) == "train" and (folder / ".lock").exists()
        (folder / "config.json").write_text("{}")
    assert outputs.made_by(folder) == "train"


def test_a_workshop_is_no_folder_of_the_user(tmp_path):
    (tmp_path / "jets.parts").mkdir()
    (tmp_path / "jets.parts" / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="was not made by kerastag simulate"), outputs.workshop(tmp_path / "jets", "simulate"):
        raise AssertionError
    (tmp_path / "old.parts").mkdir()
    (tmp_path / "old.parts" / "production.json").write_text('{"settings": {}}')  # of versions without marks
    with outputs.workshop(tmp_path / "old", "simulate") as parts:
        assert (parts / "production.json").exists()


def test_what_a_run_inside_is_writing_is_not_removed(tmp_path):
    with outputs.claimed(tmp_path, "study"):
        (tmp_path / "figures" / ".writing_a").mkdir(parents=True)
        (tmp_path / "inner").mkdir()
        write_json(tmp_path / "inner" / "made_by.json", {"command": "train"})
        (tmp_path / "inner" / ".writing_b").mkdir()
    with outputs.claimed(tmp_path, "study"):
        assert not (tmp_path / "figures" / ".writing_a").exists()
        assert (tmp_path / "inner" / ".writing_b").exists()


def test_what_the_system_refuses_is_one_sentence_with_the_path(tmp_path):
    with pytest.raises(UserError, match=r"Not a directory.*; what is done is kept in '.*results'"):  # noqa: SIM117
        with outputs.claimed(tmp_path / "results", "train"):
            (tmp_path / "results" / "table.md").write_text("numbers")
            (tmp_path / "results" / "table.md" / "x").write_text("")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file' is a file"), outputs.claimed(tmp_path / "file", "train"):
        raise AssertionError
    with (
        pytest.raises(UserError, match=r"'.*file/below': Not a directory"),
        outputs.claimed(tmp_path / "file" / "below", "train"),
    ):
        raise AssertionError


@pytest.mark.parametrize("name", ("results", "results/below"))
def test_a_link_to_nothing_is_one_sentence(tmp_path, name):
    (tmp_path / "results").symlink_to("scratch/gone")
    sentence = r"'.*results' is a link to 'scratch/gone', which does not exist; make that, or choose another name"
    for keep in (outputs.claimed, outputs.workshop):
        with pytest.raises(UserError, match=sentence), keep(tmp_path / name, "train"):
            raise AssertionError
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    (tmp_path / "scratch" / "gone").mkdir(parents=True)
    with outputs.claimed(tmp_path / name, "train"):
        (tmp_path / name / "table.md").write_text("numbers")
    assert list((tmp_path / "scratch" / "gone").rglob("table.md"))


def test_every_command_says_so_before_it_works(tmp_path):
    (tmp_path / "link").symlink_to("gone")
    (tmp_path / "jets.gz").write_bytes(b"")
    for words in (
        ("train", "--output"),
        ("evaluate", "tagger.keras", "--output"),
        ("report", "tagger.keras", "--output"),
        ("simulate", "--jets", 10, "--output"),
        ("convert_jet_flavor", tmp_path / "jets.gz"),
    ):
        result = run_command(*words, tmp_path / "link")
        assert result.code == 2 and result.err.startswith(f"error: '{tmp_path / 'link'}' is a link to 'gone'"), result
        assert result.err.count("\n") == 1


def test_a_full_disk_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="No space left on device"):  # noqa: SIM117
        with outputs.claimed(tmp_path / "results", "train"), open("/dev/full", "w") as stream:
            stream.write("x" * 100_000)


def outcome(body):
    """Exit code and standard error of a process whose command does this."""
    # A shell starts what it puts in the background with SIGINT ignored; the process inherits that.
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"import os, signal, time; from kerastag import cli\n{heard}\ndef main():\n    {body}\ncli.run(main)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return result.returncode, result.stderr


@pytest.mark.parametrize(
    ("body", "code", "message"),
    (
        ("open('/nowhere/file')", 2, "error: '/nowhere/file': No such file or directory.\n"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", 143, "terminated; called again"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", 130, "interrupted; called again"),
        ("{}['a defect']", 1, "This is a defect of kerastag"),
    ),
)
def test_how_a_command_ends(body, code, message):
    found, printed = outcome(body)
    assert found == code and message in printed, printed
    assert ("Traceback" in printed) == (code == 1)


def test_fields_of_stored_files_have_types(tmp_path):
    write_json(tmp_path / "a.json", {"number": 1, "flag": True})
    assert read_json(tmp_path / "a.json", {"number": int, "flag": bool})["number"] == 1
    for fields in ({"number": str}, {"flag": int}, {"missing": list}):
        with pytest.raises(UserError, match=rf"a\.json' is damaged: its field '{next(iter(fields))}' is missing or no"):
            read_json(tmp_path / "a.json", fields)
    with pytest.raises(UserError, match=r"b\.json' cannot be read: No such file"):
        read_json(tmp_path / "b.json")
