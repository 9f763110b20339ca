"""Vulnerability against the number of inputs, where a scan of inputs has measured it."""

from collections.abc import Mapping, Sequence

from kerastag import files, plots
from kerastag.evaluation import input_scan
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.tables import Row

NAME = "inputs"


def numbers(subject: Subject) -> Numbers:
    """The result of the scan; empty if there is none."""
    return files.read_json(subject.scan / input_scan.RESULT) if subject.scan else {}


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Area and loss by set of inputs."""
    if not numbers:
        return {}
    title = f"{numbers['jets']:,} test jets of {subject.dataset.schema.name}, ε = {numbers['epsilon']:g}; bands: 68 %"
    return {"inputs": plots.against_inputs(numbers["rows"], title, subject.main.name)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """The rows of the scan."""
    return {"inputs": numbers["rows"]} if numbers else {}


def section(subject: Subject, numbers: Numbers) -> Section:
    """The table of the scan."""
    title = "Are more inputs more vulnerable?"
    if not numbers:
        return Section(title, ["Not measured: run scripts/scan_inputs.py and give its folder with --scan."])
    return Section(
        title,
        [
            "Taggers of the same kind, trained to look at some groups of inputs alone, nominally and on attacked jets. ± is "
            "half the 68 % interval of the sample, seeds their standard deviation."
        ],
        [Table(f"{subject.main.name} area:", *input_scan.table(numbers["rows"], subject.main.name))],
        [Figure("inputs", "Area and its loss under attack for sets of inputs, fewest first.")],
    )
