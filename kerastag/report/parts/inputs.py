"""Vulnerability against the number of inputs, where `scripts/scan_inputs.py` has measured it."""

import json

from kerastag import plots
from kerastag.evaluation import input_scan
from kerastag.report.page import Figure, Section, Table
from kerastag.report.subject import Subject

NAME = "inputs"


def numbers(subject: Subject) -> dict:
    """What the scan found; empty if there is none."""
    return json.loads((subject.scan / input_scan.RESULT).read_text()) if subject.scan else {}


def draw(subject: Subject, found: dict) -> dict:
    """Area and loss by set of inputs."""
    if not found:
        return {}
    title = f"{found['jets']:,} test jets of {subject.dataset.schema.name}, ε = {found['epsilon']:g}; bands: 68 %"
    return {"inputs": plots.against_inputs(found["rows"], title)}


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    return {"inputs": found["rows"]} if found else {}


def section(subject: Subject, found: dict) -> Section:
    """The table of the scan."""
    title = "Are more inputs more vulnerable?"
    if not found:
        return Section(title, ["Not measured: run scripts/scan_inputs.py and give its folder with --scan."])
    return Section(
        title,
        [
            "Taggers of the same kind, trained to look at some groups of inputs alone, nominally and on attacked jets. ± is "
            "half the 68 % interval of the sample, seeds their standard deviation."
        ],
        [Table("BvL area:", *input_scan.table(found["rows"]))],
        [Figure("inputs", "Area and its loss under attack for sets of inputs, fewest first.")],
    )
