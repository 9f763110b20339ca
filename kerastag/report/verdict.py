"""The answer first: every tagger, clean, attacked and distorted, with and without the cap."""

from collections.abc import Mapping

from kerastag.attacks import CLEAN
from kerastag.report.page import Section, Table
from kerastag.report.part import Numbers
from kerastag.report.parts import areas, hidden, shapes
from kerastag.report.subject import Subject
from kerastag.request import RELATIVE_CAP
from kerastag.results import Interval
from kerastag.tables import Row, where


def section(subject: Subject, numbers: Mapping[str, Numbers]) -> Section:
    """The verdict table.

    Args:
        subject: What the report is about.
        numbers: Numbers of all parts by name.
    """
    return Section(
        "Verdict",
        [
            f"{subject.main.name} area ({' against '.join(subject.main.sides)}) of {subject.title}; mean over seeds where "
            "there are several, ± half the 68 % interval of the sample. Attacks have ε = "
            f"{subject.options.epsilon:g}, distortions {subject.options.distortion:g}, in σ of each input; whole numbers and "
            "absent values never move. Robustness is measured against these attacks, no others."
        ],
        [_table(subject, numbers[areas.NAME]["rows"], cap) for cap in (None, RELATIVE_CAP)],
    )


def _table(subject: Subject, rows: list[Row], cap: float | None) -> Table:
    """A line per tagger."""
    lines = []
    for name in subject.names:
        conditions = areas.conditions(subject, name, cap)
        line = {title: _area(rows, name, areas.row_title(title, cap)) for title in conditions}
        line[areas.STRONGEST] += f" ({conditions[areas.STRONGEST].title})"
        lines.append([name, _area(rows, name, CLEAN.title), *line.values()])
    caption = "No cap:" if cap is None else f"No cell moved by more than {cap:.0%} of its value:"
    return Table(caption, ["tagger", CLEAN.title, *areas.conditions(subject, subject.names[0], cap)], lines)


def _area(rows: list[Row], name: str, condition: str) -> str:
    """Mean over seeds with the error of the sample."""
    (row,) = where(rows, tagger=name, condition=condition)
    return f"{Interval.around(row['seeds'].mean, row['area'].error)}"


def summary(subject: Subject, numbers: Mapping[str, Numbers]) -> list[str]:
    """The verdict in a few sentences. Arguments as of `section`."""
    first, *others = subject.names
    answer, preserving = numbers[shapes.NAME]["answers"][first], hidden.preserving(numbers[hidden.NAME], first)
    fgsm, strongest = subject.fgsm(), subject.strongest[first, None]
    main = subject.main.name
    sentences = [
        f"FGSM of ε = {subject.options.epsilon:g} σ takes {subject.loss(first, fgsm).interval} of {main} area from {first}, "
        f"{strongest.title}, the strongest attack tried, {subject.loss(first, strongest).interval}. {answer['normal']} of the "
        f"{answer['moving']} inputs that FGSM moves look normal within {subject.options.uncertainty:.0%}; where it preserves "
        f"the distribution of every input in every flavour, it takes {preserving['loss']}."
    ]
    for name in others:
        losses = [subject.loss(name, condition).interval for condition in (fgsm, subject.strongest[name, None])]
        clean = (subject.area(name) - subject.area(first)).interval
        sentences.append(f"{name} loses {losses[0]} and {losses[1]}; its clean area is {clean:+} against that of {first}.")
    return sentences
