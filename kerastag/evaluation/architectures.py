"""The result of a comparison of architectures, as `study --models` stores it and the report takes it in, and what it says.

Of each row, "model, training" or boosted trees, the quantities by name are numbers over seeds: the clean area, losses of area,
of which the first is that under the first attack, and the mean change under variations.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from kerastag.catalogue import MODELS
from kerastag.results import Interval, NotDefined, Seeds
from kerastag.tables import Row, unique, where

RESULT = "metrics.json"
# What the file holds.
FIELDS = {"fingerprint": str, "jets": int, "main": str, "results": dict, "costs": dict}
TRAININGS = ("nominal", "adversarial")
CLEAN_AREA, VARIATIONS = "clean", "mean change under variations"
# Correlations of fewer networks say nothing.
_FEWEST = 4
# Orders of networks that are tried for a p-value, all of up to seven networks.
_ORDERS = 9_999

Results = Mapping[str, Mapping[str, Seeds]]
Costs = Mapping[str, Mapping[str, float]]


def name_of(model: str, training: str) -> str:
    """Name of the row of a model."""
    return f"{model}, {training}" if training else model


def table(results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows: areas and losses of each model and training."""
    quantities = list(dict.fromkeys(quantity for row in results.values() for quantity in row))
    rows = [
        [name, str(len(row[CLEAN_AREA].values)), *(str(row.get(quantity, "")) for quantity in quantities)]
        for name, row in results.items()
    ]
    return ["model", "seeds", *quantities], rows


def cost_table(costs: Costs) -> tuple[list[str], list[list[str]]]:
    """Header and rows: parameters and speeds of each model and training."""
    names = list(dict.fromkeys(cost for row in costs.values() for cost in row))
    return ["model", *names], [[name, *(_number(row.get(cost)) for cost in names)] for name, row in costs.items()]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def points(results: Results) -> list[dict[str, Any]]:
    """A row for each model, training and loss, as `plots.architectures` takes them."""
    return [
        {
            "model": name.partition(", ")[0],
            "training": name.partition(", ")[2],
            "loss": quantity,
            "clean": row[CLEAN_AREA],
            "value": value,
        }
        for name, row in results.items()
        for quantity, value in row.items()
        if quantity != CLEAN_AREA
    ]


def _structure(model: str) -> int | None:
    """How much a model knows of the structure of a jet, see the catalogue; None for trees and networks of a user's own."""
    return MODELS.find(model).structure if model in MODELS else None


def differences(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """How much more each network loses than the first, paired by seed, with the 95 % interval of the mean over seeds.

    The interval is Student's t of the differences; all networks see the same jets, whose number is no part of it.

    Args:
        rows: Rows of `points`.

    Returns:
        Rows with `training`, `loss`, `model`, `first`, `structure`, `difference` (an interval).
    """
    first = rows[0]["model"]
    made = []
    for row in rows:
        reference = where(rows, model=first, training=row["training"], loss=row["loss"])
        if row["model"] != first and reference:
            about = {name: row[name] for name in ("training", "loss", "model")}
            difference = _difference(row["value"], reference[0]["value"])
            made.append(about | {"first": first, "structure": _structure(row["model"]), "difference": difference})
    return made


def _difference(one: Seeds, other: Seeds) -> Interval | NotDefined:
    number = len(one.values)
    if number != len(other.values) or number < 2:
        return NotDefined("fewer than two seeds of both")
    values = np.subtract(one.values, other.values)
    error = stats.t.ppf(0.975, number - 1) * values.std(ddof=1) / np.sqrt(number)
    return Interval.around(values.mean(), error)


def correlations(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Spearman's ρ of structure and mean loss over the networks whose structure is known, with a p-value of both sides.

    That is the share of orders of the networks in which |ρ| is as large.

    Args:
        rows: Rows of `points`.

    Returns:
        Rows with `training`, `loss`, `networks`, `correlation` and `p`; none for fewer than four networks, or if all have the
        same structure.
    """
    made = []
    for training in TRAININGS:
        for loss in unique(rows, "loss"):
            known = [(_structure(row["model"]), row["value"].mean) for row in where(rows, training=training, loss=loss)]
            pairs = [pair for pair in known if pair[0] is not None]
            if len(pairs) < _FEWEST or len({structure for structure, _ in pairs}) == 1:
                continue
            structure, losses = np.array(pairs).T
            tried = stats.permutation_test(
                (losses,),
                lambda values, structure=structure: stats.spearmanr(structure, values).statistic,
                permutation_type="pairings",
                n_resamples=_ORDERS,
                vectorized=False,
                random_state=0,
            )
            made.append(
                {"training": training, "loss": loss, "networks": len(pairs), "correlation": tried.statistic, "p": tried.pvalue}
            )
    return made


def difference_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of `differences`: a line per model and training, a column per loss.

    Args:
        rows: Rows of `points`.
    """
    compared = differences(rows)
    losses = unique(compared, "loss")
    lines: dict[str, dict[str, str]] = {}
    for row in compared:
        line = lines.setdefault(name_of(row["model"], row["training"]), {})
        line[row["loss"]] = f"{row['difference']:+[]}"
    return ["model", *losses], [[name, *(line.get(loss, "") for loss in losses)] for name, line in lines.items()]


def correlation_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of `correlations`.

    Args:
        rows: Rows of `points`.
    """
    lines = [
        [row["training"], row["loss"], str(row["networks"]), f"{row['correlation']:+.2f}", f"{row['p']:.2g}"]
        for row in correlations(rows)
    ]
    return ["training", "loss", "networks", "ρ", "p"], lines


def answers(rows: Sequence[Row]) -> Iterator[str]:
    """For each training whether networks of more structure than the first lose more under the first attack.

    Args:
        rows: Rows of `points`.
    """
    compared = differences(rows)
    first, attack = rows[0]["model"], rows[0]["loss"]
    for training in TRAININGS:
        of_training = where(compared, training=training, loss=attack)
        if more := [row for row in of_training if (row["structure"] or 0) > (_structure(first) or 0)]:
            each = ", ".join(f"{row['model']} {row['difference']:+[]}" for row in more)
            yield f"{training.capitalize()} training: {_verdict(more)}. Above {first} in {attack}: {each}."


def _verdict(rows: Sequence[Row]) -> str:
    """What the signs of the intervals that do not hold 0 have in common."""
    intervals = [row["difference"] for row in rows if isinstance(row["difference"], Interval)]
    if len(intervals) < len(rows):
        return "one seed tells nothing"
    more, less = sum(interval.low > 0 for interval in intervals), sum(interval.high < 0 for interval in intervals)
    count = f"of {len(rows)} networks of more structure {more} lose more and {less} less"
    if more and less:
        return f"it depends on the network, {count}"
    if len(rows) in (more, less):
        return f"more structure makes a tagger {'more' if more else 'less'} vulnerable, {count}"
    if more or less:
        return f"more structure makes a tagger {'more' if more else 'less'} vulnerable or no different within errors, {count}"
    return f"undecided, {count}"
