"""What no attack can do, and how near attacks come to it."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kerastag import plots
from kerastag.attacks import CLEAN, Condition, attacked_logits
from kerastag.errors import UserError
from kerastag.evaluation.certified import Certifier
from kerastag.metrics import RankedPair
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.results import Resampled, defined
from kerastag.tables import Row, where

NAME = "certified"
_ATTACKS = ("pgd-20", "apgd-20")
# Jets of the curves; a size costs a tagger some seconds.
_JETS = 2_000


def numbers(subject: Subject) -> Numbers:
    """Areas of some jets by size: under the stronger of two attacks on the margin, and the least that any can leave."""
    rows: list[Row] = []
    reasons: dict[str, str] = {}
    for name in subject.names:
        try:
            rows += list(_curve(subject, name))  # all sizes or none
        except UserError as error:
            reasons[name] = str(error)
    return {"rows": rows, "reasons": reasons}


def _curve(subject: Subject, name: str) -> Iterator[Row]:
    jets, model, main = subject.jets.take(slice(_JETS)), subject.model(name), subject.main
    bootstrap = subject.bootstrap.of(np.arange(len(subject.jets)) < _JETS)
    untied = dataclasses.replace(subject.options.physics, untied=True)
    attempts = [Condition(name, 1.0, None, main.name, subject.options.scale, physics=untied) for name in _ATTACKS]
    attacks, certifier = {one.title: subject.attack(one) for one in attempts}, Certifier(model, main)

    def area(values: np.ndarray) -> Resampled:
        return defined(bootstrap.area(RankedPair(jets.y, values, main)), f"{main.name} AUC of {len(jets):,} jets")

    clean = area(attacked_logits(model, jets.features, jets.y, None)).interval
    yield {"tagger": name, "epsilon": 0.0, "attack": CLEAN.title, "attacked": clean, "certified": clean}
    for epsilon in sorted({subject.options.epsilon, *subject.options.epsilons}):
        subject.say(f"{name}, certificate at {epsilon:g}")
        areas = {
            title: area(attacked_logits(model, jets.features, jets.y, attack, strength=epsilon))
            for title, attack in attacks.items()
        }
        strongest = min(areas, key=lambda title: areas[title].value)
        certified = area(certifier(jets, dataclasses.replace(attempts[0], epsilon=epsilon).threat_model(subject.dataset)))
        found = {"attacked": areas[strongest].interval, "certified": certified.interval}
        yield {"tagger": name, "epsilon": epsilon, "attack": strongest, **found}


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """The band between attacks and certificates."""
    if not numbers["rows"]:
        return {}
    title = f"{min(_JETS, len(subject.jets)):,} jets of {subject.dataset.schema.name}, inputs untied; bars 68 %"
    rows = [row for row in numbers["rows"] if row["epsilon"]]
    return {"certified": plots.certified(rows, subject.main.name, title, subject.options.unit)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """The areas."""
    return {"certified": numbers["rows"]}


def section(subject: Subject, numbers: Numbers) -> Section:
    """Both ends at the headline's size."""
    main, size = subject.main.name, subject.options.epsilon
    clean = {row["tagger"]: row["attacked"] for row in where(numbers["rows"], epsilon=0.0)}
    at_size = where(numbers["rows"], epsilon=size)
    rows = [
        [row["tagger"], f"{clean[row['tagger']]:[]}", row["attack"], f"{row['attacked']:[]}", f"{row['certified']:[]}"]
        for row in at_size
    ]
    words = [
        "Whatever an attack does in this box, the area stays above the certified one. Limits of every output over the whole "
        "box of a jet are carried through the network (CROWN, arXiv:1811.00866). Inputs move one by one here, and so does the "
        "attack beside it. Attacks on tied inputs, elsewhere on this page, have another box, in which others move as well: "
        "these limits do not hold for them.",
        *(
            f"At ε = {size:g}, {row['tagger']} keeps between {row['certified']} (certified) and {row['attacked']} "
            f"({row['attack']}, the strongest attack tried here)."
            for row in at_size
        ),
        *(f"{name} has no certificate. {reason}" for name, reason in numbers["reasons"].items()),
    ]
    header = ["tagger", "clean", "strongest attack tried", "attacked", "certified: at least"]
    drawn = [Figure("certified", f"{main} AUC against ε: what the attack leaves, and below it what none can pass.")]
    return Section(
        "What can no attack do?",
        words,
        [Table(f"{main} AUC at ε = {size:g} of some jets, with 68 % intervals:", header, rows)] if rows else [],
        drawn if rows else [],
    )
