"""The result of a scan of inputs, as `scan_inputs` stores it and the report takes it in.

A row is a training under a condition: `inputs` (names of groups), number of `features`, `training`, `condition` (its label),
`area` and `loss` of the main discriminator (intervals of the sample), `area_seeds` and `loss_seeds` (over seeds).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kerastag import tables
from kerastag.attacks import CLEAN
from kerastag.results import Number, Seeds, decimals

RESULT = "inputs.json"


def table(rows: Sequence[Mapping[str, Any]], main: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a line per set of inputs and training, clean area of the discriminator `main` and what attacks take."""
    attacks = [label for label in dict.fromkeys(row["condition"] for row in rows) if label != CLEAN.label]
    trainings: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        training = (row["inputs"], str(row["features"]), row["training"])
        trainings.setdefault(training, {})[row["condition"]] = row
    lines = []
    for training, conditions in trainings.items():
        clean, attacked = conditions[CLEAN.label], [conditions[label] for label in attacks]
        area = _with_seeds(clean["area"], clean["area_seeds"])
        lines.append([*training, area, *(_with_seeds(row["loss"], row["loss_seeds"]) for row in attacked)])
    return ["inputs", "features", "training", f"clean {main} AUC", *(f"loss, {label}" for label in attacks)], lines


def markdown(rows: Sequence[Mapping[str, Any]], main: str) -> str:
    """The table as Markdown."""
    return tables.markdown(*table(rows, main))


def _with_seeds(number: Number, seeds: Seeds) -> str:
    return f"{number}" if seeds.spread is None else f"{number} (seeds {seeds.spread:.{decimals(seeds.spread)}f})"
