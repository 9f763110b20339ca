"""The answer first: a slide in words, a table and two figures; then every tagger, clean, attacked and distorted."""

from collections.abc import Mapping

from kerastag.attacks import CLEAN
from kerastag.report.page import Section, Table
from kerastag.report.part import Numbers
from kerastag.report.parts import areas, hidden, shapes, vulnerability, working_points
from kerastag.report.subject import Subject
from kerastag.request import RELATIVE_CAP
from kerastag.results import Interval
from kerastag.tables import Row, where

# The working point of the slide.
_RATE = 0.01


def section(subject: Subject, numbers: Mapping[str, Numbers]) -> Section:
    """Areas of every tagger under every attack and distortion.

    Args:
        subject: What the report is about.
        numbers: Numbers of all parts by name.
    """
    return Section(
        "All areas",
        [
            f"{subject.main.name} area ({' against '.join(subject.main.sides)}) of {subject.title}; mean over seeds where "
            f"there are several, ± half the 68 % interval of the sample. Attacks have ε = {subject.options.epsilon:g}, "
            f"distortions {subject.options.distortion:g}, in {subject.options.unit} of each input; whole numbers and absent "
            "values never move. Robustness is measured against these attacks, no others."
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


def slide(subject: Subject, numbers: Mapping[str, Numbers]) -> Section:
    """What to put on a slide. Arguments as of `section`."""
    first, *others = subject.names
    main = subject.main
    text = [f"{_lost(subject, first)} {_unseen(subject, numbers)}", *(_compared(subject, first, name) for name in others)]
    header = ["tagger", f"{main.name} AUC, clean", "strongest attack", "lost"]
    found, *others_found = (main.class_names[column] for column in main.columns[0])
    header += [f"{found} efficiency at {_RATE:.0%} {main.sides[1]} mistag, {jets}" for jets in ("clean", "attacked")]
    caption = f"{subject.title}; ε = {subject.options.epsilon:g}; ± is half the 68 % interval of the sample."
    if _have_seeds(subject, *subject.names):
        caption += " Areas are means over seeds where there are several, efficiencies those of the first."
    if others_found:
        caption += f" Efficiencies of {', '.join(others_found)} are among the working points below."
    lines = [_line(subject, numbers, name, found) for name in subject.names]
    return Section("", text, [Table(caption, header, lines)], vulnerability.slide(subject))


def _line(subject: Subject, numbers: Mapping[str, Numbers], name: str, found: str) -> list[str]:
    """A tagger on the slide, with the efficiency of the class `found`."""
    strongest = subject.strongest[name, None]
    rows = where(numbers[working_points.NAME]["rows"], tagger=name, working_point=_RATE, binning="all")
    rates = [str(where(rows, flavour=found, condition=condition.label)[0]["rate"]) for condition in (CLEAN, strongest)]
    attacked, clean = (_area(numbers[areas.NAME]["rows"], name, title) for title in (areas.STRONGEST, CLEAN.title))
    return [name, clean, attacked, f"{subject.trained_loss(name, strongest).mean.interval}", *rates]


def _have_seeds(subject: Subject, *names: str) -> bool:
    """Whether one of some taggers has several seeds."""
    return any(len(subject.taggers[name]) > 1 for name in names)


def _lost(subject: Subject, name: str) -> str:
    strongest = subject.strongest[name, None]
    fgsm, most = (subject.trained_loss(name, condition).mean.interval for condition in (subject.fgsm(), strongest))
    if strongest == subject.fgsm():
        return f"FGSM, the strongest attack tried, takes {fgsm} of {subject.main.name} area from {name}."
    return f"FGSM takes {fgsm} of {subject.main.name} area from {name}, the strongest attack tried, {strongest.title}, {most}."


def _unseen(subject: Subject, numbers: Mapping[str, Numbers]) -> str:
    """How much of it could be seen."""
    first = subject.names[0]
    answer, preserving = numbers[shapes.NAME]["answers"][first], hidden.preserving(numbers[hidden.NAME], first)
    return (
        f"{answer['normal']} of the {answer['moving']} inputs that FGSM moves look normal within "
        f"{subject.options.uncertainty:.0%}. FGSM that keeps all their distributions takes {preserving['loss']}."
    )


def _compared(subject: Subject, first: str, name: str) -> str:
    """What a tagger loses, and its clean area, against the first one, with what 95 % intervals say of both."""
    own, others = (subject.trained_loss(one, subject.strongest[one, None]) for one in (name, first))
    more, clean = (own - others).interval, (subject.trained(name) - subject.trained(first)).interval
    robust = {1: "less robust than", 0: "as robust, within errors, as", -1: "more robust than"}[_sign(more)]
    price = {1: "better", 0: "no different within errors", -1: "worse"}[_sign(clean)]
    of = "sample and seeds" if _have_seeds(subject, first, name) else "the sample, a training each"
    return (
        f"{name} is {robust} {first}: it loses {own.mean.interval}. On clean jets it is {price}: {clean:+[]} of area "
        f"(95 % interval of {of})."
    )


def _sign(interval: Interval) -> int:
    """Which side of 0 all of it lies on; 0 if on both."""
    return (interval.low > 0) - (interval.high < 0)
