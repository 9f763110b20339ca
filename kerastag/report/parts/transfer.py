"""What each attack takes in each box, and whether jets attacked on one tagger harm another."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from kerastag import plots
from kerastag.attacks import Condition, attacked_features, attacked_logits
from kerastag.evaluation.transfer import relative_loss
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.results import Interval, NotDefined, Resampled
from kerastag.schema import Separation
from kerastag.tables import Row, unique, where

NAME = "transfer"
_ATTACKS = ("fgsm", "ngm", "pgd-20", "apgd-20")
_DRAWN = ("fgsm", "apgd-20")
# Jets that are attacked, which takes some eighty gradients of each and tagger.
_JETS = 2_000


def conditions(subject: Subject) -> list[Condition]:
    """Attacks on the margin of the main discriminator, in the box of the report and in that of the paper."""
    physics = subject.options.physics
    return [
        dataclasses.replace(subject.condition(attack, objective=subject.main.name), physics=box)
        for box in dict.fromkeys((physics, dataclasses.replace(physics, paper=True)))
        for attack in _ATTACKS
    ]


def numbers(subject: Subject) -> Numbers:
    """Losses of every tagger to attacks on every tagger, and relative ones beyond those of the first, paired."""
    jets, first = subject.jets.take(slice(_JETS)), subject.names[0]
    bootstrap = subject.bootstrap.of(np.arange(len(subject.jets)) < _JETS)
    clean = {name: attacked_logits(subject.model(name), jets.features, jets.y, None) for name in subject.names}
    rows, differences = [], []
    for condition in conditions(subject):
        relative = {}
        for source in subject.names:
            subject.say(f"{source}, {condition.label}")
            attack = subject.attack(dataclasses.replace(condition, epsilon=1.0))  # one graph serves all sizes
            moved = attacked_features(subject.model(source), jets.features, jets.y, attack, strength=condition.epsilon)
            for target in subject.names:
                logits = attacked_logits(subject.model(target), moved, jets.y, None)
                losses = _losses(jets, clean[target], logits, bootstrap, subject.main)
                about = {"condition": condition.label, "attacked_on": source, "evaluated_on": target}
                rows.append(about | {name: loss.interval for name, loss in losses.items()})
                if source == target:
                    relative[target] = losses["relative"]
        for name in subject.names[1:]:
            beyond = relative[name] - relative[first]
            differences.append({"condition": condition.label, "tagger": name, "beyond": beyond.interval})
    return {"jets": len(jets), "rows": rows, "differences": differences}


def _losses(
    jets: Jets, clean: np.ndarray, attacked: np.ndarray, bootstrap: Bootstrap, main: Separation
) -> dict[str, Resampled | NotDefined]:
    """Loss of area from clean to attacked logits, over what it is above 0.5, and if jets of one side alone are attacked."""

    def area(logits: np.ndarray) -> Resampled | NotDefined:
        return bootstrap.area(RankedPair(jets.y, logits, main))

    before, after = area(clean), area(attacked)
    losses = {"loss": before - after, "relative": relative_loss(before, after)}
    for side, columns in zip(main.sides, main.columns, strict=True):
        losses[f"{side} alone"] = before - area(np.where(np.isin(jets.label, columns)[:, None], attacked, clean))
    return losses


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Matrices of losses, where there are several taggers."""
    if len(subject.names) == 1:
        return {}
    labels = [condition.label for condition in conditions(subject) if condition.attack in _DRAWN]
    losses = {label: _matrix(numbers["rows"], label, subject.names) for label in labels}
    title = f"{numbers['jets']:,} jets of {subject.dataset.schema.name}"
    return {"transfer": plots.transfer(subject.names, losses, title, subject.main.name)}


def _matrix(rows: Sequence[Row], label: str, names: Sequence[str]) -> np.ndarray:
    """Losses `(attacked on, evaluated on)`; NaN where not defined."""
    losses = [[_loss(rows, label, source, target) for target in names] for source in names]
    return np.array([[loss.value if isinstance(loss, Interval) else np.nan for loss in row] for row in losses])


def _loss(rows: Sequence[Row], label: str, source: str, target: str) -> Interval | NotDefined:
    (row,) = where(rows, condition=label, attacked_on=source, evaluated_on=target)
    return row["loss"]


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """All losses, and differences where there are several taggers."""
    return {"transfer": numbers["rows"]} | ({"transfer_differences": numbers["differences"]} if numbers["differences"] else {})


def section(subject: Subject, numbers: Numbers) -> Section:
    """Losses to an attack on the tagger itself with their differences, then those to attacks on others."""
    rows, main = numbers["rows"], subject.main.name
    labels = unique(rows, "condition")
    words = [
        f"Every attack aims at the margin of {main}, on {numbers['jets']:,} jets. In the paper's box, that of "
        "arXiv:2203.13890, inputs move on their own and without bounds. Relative losses are of what the clean area has above "
        "0.5. Differences are paired."
    ]
    if any(len(seeds) > 1 for seeds in subject.taggers.values()):
        words.append("Of several seeds the first is attacked and evaluated.")
    across = [
        [label, source, *(f"{_loss(rows, label, source, target)}" for target in subject.names)]
        for label in labels
        for source in subject.names
    ]
    title = "Which attack takes how much, and does it harm another tagger?"
    evidence = [_own_table(subject, numbers)]
    if len(subject.names) == 1:
        return Section(title, words, evidence)
    words += [
        _carried(rows, labels, source, target) for source in subject.names for target in subject.names if source != target
    ]
    evidence.append(
        Table("The same, attacked on one tagger and evaluated on each:", ["jets", "attacked on", *subject.names], across)
    )
    caption = f"Loss of {main} area; rows: the tagger attacked, columns: the tagger evaluated."
    return Section(title, words, evidence, [Figure("transfer", caption)])


def _own_table(subject: Subject, numbers: Numbers) -> Table:
    """Losses of each tagger to attacks on itself."""
    first, *others = subject.names
    own = [row for row in numbers["rows"] if row["attacked_on"] == row["evaluated_on"]]
    quantities = [name for name in own[0] if isinstance(own[0][name], Interval | NotDefined)]
    beyond = {(row["condition"], row["tagger"]): f"{row['beyond']:+[]}" for row in numbers["differences"]}
    lines = [
        [
            row["condition"],
            row["evaluated_on"],
            *(f"{row[name]}" for name in quantities),
            *([beyond.get((row["condition"], row["evaluated_on"]), "")] if others else []),
        ]
        for row in own
    ]
    header = ["jets", "tagger", *quantities, *([f"relative, beyond {first}"] if others else [])]
    return Table(f"Loss of {subject.main.name} area to attacks on the tagger itself:", header, lines)


def _carried(rows: Sequence[Row], labels: Sequence[str], source: str, target: str) -> str:
    """How much of what its own attack takes from a tagger one on another takes, from the least to the most over attacks."""
    shares = {label: _share(rows, label, source, target) for label in labels}
    known = {label: share for label, share in shares.items() if np.isfinite(share)}
    if not known:
        return f"Attacks on {target} take nothing from it here, so there is nothing to compare attacks on {source} with."
    least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    return (
        f"Jets attacked on {source} take from {target} {known[least]:.0%} ({least}) to {known[most]:.0%} ({most}) of what its "
        "own attack takes."
    )


def _share(rows: Sequence[Row], label: str, source: str, target: str) -> float:
    """Loss to an attack on another over that to the tagger's own; NaN where the latter is within its error of nothing."""
    other, own = _loss(rows, label, source, target), _loss(rows, label, target, target)
    if isinstance(own, NotDefined) or isinstance(other, NotDefined) or own.low <= 0:
        return np.nan
    return other.value / own.value
