"""The benchmark: every row has a speed and a limit of the same run."""

import csv
import os
import sys

import numpy as np
import pytest

from kerastag import commands, runs
from kerastag.errors import UserError
from kerastag.request import Sample
from kerastag.runs.benchmark import PARTS, USUAL
from kerastag.speed import growth
from kerastag.speed.clock import CLOCKS, Clock
from kerastag.speed.growth import WORK, line, slope
from kerastag.speed.trace import own_times
from tests.conftest import run_command

QUICK = Clock("cpu", turns=1, seconds=0.001)


@pytest.fixture
def sample(dataset, data_dir) -> Sample:
    return Sample("jet_flavor", data_dir=str(data_dir))


def _rows(folder) -> list[dict[str, str]]:
    with (folder / "benchmark.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _check(rows: list[dict[str, str]]) -> None:
    """Numbers are finite and positive, and ratios those of their columns."""
    for row in rows:
        numbers = {name: float(value) for name, value in row.items() if value and name not in ("part", "what", "limited by")}
        assert numbers and all(np.isfinite(value) and value > 0 for value in numbers.values()), row
        if "ratio" in numbers:
            assert numbers["ratio"] == pytest.approx(numbers["jets/s"] / numbers["limit, jets/s"])


def test_reading_is_written_with_its_limits(sample, tmp_path, capsys):
    runs.benchmark(tmp_path / "speed", sample, parts=["data"], jets=2_000, clock=QUICK)
    table = (tmp_path / "speed" / "table.md").read_text()
    printed = capsys.readouterr().out
    assert all(block in printed for block in table.strip().split("\n\n"))
    rows = _rows(tmp_path / "speed")
    _check(rows)
    assert [row["what"] for row in rows] == [
        "building from ROOT",
        "decoding a split",
        "batches streamed",
        "batches from memory",
    ]
    assert all(f"| {row['what']} " in table for row in rows)


def test_pytorch_is_beside_ours(sample, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    runs.benchmark(tmp_path / "speed", sample, parts=["pytorch"], paper_batches=[5_000], clock=QUICK)
    rows = _rows(tmp_path / "speed")
    _check(rows)
    assert [row["what"] for row in rows] == ["paper_mlp, 5,000: nominal", "paper_mlp, 5,000: FGSM, paper's box"]
    for row in rows:
        ratio = float(row["jets/s"]) / float(row["plain PyTorch, jets/s"])
        assert float(row["times as fast"]) == pytest.approx(ratio)


def test_without_onnx_a_sentence_stands_for_its_rows(sample, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runs.benchmark(tmp_path / "speed", sample, parts=["inference"], inference_batches=[5_000], clock=QUICK)
    assert (
        "ONNX Runtime is not timed: onnxruntime is missing; install kerastag with the extra 'onnx'." in capsys.readouterr().out
    )
    rows = _rows(tmp_path / "speed")
    _check(rows)
    assert [row["what"] for row in rows] == ["Keras, 5,000", "SavedModel, 5,000", "SavedModel, XLA, 5,000"]


@pytest.mark.slow
def test_inference_with_onnx(sample, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    runs.benchmark(tmp_path / "speed", sample, parts=["inference"], inference_batches=[1, 64], clock=QUICK)
    rows = _rows(tmp_path / "speed")
    _check(rows)
    formats = ("Keras", "SavedModel", "SavedModel, XLA", "ONNX Runtime")
    assert [row["what"] for row in rows] == [f"{name}, {size}" for size in (1, 64) for name in formats]


@pytest.mark.slow
def test_steps_and_callbacks(sample, tmp_path):
    given = {"parts": ["steps", "trace", "callbacks"], "batch_size": 300, "paper_batches": [400], "clock": QUICK}
    runs.benchmark(tmp_path / "speed", sample, **given)
    rows = _rows(tmp_path / "speed")
    _check(rows)
    steps = {row["what"]: row for row in rows if row["part"] == "steps"}
    assert len(steps) == 14
    for network in ("paper_mlp, 400", "mlp, 300"):
        assert float(steps[f"{network}: nominal"]["FLOP / nominal"]) == 1
        fgsm = [float(steps[f"{network}: FGSM, {box}"]["FLOP / nominal"]) for box in ("paper's box", "physical box")]
        assert 1 < fgsm[0] == fgsm[1] < 2
    for defense in ("nominal", "fgsm"):
        shares = {row["what"]: float(row["share of the step"]) for row in rows if row["what"].startswith(f"mlp, {defense}: ")}
        assert sum(shares.values()) == pytest.approx(1) and len(shares) == 5 and f"mlp, {defense}: matrix products" in shares
    callbacks = {row["what"]: float(row["share of the epoch"]) for row in rows if row["part"] == "callbacks"}
    for defense in ("nominal", "fgsm"):
        parts = [callbacks[f"{defense}: {name}"] for name in ("AttackedAUC", "checkpoints", "logs and the rest")]
        assert sum(parts) == pytest.approx(callbacks[f"{defense}: all callbacks"])
        assert callbacks[f"{defense}: all callbacks"] < callbacks[f"{defense}: an epoch"] == 1


def test_certificates_of_both_networks_by_both_methods(sample, tmp_path):
    runs.benchmark(tmp_path / "speed", sample, parts=["certificates"], clock=QUICK)
    rows = _rows(tmp_path / "speed")
    _check(rows)
    assert [row["what"] for row in rows] == [f"{net}: {how}" for net in ("paper_mlp", "mlp") for how in ("intervals", "CROWN")]
    assert all(float(row["20,000 jets, s"]) == pytest.approx(20_000 / float(row["jets/s"])) for row in rows)
    assert all(float(row["time / limit"]) > 1 for row in rows)
    assert "20,000 jets, s" in (tmp_path / "speed" / "table.md").read_text()


@pytest.mark.slow
def test_growth_is_measured_in_processes_of_their_own(sample, tmp_path):
    runs.benchmark(tmp_path / "speed", sample, parts=["growth"], sizes=[4_000, 2_000, 4_000], clock=QUICK, scratch=tmp_path)
    rows = _rows(tmp_path / "speed")
    measured, lines = rows[:6], rows[6:]
    _check(measured)
    assert [(row["what"], row["jets"]) for row in measured] == [(name, jets) for jets in ("2000", "4000") for name in WORK]
    assert all(0.3 < float(row["peak memory, GB"]) < 4 for row in measured)
    assert [(row["what"], row["jets"]) for row in lines] == [(f"{name}, by the line", "100000000") for name in WORK]
    assert (tmp_path / "speed" / "growth.png").stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["speed"], "made-up jets are left"


def test_time_of_an_operation_is_without_that_of_others_within():
    events = [(0, 10, "outer"), (1, 3, "inner"), (2, 1, "innermost"), (20, 5, "later")]
    assert dict(own_times(events)) == {"outer": 7, "inner": 2, "innermost": 1, "later": 5}


def test_a_process_that_the_system_ends_is_one_sentence():
    with pytest.raises(UserError, match="The system has ended a process, most likely for want of memory"):
        growth._in_own_process(os._exit, 1)


def test_lines_and_slopes():
    sizes = [100, 1_000, 10_000]
    linear, square = [2 + 0.5 * jets for jets in sizes], [jets**2 / 7 for jets in sizes]
    assert line(sizes, linear, 10**8) == pytest.approx(2 + 0.5e8)
    assert slope(sizes, square) == pytest.approx(2)


def test_options_name_the_parts_and_clocks_that_there_are():
    options = commands.make_parser("benchmark", "benchmark").parse_args(["--clock", "cpu"])
    assert options.parts == list(USUAL) and {*USUAL, "pytorch", "growth"} == set(PARTS)
    assert set(CLOCKS) == {"wall", "cpu"} and options.clock in CLOCKS


def test_mistakes_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match=f"no part 'speed'; choose among {', '.join(PARTS)}"):
        runs.benchmark(parts=["speed"])
    for option in ("--paper-batches", "--inference-batches", "--batch-size", "--sizes"):
        outcome = run_command("benchmark", option, "0")
        assert outcome.code == 2 and f"{option} must be at least 1, not 0" in outcome.err
    (tmp_path / "notes.txt").write_text("mine")
    outcome = run_command("benchmark", "--output", tmp_path)
    assert outcome.code == 2 and "is not empty and was not made by kerastag benchmark" in outcome.err
