"""Speeds, limits and ratios as rows, and the clock that measures them."""

import time

import pytest

from kerastag.speed.clock import CLOCKS, Clock
from kerastag.speed.rows import markdown, row


def test_a_ratio_is_the_speed_over_its_limit():
    one = row("reading", 50.0, 200.0, "plain reading", flop=4e9)
    assert one["ratio"] == one["jets/s"] / one["limit, jets/s"] == 0.25
    assert one["GFLOP/s"] == 200
    assert "GFLOP/s" not in row("reading", 50.0, 200.0, "plain reading")


def test_a_table_leaves_empty_what_a_row_lacks():
    lines = markdown([row("a", 1e6, 4e6, "b"), {"what": "c", "s": 0.5}]).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == ["what", "jets/s", "limit, jets/s", "ratio", "limited by", "s"]
    assert cells[2] == ["a", "1,000,000", "4,000,000", "25%", "b", ""]
    assert cells[3] == ["c", "", "", "", "", "0.500"]


@pytest.fixture
def advance(monkeypatch):
    """Let the clock on the wall go on by so many seconds, and no other way."""
    now = [0.0]
    monkeypatch.setitem(CLOCKS, "wall", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


@pytest.mark.parametrize("once", [True, False])
def test_all_take_turns_and_the_best_counts(advance, once):
    calls = []
    times = iter([3, 2, 5])

    def changing() -> None:
        calls.append("changing")
        advance(next(times))

    seconds = Clock(turns=3, seconds=0).in_turns(
        {"changing": changing, "same": lambda: calls.append("same") or advance(7)}, once
    )
    assert calls == ["changing", "same"] * 3
    assert seconds == {"changing": 2, "same": 7}


def test_quick_calls_are_repeated_and_the_time_is_that_of_one(advance):
    calls = []
    seconds = Clock(turns=2, seconds=1).in_turns({"quick": lambda: calls.append("quick") or advance(0.125)})
    assert len(calls) == 1 + 8
    assert seconds == {"quick": 0.125}


def test_what_takes_an_only_call_is_called_once_a_turn(advance):
    times = iter([1, 0.5])
    seconds = Clock(turns=2, seconds=1).in_turns({"quick": lambda: advance(next(times))}, once=True)
    assert seconds == {"quick": 0.5}


def test_the_clock_of_the_processor_does_not_count_waiting():
    start = {kind: now() for kind, now in CLOCKS.items()}
    time.sleep(0.05)
    waited = {kind: now() - start[kind] for kind, now in CLOCKS.items()}
    assert waited["cpu"] < 0.05 <= waited["wall"]
