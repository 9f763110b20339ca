"""The realistic scenario: distortions that know nothing of a tagger beside attacks, at the same size of change."""

import dataclasses

import numpy as np

from kerastag import plots
from kerastag.report.page import Figure, Section, Table, plus_minus
from kerastag.report.subject import Scenario, Subject

NAME = "realism"
_KINDS = ("fgsm", "pgd-20", "noise", "systematic-up", "systematic-down", "correlated")


def numbers(subject: Subject) -> dict:
    """Area and size of the change for each kind and ε, no cap."""
    free = np.asarray(subject.threat_model(1.0).budget(subject.split.features)) > 0
    sizes: dict[Scenario, float] = {}
    rows = []
    for name in subject.names:
        for kind in _KINDS:
            for epsilon in subject.options.epsilons:
                condition = Scenario(kind, epsilon)
                if condition.is_attack or condition not in sizes:
                    sizes[condition] = _size(subject, subject.attacked(name, condition), free)
                row = {"tagger": name, "kind": condition.title, "is_attack": condition.is_attack, "epsilon": epsilon}
                area, loss = subject.interval(name, condition), subject.loss(name, condition)
                row |= {"size": sizes[condition], **dataclasses.asdict(area)}
                rows.append(row | loss.named("loss"))
    return {"rows": rows}


def _size(subject: Subject, attacked: np.ndarray, free: np.ndarray) -> float:
    """Root of the mean squared Δx/σ of the cells that may move."""
    moved = (attacked - subject.split.features) / subject.dataset.statistics.sigma
    return float(np.sqrt(np.square(moved, where=free, out=np.zeros(moved.shape)).sum() / max(free.sum(), 1)))


def draw(subject: Subject, found: dict) -> dict:
    """Loss of area against the size of the change."""
    return {"realism": plots.against_size(found["rows"], f"{subject.sample}; full: attacks, dashed: distortions")}


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    return {"realism": found["rows"]}


def section(subject: Subject, found: dict) -> Section:
    """What the same size of change does, aimed and not aimed."""
    epsilon = max(subject.options.epsilons)
    kinds = list(dict.fromkeys(row["kind"] for row in found["rows"]))
    rows = []
    for name in subject.names:
        own = {row["kind"]: row for row in found["rows"] if (row["tagger"], row["epsilon"]) == (name, epsilon)}
        rows.append([name, *(plus_minus(own[kind], "loss", "loss_") for kind in kinds)])
    return Section(
        "How do attacks compare with mismodelling that is not aimed?",
        [
            "Noise, common shifts of all inputs up or down, and shifts with the correlations of the jets themselves, each "
            "cell moved by about as much as FGSM moves it."
        ],
        [Table(f"Loss of BvL area at ε = {epsilon:g}:", ["tagger", *kinds], rows)],
        [
            Figure(
                "realism",
                "Loss of area against the size of the change; losses that are not above 0 by their error are not drawn.",
            )
        ],
    )
