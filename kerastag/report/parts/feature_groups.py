"""Which inputs carry the vulnerability, and what attacks do to correlations."""

from collections.abc import Mapping, Sequence

import numpy as np

from kerastag import plots
from kerastag.evaluation.feature_groups import groups, losses
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.results import Interval
from kerastag.statistics import correlations
from kerastag.tables import Row, where

NAME = "feature_groups"
# Variables in the figure and pairs of inputs in the table.
_SHOWN = 12


def numbers(subject: Subject) -> Numbers:
    """Loss of area by group, and the pairs of inputs whose correlation changes most."""
    schema, jets = subject.dataset.schema, subject.jets
    clean = correlations(jets.features, schema.defaults)
    rows: dict[str, list[Row]] = {"kind": [], "variable": []}
    pairs = {}
    for name in subject.names:
        attacked = subject.attacked(name, subject.fgsm())
        for grouping, masks in groups(schema).items():
            by_group = losses(subject.model(name), jets.features, attacked, jets.y, masks, subject.bootstrap, subject.main)
            rows[grouping] += [{"tagger": name, **row} for row in by_group]
        pairs[name] = _largest(correlations(attacked, schema.defaults), clean, schema.names)
    return {**rows, "pairs": pairs}


def _largest(attacked: np.ndarray, clean: np.ndarray, names: tuple[str, ...]) -> list[Row]:
    """The pairs of inputs whose linear correlation changes most."""
    change = np.triu(attacked - clean, 1)
    order = np.argsort(-np.abs(change), axis=None)[:_SHOWN]
    return [
        {"first": names[i], "second": names[j], "clean": float(clean[i, j]), "attacked": float(attacked[i, j])}
        for i, j in zip(*np.unravel_index(order, change.shape), strict=True)
    ]


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Losses by group; correlation matrices."""
    schema = subject.dataset.schema
    title = f"{subject.title}, {subject.fgsm().label}"
    clean = correlations(subject.jets.features, schema.defaults)
    changes = {name: correlations(subject.attacked(name, subject.fgsm()), schema.defaults) - clean for name in subject.names}
    return {
        "feature_groups": plots.feature_groups(numbers["kind"], numbers["variable"], _SHOWN, title, subject.main.name),
        "correlations": plots.correlations(schema, clean, changes, title),
    }


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Losses by group, and correlations."""
    by_group = [{"grouping": grouping, **row} for grouping in ("kind", "variable") for row in numbers[grouping]]
    pairs = [{"attack_on": name, **row} for name, rows in numbers["pairs"].items() for row in rows]
    return {"feature_groups": by_group, "correlations": pairs}


def section(subject: Subject, numbers: Numbers) -> Section:
    """The groups that matter most."""
    rows = []
    for name in subject.names:
        kinds, variables = (where(numbers[grouping], tagger=name) for grouping in ("kind", "variable"))
        rows.append([name, *_most(kinds), *_most(variables), f"{_all(kinds)}"])
    header = ["tagger", "object that carries most", "loss by it alone", "variable that carries most", "loss by it alone", "all"]
    pairs = numbers["pairs"][subject.names[0]]
    return Section(
        "Which inputs carry the vulnerability?",
        [
            "FGSM on one group of inputs alone, and on all but one; gradients are those at the clean jet, so this is FGSM "
            "with the rest put back. Losses by groups need not add up. Correlations are what checks of single distributions "
            "do not see."
        ],
        [
            Table(f"Loss of {subject.main.name} area; every group in feature_groups.csv:", header, rows),
            Table(
                f"Linear correlations that the attack on {subject.names[0]} changes most:",
                ["inputs", "", "clean", "attacked"],
                [[row["first"], row["second"], f"{row['clean']:.3f}", f"{row['attacked']:.3f}"] for row in pairs],
            ),
        ],
        [
            Figure(
                "feature_groups", f"Left: by object. Right: the {_SHOWN} variables that matter most, all their slots together."
            ),
            Figure("correlations", "Linear correlations of clean jets, and their change under attack."),
        ],
    )


def _most(rows: Sequence[Row]) -> list[str]:
    """Name and loss of the group that loses most when it alone is attacked."""
    largest = max(where(rows, attacked="only"), key=lambda row: row["loss"].value)
    return [largest["group"], f"{largest['loss']}"]


def _all(rows: Sequence[Row]) -> Interval:
    """Loss when all inputs are attacked."""
    (row,) = where(rows, attacked="all")
    return row["loss"]
