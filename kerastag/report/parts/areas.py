"""Areas with the uncertainty of the sample, and apart from it that of the seeds; differences of taggers, paired."""

from collections.abc import Mapping, Sequence

from kerastag import plots
from kerastag.attacks import CLEAN, Condition
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.request import RELATIVE_CAP
from kerastag.tables import Row, unique, where

NAME = "areas"
STRONGEST = "strongest"


def conditions(subject: Subject, name: str, cap: float | None) -> dict[str, Condition]:
    """Attacks and distortions by title; the strongest attack may be another one for each tagger.

    Args:
        subject: What the report is about.
        name: Name of the tagger.
        cap: Relative cap; None for none.
    """
    return {
        **{condition.title: condition for condition in subject.strong_attacks(cap)[:2]},
        STRONGEST: subject.strongest[name, cap],
        **{condition.title: condition for condition in subject.distortions(cap)},
    }


def row_title(title: str, cap: float | None) -> str:
    """Title of a condition in the rows of this part."""
    return title if cap is None else f"{title}, cap {cap:.0%}"


def numbers(subject: Subject) -> Numbers:
    """Main area of every tagger and condition, and its difference from that of the first tagger."""
    rows, differences = [], []
    first, *others = subject.names
    reference = _all_conditions(subject, first)
    for name in subject.names:
        for title, condition in _all_conditions(subject, name).items():
            area = subject.area(name, condition)
            row = {"tagger": name, "condition": title, "attack": condition.label}
            rows.append({**row, "area": area.interval, "seeds": subject.seeds(name, condition)})
            if name in others:
                difference = area - subject.area(first, reference[title])
                differences.append({"tagger": name, "condition": title, "difference": difference.interval})
    return {"rows": rows, "differences": differences}


def _all_conditions(subject: Subject, name: str) -> dict[str, Condition]:
    """Conditions by title, clean jets first, with and without the cap."""
    capped = {
        row_title(title, cap): condition
        for cap in (None, RELATIVE_CAP)
        for title, condition in conditions(subject, name, cap).items()
    }
    return {CLEAN.title: CLEAN, **capped}


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Points with both errors, without the cap."""
    drawn = [CLEAN.title, *conditions(subject, subject.names[0], None)]
    rows, differences = ([row for row in numbers[key] if row["condition"] in drawn] for key in ("rows", "differences"))
    title = f"{subject.title}, attacks ε = {subject.options.epsilon:g}, distortions {subject.options.distortion:g}"
    return {"areas": plots.areas(rows, differences, subject.names[0], title, subject.main.name)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Areas and differences."""
    return {"areas": numbers["rows"]} | ({"differences": numbers["differences"]} if numbers["differences"] else {})


def section(subject: Subject, numbers: Numbers) -> Section:
    """Differences with their intervals, and the two kinds of error apart."""
    first, *others = subject.names
    header = ["jets", *subject.names, *(f"{name} - {first}" for name in others)]
    rows = []
    for condition in unique(numbers["rows"], "condition"):
        cells = [_cell(row) for row in where(numbers["rows"], condition=condition)]
        differences = where(numbers["differences"], condition=condition)
        rows.append([condition, *cells, *(f"{row['difference']:+}" for row in differences)])
    several = [name for name, seeds in subject.taggers.items() if len(seeds) > 1]
    seeds = (
        f"In brackets the mean ± standard deviation over the seeds of {', '.join(several)}; numbers outside are of the first "
        "seed."
        if several
        else "One training of each was given, so the spread between seeds is not known here; give a NAME= several times for it."
    )
    return Section(
        "How sure are these areas and their differences?",
        [
            f"± is half the 68 % interval of {subject.options.replicates} resamples of events, the same for all taggers, so "
            f"that differences are paired and much better known than areas. {seeds}"
        ],
        [Table(f"{subject.main.name} area:", header, rows)],
        [
            Figure(
                "areas",
                "Points: areas and paired differences with the error of the test sample; thick bars: mean and spread of the "
                "seeds.",
            )
        ],
    )


def _cell(row: Row) -> str:
    return f"{row['area']}" if row["seeds"].spread is None else f"{row['area']} ({row['seeds']})"
