"""Which inputs carry the vulnerability, and what attacks do to correlations."""

import numpy as np

from kerastag import plots
from kerastag.evaluation.feature_groups import groups, losses
from kerastag.report.page import Figure, Section, Table, plus_minus
from kerastag.report.subject import Subject
from kerastag.statistics import correlations

NAME = "feature_groups"
_SHOWN = 12


def numbers(subject: Subject) -> dict:
    """Loss of area by group, and the pairs of inputs whose correlation changes most."""
    schema, x = subject.dataset.schema, subject.split.features
    found: dict = {"kind": [], "variable": [], "pairs": {}}
    clean = correlations(x, schema.defaults)
    for name in subject.names:
        attacked = subject.attacked(name, subject.fgsm())
        for how, masks in groups(schema).items():
            rows = losses(subject.model(name), x, attacked, subject.y, masks, subject.bootstrap)
            found[how] += [{"tagger": name, **row} for row in rows]
        found["pairs"][name] = _largest(correlations(attacked, schema.defaults), clean, schema.names)
    return found


def _largest(attacked: np.ndarray, clean: np.ndarray, names: tuple[str, ...]) -> list[dict]:
    """The pairs of inputs whose linear correlation changes most."""
    change = np.triu(attacked - clean, 1)
    order = np.argsort(-np.abs(change), axis=None)[:_SHOWN]
    return [
        {"first": names[i], "second": names[j], "clean": float(clean[i, j]), "attacked": float(attacked[i, j])}
        for i, j in zip(*np.unravel_index(order, change.shape), strict=True)
    ]


def draw(subject: Subject, found: dict) -> dict:
    """Losses by group; correlation matrices."""
    schema = subject.dataset.schema
    title = f"{subject.sample}, {subject.fgsm().label}"
    clean = correlations(subject.split.features, schema.defaults)
    changes = {name: correlations(subject.attacked(name, subject.fgsm()), schema.defaults) - clean for name in subject.names}
    return {
        "feature_groups": plots.feature_groups(found["kind"], found["variable"], _SHOWN, title),
        "correlations": plots.correlations(schema, clean, changes, title),
    }


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    listed = [{"grouping": how, **row} for how in ("kind", "variable") for row in found[how]]
    pairs = [{"attack_on": name, **row} for name, rows in found["pairs"].items() for row in rows]
    return {"feature_groups": listed, "correlations": pairs}


def section(subject: Subject, found: dict) -> Section:
    """The groups that matter most."""
    rows = [
        [name, *_most(found["kind"], name), *_most(found["variable"], name), f"{_all(found['kind'], name):.4f}"]
        for name in subject.names
    ]
    header = ["tagger", "object that carries most", "loss by it alone", "variable that carries most", "loss by it alone", "all"]
    pairs = found["pairs"][subject.names[0]]
    return Section(
        "Which inputs carry the vulnerability?",
        [
            "FGSM on one group of inputs alone, and on all but one; gradients are those at the clean jet, so this is FGSM "
            "with the rest put back. Losses by groups need not add up. Correlations are what checks of single distributions "
            "do not see."
        ],
        [
            Table("Loss of BvL area; every group in feature_groups.csv:", header, rows),
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


def _most(rows: list[dict], name: str) -> list[str]:
    own = [row for row in rows if row["tagger"] == name and row["attacked"] == "only"]
    best = max(own, key=lambda row: row["loss"])
    return [best["group"], plus_minus(best, "loss")]


def _all(rows: list[dict], name: str) -> float:
    return next(row["loss"] for row in rows if row["tagger"] == name and row["attacked"] == "all")
