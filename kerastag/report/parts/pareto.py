"""Robustness against performance, all taggers."""

from collections.abc import Mapping, Sequence

from kerastag import plots
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.request import RELATIVE_CAP
from kerastag.tables import Row

NAME = "pareto"


def numbers(subject: Subject) -> Numbers:
    """Clean and attacked area of the seeds of each tagger."""
    return {
        "rows": [
            {
                "tagger": name,
                "attack": attack,
                "clean": subject.seeds(name),
                "attacked": subject.seeds(name, subject.strongest[name, cap]),
            }
            for name in subject.names
            for attack, cap in (("strongest attack", None), (f"strongest attack, cap {RELATIVE_CAP:.0%}", RELATIVE_CAP))
        ]
    }


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """The front."""
    return {"pareto": plots.pareto(numbers["rows"], f"{subject.title}, ε = {subject.options.epsilon:g}", subject.main.name)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Clean and attacked areas."""
    return {"pareto": numbers["rows"]}


def section(subject: Subject, numbers: Numbers) -> Section:
    """Which taggers no other exceeds in both."""
    return Section(
        "Which taggers are best in both?",
        [
            "Right is better on clean jets, up is better under the strongest attack found; dotted is the front that none "
            "exceeds."
        ],
        figures=[Figure("pareto", "Clean area against attacked area; error bars are the standard deviation over seeds.")],
    )
