"""The realistic scenario: distortions that know nothing of a tagger beside attacks, at the same size of change."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from kerastag import plots
from kerastag.attacks import Condition
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.tables import Row, unique, where

NAME = "realism"
_ATTACKS = ("fgsm", "pgd-20", "noise", "systematic-up", "systematic-down", "correlated")


def numbers(subject: Subject) -> Numbers:
    """Area and size of the change for each kind and ε, no cap."""
    free = np.asarray(subject.fgsm().threat_model(subject.dataset).moves(subject.jets.features))
    rows = []
    sizes: dict[Condition, float] = {}  # of distortions, which are the same for all taggers
    for name, attack, epsilon in itertools.product(subject.names, _ATTACKS, subject.options.epsilons):
        condition = subject.condition(attack, epsilon)
        if condition.is_attack or condition not in sizes:
            sizes[condition] = _size(subject, subject.attacked(name, condition), free)
        rows.append(
            {
                "tagger": name,
                "kind": condition.title,
                "is_attack": condition.is_attack,
                "epsilon": epsilon,
                "size": sizes[condition],
                "area": subject.area(name, condition).interval,
                "loss": subject.loss(name, condition).interval,
            }
        )
    return {"rows": rows}


def _size(subject: Subject, attacked: np.ndarray, free: np.ndarray) -> float:
    """Root of the mean squared Δx/σ of the cells that may move."""
    moved = (attacked - subject.jets.features) / subject.dataset.statistics.sigma
    return float(np.sqrt(np.square(moved, where=free, out=np.zeros(moved.shape)).sum() / max(free.sum(), 1)))


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Loss of area against the size of the change."""
    return {
        "realism": plots.against_size(
            numbers["rows"], f"{subject.title}; full: attacks, dashed: distortions", subject.main.name
        )
    }


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Areas, losses and sizes."""
    return {"realism": numbers["rows"]}


def section(subject: Subject, numbers: Numbers) -> Section:
    """What the same size of change does, aimed and not aimed."""
    epsilon = max(subject.options.epsilons)
    largest = where(numbers["rows"], epsilon=epsilon)
    rows = [[name, *(f"{row['loss']}" for row in where(largest, tagger=name))] for name in subject.names]
    caption = f"Loss of {subject.main.name} area at ε = {epsilon:g}, of several seeds the first:"
    return Section(
        "How do attacks compare with mismodelling that is not aimed?",
        [
            "Noise, common shifts of all inputs up or down, and shifts with the correlations of the jets themselves, each "
            "cell moved by about as much as FGSM moves it."
        ],
        [Table(caption, ["tagger", *unique(largest, "kind")], rows)],
        [
            Figure(
                "realism",
                "Loss of area against the size of the change; losses that are not above 0 by their error are not drawn.",
            )
        ],
    )
