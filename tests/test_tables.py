"""Rows as CSV and as Markdown."""

from kerastag import tables
from kerastag.results import Interval, NotDefined, Seeds

ROWS = [
    {"tagger": "a", "area": Interval(0.9, 0.8, 1.0), "seeds": Seeds((0.9,))},
    {"tagger": "b", "area": NotDefined("no b jets"), "cap": None},
]


def test_results_become_columns_and_what_a_row_lacks_stays_empty():
    lines = tables.comma_separated(ROWS).splitlines()
    assert lines[0] == "tagger,area,area_low,area_high,seeds_mean,seeds_spread,seeds_number,cap"
    assert lines[1:] == ["a,0.9,0.8,1.0,0.9,,1,", "b,not defined: no b jets,,,,,,"]


def test_rows_are_picked_by_their_values():
    assert tables.where(ROWS, tagger="b") == ROWS[1:]
    assert tables.where(ROWS, tagger="b", area=0) == []
    assert tables.unique([*ROWS, *ROWS], "tagger") == ["a", "b"]


def test_columns_of_markdown_are_aligned():
    lines = tables.markdown(["a", "b"], [["long", "x"]]).splitlines()
    assert lines == ["| a    | b |", "| ---- | - |", "| long | x |"]
