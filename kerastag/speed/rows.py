"""Rows of the tables of speed: a speed, its limit of the same run, and what they make of each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from kerastag import tables

Row = dict[str, Any]
FORMATS = {
    "jets/s": ",.0f",
    "limit, jets/s": ",.0f",
    "ratio": ".0%",
    "plain PyTorch, jets/s": ",.0f",
    "times as fast": ".2f",
    "time / limit": ",.0f",
    "GFLOP/s": ".1f",
    "time / nominal": ".2f",
    "FLOP / nominal": ".2f",
    "jets": ",.0f",
    "s": ".3f",
    "20,000 jets, s": ".1f",
    "peak memory, GB": ".1f",
    "slope": ".2f",
    "share of the epoch": ".1%",
    "share of the step": ".1%",
}
"""Columns that hold numbers, and how these are printed."""


def row(what: str, speed: float, limit: float, limited_by: str, flop: float | None = None) -> Row:
    """A row of a speed and its limit.

    Args:
        what: What is as fast as that.
        speed: Jets/s.
        limit: Jets/s that cannot be exceeded, measured in the same run.
        limited_by: What was measured for it.
        flop: Operations of the matrix products for a jet; None where there are none.
    """
    numbers = {"jets/s": speed, "limit, jets/s": limit, "ratio": speed / limit}
    if flop is not None:
        numbers["GFLOP/s"] = flop * speed / 1e9
    return {"what": what} | numbers | {"limited by": limited_by}


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of the columns that occur; what a row lacks stays empty."""
    header = list(dict.fromkeys(name for one in rows for name in one))
    return tables.markdown(header, [[_cell(name, one.get(name)) for name in header] for one in rows])


def _cell(name: str, value: Any) -> str:
    return "" if value is None else format(value, FORMATS.get(name, ""))
