"""How much an attack takes that cannot be told from clean jets, and at how many jets it could be?"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kerastag import plots
from kerastag.attacks import Exchange, attacked_logits
from kerastag.evaluation.two_sample_trees import Halves
from kerastag.evaluation.two_samples import LEVEL, halves
from kerastag.evaluation.visibility import Side, rounded, visibility
from kerastag.metrics import RankedPair
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.results import Resampled, Trained, defined
from kerastag.tables import Row, where

NAME = "hidden"


@dataclasses.dataclass(frozen=True)
class _Aim:
    """What an attack preserves.

    Attributes:
        title: Name in tables.
        options: Those of an `Exchange`; None for the attack as it is.
        summaries_stay: Whether features of the whole jet stay that follow from what is no input.
    """

    title: str
    options: dict[str, float] | None
    summaries_stay: bool = False


PLAIN = _Aim("FGSM", None)
MARGINALS = _Aim("marginals", {})
# arXiv:2603.13970 preserves marginals and linear correlations.
CORRELATIONS = _Aim("marginals, linear correlations within 0.005", {"correlation": 0.005})
# Trees find a jet probability that no longer fits its tracks.
CONSISTENT = _Aim("marginals; summaries of the jet that no tie holds stay", {}, summaries_stay=True)
_TOLERANT = tuple(
    _Aim(f"marginals within a distance of {size:g}; summaries stay", {"tolerance": size}, summaries_stay=True)
    for size in (0.0025, 0.005, 0.02)
)


def numbers(subject: Subject) -> Numbers:
    """Loss of area and what tests against independent jets see; more aims for the first tagger, and one for all its seeds."""
    jets, first = subject.jets, subject.names[0]
    trees = Halves(jets.features, jets.label, jets.events)
    moves = np.asarray(subject.fgsm().threat_model(subject.dataset).moves(jets.features))
    rows, preserving = [], []
    for name in subject.names:
        exchange = _exchange(subject, name)
        for aim in (PLAIN, MARGINALS, CONSISTENT, *((CORRELATIONS, *_TOLERANT) if name == first else ())):
            subject.say(f"{name}, {aim.title}")
            attacked = _attacked(subject, name, aim, exchange)
            logits = _logits(subject, name, attacked)
            loss = _loss(subject, name, logits)
            share = float((attacked != jets.features)[moves].mean()) if moves.any() else 0.0
            row = {"tagger": name, "preserved": aim.title, "loss": loss.interval, "moved": share}
            rows.append(row | _seen(subject, name, attacked, logits, trees))
            if (name, aim) == (first, MARGINALS):
                preserving.append(loss)
    for seed in range(1, len(subject.taggers[first])):
        subject.say(f"{first}, {MARGINALS.title}, seed {seed + 1}")
        attacked = _attacked(subject, first, MARGINALS, _exchange(subject, first, seed), seed)
        preserving.append(_loss(subject, first, _logits(subject, first, attacked, seed), seed))
    return {"rows": rows, "preserving": Trained.of(preserving).interval}


def _loss(subject: Subject, name: str, logits: np.ndarray, seed: int = 0) -> Resampled:
    """Clean area of a tagger minus that of logits `(jets, classes)`."""
    attacked = subject.bootstrap.area(RankedPair(subject.jets.y, logits, subject.main))
    return subject.area(name, seed=seed) - defined(attacked, f"{subject.main.name} AUC of attacked jets")


def _logits(subject: Subject, name: str, attacked: np.ndarray, seed: int = 0) -> np.ndarray:
    return attacked_logits(subject.taggers[name][seed].model, attacked, subject.jets.y, None)


def _seen(subject: Subject, name: str, attacked: np.ndarray, logits: np.ndarray, trees: Halves) -> dict[str, Any]:
    """What tests and trees see of an attack."""
    jets, clean, half = subject.jets, subject.logits(name), halves(subject.jets.events)
    after, before, others = (
        Side(features[rows], jets.label[rows], scores[rows])
        for features, scores, rows in ((attacked, logits, half), (jets.features, clean, half), (jets.features, clean, ~half))
    )
    found = visibility(subject.dataset.schema, after, others, before=before, classifier=trees.classify(attacked))
    return found.summary


def _exchange(subject: Subject, name: str, seed: int = 0) -> Exchange:
    """The jets that exchange values; each half by itself, so that none holds a value of the other."""
    attack, jets = subject.attack(subject.fgsm()), subject.jets
    assert attack is not None
    return Exchange(attack, subject.taggers[name][seed].model, jets.features, jets.y, halves(jets.events))


def _attacked(subject: Subject, name: str, aim: _Aim, exchange: Exchange, seed: int = 0) -> np.ndarray:
    """Attacked features `(jets, features)`."""
    attacked = subject.attacked(name, subject.fgsm(), seed)
    if aim.options is None:
        return attacked
    if aim.summaries_stay:
        stay = [bool(feature.untied) and feature.slot is None for feature in subject.dataset.schema.features]
        attacked = np.where(stay, subject.jets.features, attacked)
    return exchange(attacked, **aim.options)


def preserving(numbers: Numbers, name: str) -> Row:
    """The row of the attack on a tagger that preserves every marginal."""
    return where(numbers["rows"], tagger=name, preserved=MARGINALS.title)[0]


def most_hidden(numbers: Numbers, name: str) -> Row | None:
    """The row of the largest loss of a tagger that nothing tells from clean jets; None if there is none."""
    return max(where(numbers["rows"], tagger=name, invisible=True), key=lambda row: row["loss"].value, default=None)


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Loss against the number of jets that would show it."""
    title = f"FGSM ε = {subject.options.epsilon:g} on {subject.names[0]}"
    return {"hidden": plots.against_jets(where(numbers["rows"], tagger=subject.names[0]), title, subject.main.name)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """All numbers by tagger and aim."""
    return {"hidden": numbers["rows"]}


def section(subject: Subject, numbers: Numbers) -> Section:
    """What is hidden, from what, and how long."""
    return Section(
        "How much can an attack take and stay hidden?",
        [
            "Jets of a flavour exchange the values of an input, which keeps every distribution as it is. With a distance, each "
            "may change by that much. Linear correlations are kept as CONSERVAttack aims to (arXiv:2603.13970). One half of "
            "the events is attacked and compared with the other half, clean, without any uncertainty: all inputs and the "
            f"discriminators of the tagger in every flavour, with a false alarm in {LEVEL:.0%} of samples, and boosted trees "
            "on all inputs and the flavour. Where the first trees see nothing at once, areas are means of four "
            "trainings: either half attacked, each with two foldings. Their control is the same with the jets as they were.",
            _conclusion(subject, numbers),
        ],
        [Table("FGSM that preserves:", *_table(numbers["rows"], subject.main.name))],
        [
            Figure(
                "hidden",
                "Loss against the number of attacked jets, and of as many clean ones, at which inputs, discriminators or trees "
                "would show it, from the distances of attacked jets to themselves before. Arrows: never.",
            )
        ],
    )


def _conclusion(subject: Subject, numbers: Numbers) -> str:
    row = preserving(numbers, subject.names[0])
    seen = ", ".join(_seen_by(row)) or "nothing"
    most = most_hidden(numbers, subject.names[0])
    hidden = f"The most that nothing sees is {most['loss']} ({most['preserved']})." if most else "Nothing of it stays hidden."
    return (
        f"Where every marginal is kept, it takes {row['loss']} of {subject.main.name} area from {subject.names[0]}; with "
        f"{row['attacked_jets']:,} jets it is seen by {seen}. {hidden} A loss of area is a change of discriminators by "
        "flavour, so no loss stays hidden from them for ever."
    )


def _seen_by(row: Row) -> Iterator[str]:
    """What tells attacked jets from clean ones."""
    if row["inputs_that_show"]:
        yield f"{row['inputs_that_show']} inputs"
    if row["discriminator_p"] < LEVEL:
        yield "discriminators"
    if row["classifier_p"] < LEVEL:
        yield f"trees of an area of {row['classifier']} (control {row['classifier_control']})"


def _table(rows: Sequence[Row], main: str) -> tuple[list[str], list[list[str]]]:
    header = [
        "attack on",
        "preserves",
        f"loss of {main} area",
        "cells moved",
        "inputs that show",
        "area of trees",
        "above control",
        "hidden",
    ]
    header += [f"{what} at N jets" for what in ("inputs show", "discriminators", "trees as good as these")]
    return header, [
        [
            row["tagger"],
            "nothing" if row["preserved"] == PLAIN.title else row["preserved"],
            f"{row['loss']}",
            f"{row['moved']:.0%}",
            str(row["inputs_that_show"]),
            f"{row['classifier']}",
            f"{row['classifier_excess']:+}",
            "yes" if row["invisible"] else "no",
            *(rounded(row[f"{what}_jets"]) for what in ("input", "discriminator", "classifier")),
        ]
        for row in rows
    ]
