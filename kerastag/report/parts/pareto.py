"""Robustness against performance, all taggers."""

import numpy as np

from kerastag import plots
from kerastag.evaluation.comparison import RELATIVE_CAP
from kerastag.report.page import Figure, Section
from kerastag.report.subject import Subject

NAME = "pareto"


def numbers(subject: Subject) -> dict:
    """Clean and attacked area of each tagger, mean over seeds."""
    rows = []
    for name in subject.names:
        clean = subject.of_seeds(name)
        for attack, cap in (("strongest attack", None), (f"strongest attack, cap {RELATIVE_CAP:.0%}", RELATIVE_CAP)):
            attacked = subject.of_seeds(name, subject.strongest[name, cap])
            rows.append(
                {
                    "tagger": name,
                    "attack": attack,
                    "clean": float(clean.mean()),
                    "attacked": float(attacked.mean()),
                    "clean_spread": _spread(clean),
                    "attacked_spread": _spread(attacked),
                    "seeds": len(clean),
                }
            )
    return {"rows": rows}


def _spread(areas: np.ndarray) -> float:
    return float(areas.std(ddof=1)) if len(areas) > 1 else 0.0


def draw(subject: Subject, found: dict) -> dict:
    """The front."""
    attacks = list(dict.fromkeys(row["attack"] for row in found["rows"]))
    return {"pareto": plots.pareto(found["rows"], attacks, f"{subject.sample}, ε = {subject.options.epsilon:g}")}


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    return {"pareto": found["rows"]}


def section(subject: Subject, found: dict) -> Section:
    """Which taggers no other exceeds in both."""
    return Section(
        "Which taggers are best in both?",
        [
            "Right is better on clean jets, up is better under the strongest attack found; dotted is the front that none "
            "exceeds."
        ],
        figures=[Figure("pareto", "Clean area against attacked area; error bars are the standard deviation over seeds.")],
    )
