"""What a tagger in use would do: thresholds frozen on clean jets."""

from collections.abc import Mapping, Sequence

import numpy as np

from kerastag import plots
from kerastag.attacks import CLEAN
from kerastag.evaluation.working_points import Binning, binnings, working_points
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.request import RELATIVE_CAP
from kerastag.tables import Row, unique, where

NAME = "working_points"


def numbers(subject: Subject) -> Numbers:
    """Efficiencies and mistag rates of each tagger under each attack, in bins."""
    bins = binnings(subject.dataset.schema, subject.jets)
    rows = []
    for name in subject.names:
        attacks = (subject.fgsm(), subject.fgsm(RELATIVE_CAP), subject.strongest[name, None])
        logits = subject.labelled_logits(name, (CLEAN, *attacks, *subject.distortions()))
        rows += [{"tagger": name, **row} for row in _measured(subject, logits, bins)]
    return {"rows": rows, "bins": {quantity: binning.names for quantity, binning in bins.items()}}


def _measured(subject: Subject, logits: Mapping[str, np.ndarray], bins: Mapping[str, Binning]) -> Sequence[Row]:
    return working_points(subject.jets.label, logits, bins, subject.bootstrap, subject.main)


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Ratios in bins under FGSM, a figure per working point."""
    attacked = where(numbers["rows"], condition=subject.fgsm().label)
    figures, rejected = {}, subject.main.sides[1]
    for rate in unique(attacked, "working_point"):
        title = f"threshold at {_percent(rate)} {rejected} mistag on clean jets; {subject.title}, {subject.fgsm().label}"
        rows = where(attacked, working_point=rate)
        figures[_figure(rate)] = plots.working_points(rows, numbers["bins"], subject.main, title)
    return figures


def _figure(rate: float) -> str:
    return f"working_point_{rate:g}".replace(".", "")


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Rates and ratios."""
    return {"working_points": numbers["rows"]}


def section(subject: Subject, numbers: Numbers) -> Section:
    """Efficiencies and mistag rates over all jets."""
    main = subject.main
    found, rejected = main.columns
    now = [
        f"{name} efficiency" if number in found else f"{name} mistag{' now' if number in rejected else ''}"
        for number, name in enumerate(main.class_names)
    ]
    ratios = [f"{name} / clean" for number, name in enumerate(main.class_names) if number in (*found, *rejected)]
    header = [f"{main.sides[1]} mistag", "tagger", "jets", *now, *ratios]
    rates = unique(numbers["rows"], "working_point")
    return Section(
        "What happens at a working point?",
        [
            f"Thresholds on {main.name} are set on clean jets and kept. Errors are 68 %, ratios paired. Where fewer than 20 "
            "jets are tagged there is no number; the working point of 0.1 % needs a million jets. In bins of pT, |η| and "
            "number of tracks, and for distortions too: working_points.csv."
        ],
        [Table("All jets:", header, _lines(subject, where(numbers["rows"], binning="all")))],
        [
            Figure(
                _figure(rate),
                f"Rates under FGSM over those on clean jets, threshold at {_percent(rate)} {main.sides[1]} mistag.",
            )
            for rate in rates
        ],
    )


def _lines(subject: Subject, rows: Sequence[Row]) -> list[list[str]]:
    """A line per working point, tagger and condition, without distortions."""
    distortions = [condition.label for condition in subject.distortions()]
    names, sides = subject.main.class_names, {column for side in subject.main.columns for column in side}
    with_ratio = [name for number, name in enumerate(names) if number in sides]
    lines: dict[tuple, dict[str, Row]] = {}
    for row in rows:
        if row["condition"] not in distortions:
            lines.setdefault((row["working_point"], row["tagger"], row["condition"]), {})[row["flavour"]] = row
    return [
        [_percent(rate), name, condition]
        + [f"{by_flavour[flavour]['rate']}" for flavour in names]
        + ["–" if condition == CLEAN.label else f"{by_flavour[flavour]['ratio']}" for flavour in with_ratio]
        for (rate, name, condition), by_flavour in lines.items()
    ]


def _percent(rate: float) -> str:
    return f"{100 * rate:g} %"
