"""Rows and tables of taggers on simulated mismodelling, made of what `kerastag.evaluation.systematics` measures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerastag import tables
from kerastag.evaluation.systematics import QUANTITIES, Change, mean, predict
from kerastag.evaluation.taggers import TREES
from kerastag.request import PAPER
from kerastag.results import Interval, NotDefined, Resampled, Seeds, plus_minus
from kerastag.tables import Row

# `changes[tagger][variation]`.
Changes = Mapping[str, Mapping[str, Change]]
# Loss of BvL area, `losses[tagger][label of the condition]`.
Losses = Mapping[str, Mapping[str, Resampled | NotDefined]]
# Names of the variations in each group.
Groups = Mapping[str, Sequence[str]]
# Taggers of each training, one for each of its seeds.
Trainings = Mapping[str, Sequence[str]]
# Unit of changes of areas in the table by variation.
_UNIT = 1e-4
# What errors are.
OF_SEEDS = "Of several seeds mean ± standard deviation, of one ± half the 68 % interval of the sample."
# Stands where the first tagger would be compared with itself.
_ITSELF = NotDefined("the first tagger")


def change_rows(changes: Changes, variations: Mapping[str, Row]) -> list[dict[str, Any]]:
    """A row for each variation and tagger.

    Args:
        changes: What was measured.
        variations: What is known of each variation, by name.
    """
    return [
        {"variation": name, **about, "tagger": tagger, **_change_row(of_tagger[name])}
        for name, about in variations.items()
        for tagger, of_tagger in changes.items()
    ]


def _change_row(change: Change) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, area in change.areas.items():
        row |= {f"{name} area": area.interval, f"{name} change": change.changes[name].interval}
    for factor in change.factors:
        what = f"{factor.flavour} at {factor.working_point:g}"
        row |= {f"{what}, rate": factor.varied, f"{what}, factor": factor.factor.interval}
    return row | {f"{flavour} distance": distance for flavour, distance in change.shapes.items()}


def summary_rows(
    areas: Mapping[str, Resampled | NotDefined], changes: Changes, losses: Losses, groups: Groups
) -> list[dict[str, Any]]:
    """A row for each tagger.

    Args:
        areas: BvL area of nominal jets, by tagger; the first is the one that others are compared with.
        changes: What was measured.
        losses: Loss of BvL area under attacks.
        groups: Variations over which means are taken.
    """
    first = next(iter(areas))
    rows = []
    for tagger, area in areas.items():
        row: dict[str, Any] = {"tagger": tagger, "area": area.interval}
        for group, names in groups.items():
            sizes = {quantity: _mean_size(changes[tagger], names, quantity) for quantity in QUANTITIES}
            row |= {f"{group}, {quantity}": _interval(size) for quantity, size in sizes.items()}
            gains = [changes[tagger][name].areas["BvL"] - changes[first][name].areas["BvL"] for name in names]
            row[f"{group}, above {first}"] = _interval(mean(gains)) if tagger != first else _ITSELF
        row |= _worst(changes[tagger], [name for names in groups.values() for name in names])
        row |= {f"loss under {label}": loss.interval for label, loss in losses[tagger].items()}
        rows.append(row)
    return rows


def _mean_size(changes: Mapping[str, Change], names: Sequence[str], quantity: str) -> Resampled | NotDefined | float:
    return mean([changes[name].sizes[quantity] for name in names])


def _interval(number: Resampled | NotDefined | float) -> Interval | NotDefined | float:
    return number if isinstance(number, float) else number.interval


def training_rows(summary: Sequence[Row], trainings: Trainings) -> list[dict[str, Any]]:
    """A row for each training: that of its tagger, of several seeds every number of `summary` over them.

    Of several seeds the worst variation is that of the seed which changes most. What is gained on varied jets is compared with
    the mean of the first training.

    Args:
        summary: Rows of `summary_rows`.
        trainings: Taggers of each training.
    """
    rows = []
    for training, taggers in trainings.items():
        members = [row for row in summary if row["tagger"] in taggers]
        names = [name for name in members[0] if name not in ("tagger", "worst", "worst change")]
        worst = max(members, key=lambda row: _magnitude(row["worst change"]))
        numbers = {name: _over_seeds([member[name] for member in members]) for name in names}
        rows.append({**worst, "tagger": training, "seeds": len(members), **numbers})
    first = rows[0]
    for name in [name for name in first if ", above " in name]:
        if isinstance(first[name], Seeds):
            rows[1:] = [row | {name: _shifted(row[name], -first[name].mean)} for row in rows[1:]]
        first[name] = _ITSELF
    return rows


def _magnitude(change: Interval | NotDefined) -> float:
    return abs(change.value) if isinstance(change, Interval) else -1.0


def _over_seeds(numbers: Sequence[Interval | NotDefined | float]) -> Interval | Seeds | NotDefined | float:
    """Values of the seeds, if all are defined; the first tagger is 0 above itself."""
    if len(numbers) == 1:
        return numbers[0]
    values = []
    for number in numbers:
        if isinstance(number, NotDefined) and number != _ITSELF:
            return number
        values.append(number.value if isinstance(number, Interval) else 0.0 if isinstance(number, NotDefined) else number)
    return Seeds(tuple(values))


def _shifted(number: Any, by: float) -> Any:
    """An interval or the numbers of seeds plus a constant."""
    if isinstance(number, Seeds):
        return Seeds(tuple(value + by for value in number.values))
    return Interval(number.value + by, number.low + by, number.high + by) if isinstance(number, Interval) else number


def _worst(changes: Mapping[str, Change], names: Sequence[str]) -> dict[str, Any]:
    """The variation of largest change of the BvL area."""
    areas = {name: number for name in names if isinstance(number := changes[name].changes["BvL"], Resampled)}
    if not areas:
        return {"worst": "", "worst change": NotDefined("no variations")}
    worst = max(areas, key=lambda name: abs(areas[name].value))
    return {"worst": worst, "worst change": areas[worst].interval}


def prediction_rows(changes: Changes, losses: Losses, groups: Groups, trainings: Trainings) -> list[dict[str, Any]]:
    """Rank correlations over trainings of the loss under each attack with each mean change under variations."""
    rows = []
    for label in next(iter(losses.values())):
        of_training = {name: mean([losses[tagger][label] for tagger in taggers]) for name, taggers in trainings.items()}
        defined = {name: loss.value for name, loss in of_training.items() if isinstance(loss, Resampled)}
        for group, names in groups.items():
            for quantity in QUANTITIES:
                sizes = [mean([_mean_size(changes[tagger], names, quantity) for tagger in trainings[name]]) for name in defined]
                prediction = predict(list(defined.values()), sizes)
                row: dict[str, Any] = {"attack": label, "variations": group, "quantity": quantity}
                if isinstance(prediction, NotDefined):
                    row |= {"correlation": prediction, "of jets": prediction, "p": prediction, "taggers": len(defined)}
                else:
                    row |= {"correlation": prediction.correlation, "of jets": prediction.events}
                    row |= {"p": prediction.p, "taggers": prediction.taggers}
                rows.append(row)
    return rows


def figure_rows(content: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Points and correlations of the figure: the first attack in both boxes, against each group of variations."""
    labels = [name.removeprefix("loss under ") for name in content["summary"][0] if name.startswith("loss under ")]
    paper = [label for label in labels if PAPER.label in label][:1]
    attacks = [*paper, *[label for label in labels if label not in paper and PAPER.label not in label][:1]]
    points = [
        {
            "tagger": training,
            "attack": attack,
            "variations": group,
            "loss": _of_training(content, taggers, f"loss under {attack}"),
            "change": _of_training(content, taggers, f"{group}, area"),
        }
        for group in content["groups"]
        for attack in attacks
        for training, taggers in content["trainings"].items()
    ]
    return points, [row for row in content["predictions"] if row["quantity"] == "area"]


def _of_training(content: Mapping[str, Any], taggers: Sequence[str], name: str) -> Interval | NotDefined:
    return _mean_over_seeds([row[name] for row in content["summary"] if row["tagger"] in taggers])


def _mean_over_seeds(numbers: Sequence[Interval | NotDefined]) -> Interval | NotDefined:
    """Mean over seeds with the mean of their errors: that of the sample, on which all were measured."""
    intervals = [number for number in numbers if isinstance(number, Interval)]
    if len(intervals) < len(numbers):
        return next(number for number in numbers if isinstance(number, NotDefined))
    values, errors = np.array([[number.value, number.error] for number in intervals]).T
    return intervals[0] if len(intervals) == 1 else Interval.around(values.mean(), errors.mean())


def summary_table(rows: Sequence[Row], groups: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and cells: seeds, area, mean |change|, what is gained on varied jets, and the worst variation.

    Args:
        rows: Those of `training_rows`, as in the other tables.
        groups: Names of the groups of variations.
    """
    above = [name for name in rows[0] if ", above " in name]
    header = ["training", "seeds", "BvL AUC", *(f"mean change, {group}" for group in groups)]
    header += [*(f"above {rows[0]['tagger']}, {group}" for group in groups), "worst variation", "its change"]
    cells = []
    for row in rows:
        sizes = [_cell(row[f"{group}, area"]) for group in groups]
        gains = ["" if row is rows[0] else _cell(row[name], "+") for name in above]
        numbers = [_cell(row["area"]), *sizes, *gains, row["worst"], _cell(row["worst change"], "+")]
        cells.append([row["tagger"], str(row["seeds"]), *numbers])
    return header, cells


def quantity_table(rows: Sequence[Row], groups: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and cells: mean relative change of 1 - AUC, mean |scale factor - 1|, mean distance of shapes."""
    names = [f"{group}, {quantity}" for quantity in QUANTITIES[1:] for group in groups]
    header = ["training", *(f"{quantity}, {group}" for quantity in QUANTITIES[1:] for group in groups)]
    return header, [[row["tagger"], *(_cell(row[name]) for name in names)] for row in rows]


def loss_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells: loss of BvL area of each training under each attack."""
    names = [name for name in rows[0] if name.startswith("loss under ")]
    header = ["training", *(name.removeprefix("loss under ") for name in names)]
    return header, [[row["tagger"], *(_cell(row[name]) for name in names)] for row in rows]


def prediction_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells: ρ with interval and p for the area, ρ alone for what else changes."""
    header = ["loss under", "variations", "area", "p", *QUANTITIES[1:]]
    cells = []
    for first in tables.where(rows, quantity=QUANTITIES[0]):
        of_pair = tables.where(rows, attack=first["attack"], variations=first["variations"])
        others = [_rho(row["correlation"]) for row in of_pair if row is not first]
        p = "not defined" if isinstance(first["p"], NotDefined) else f"{first['p']:.2g}"
        cells.append([first["attack"], first["variations"], _cell(first["correlation"], "+[]"), p, *others])
    return header, cells


def _rho(number: Interval | NotDefined) -> str:
    return "not defined" if isinstance(number, NotDefined) else f"{number.value:+.2f}"


def _cell(number: Interval | Seeds | NotDefined | float, spec: str = "") -> str:
    if isinstance(number, NotDefined):
        return "not defined"
    return f"{number:.3f}" if isinstance(number, float) else format(number, spec)


def variation_table(rows: Sequence[Row], trainings: Trainings) -> tuple[list[str], list[list[str]]]:
    """Header and cells: change of the BvL area in 1e-4, a row for each variation and a column for each training.

    Args:
        rows: Those of `change_rows`.
        trainings: Taggers of each training; of several seeds the mean is shown, with the error of the sample.
    """
    changes: dict[str, dict[str, Row]] = {}
    for row in rows:
        changes.setdefault(row["variation"], {})[row["tagger"]] = row
    cells = []
    for name, of_tagger in changes.items():
        numbers = [_mean_over_seeds([of_tagger[tagger]["BvL change"] for tagger in taggers]) for taggers in trainings.values()]
        cells.append([name, next(iter(of_tagger.values()))["kind"], *map(_scaled, numbers)])
    return ["variation", "kind", *trainings], cells


def _scaled(change: Interval | NotDefined) -> str:
    if isinstance(change, NotDefined):
        return "not defined"
    return plus_minus(change.value / _UNIT, change.error / _UNIT, "+")


def detail_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells, a row for each variation and tagger: changes of areas, scale factors, distances of shapes."""
    shown = [name for name in rows[0] if name.endswith((" change", ", factor", " distance"))]
    header = ["variation", "kind", "paired", "tagger", *shown]
    cells = []
    for row in rows:
        paired = "" if row["paired"] is None else f"{row['paired']:.1%}"
        cells.append([row["variation"], row["kind"], paired, row["tagger"], *(_cell(row[name]) for name in shown)])
    return header, cells


def markdown(content: Mapping[str, Any]) -> str:
    """All tables but that of details.

    Args:
        content: What a run has stored.
    """
    groups, rows = list(content["groups"]), training_rows(content["summary"], content["trainings"])
    numbers = ", ".join(f"{len(names)} of {group}" for group, names in content["groups"].items())
    smallest = max(min((row["p"] for row in content["predictions"] if isinstance(row["p"], float)), default=1.0), 1e-4)
    trees = (
        ", for boosted trees of jets attacked on the first tagger where attacks need gradients"
        if TREES in content["trainings"]
        else ""
    )
    parts = [
        f"{content['jets']:,} nominal jets; variations: {numbers}. Mean change: mean absolute change of the BvL area. "
        "Variations of the detector are paired jet by jet with the nominal sample. Those of the physics have events of their "
        f"own, which fluctuate more than most of them change anything; they have rows and enter no mean. {OF_SEEDS}",
        tables.markdown(*summary_table(rows, groups)),
        "Mean absolute changes of the area over 1 - AUC, and of b efficiency and light mistag rate, relative; mean "
        "Kolmogorov-Smirnov distance of the discriminator. The threshold is the one that 1 % of the nominal light jets pass:",
        tables.markdown(*quantity_table(rows, groups)),
        f"Loss of BvL area under attack{trees}:",
        tables.markdown(*loss_table(rows)),
        "Rank correlation (Spearman) over trainings of networks of this loss with the mean change under variations. In "
        "brackets stands the 68 % interval of so few; p is two-sided, from permutations, the least of "
        f"{len(content['predictions'])} is {smallest:.2g}:",
        tables.markdown(*prediction_table(content["predictions"])),
        "Change of BvL area by variation, in 1e-4, means over seeds with the error of the sample:",
        tables.markdown(*variation_table(content["rows"], content["trainings"])),
    ]
    return "\n\n".join(parts)
