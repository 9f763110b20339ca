"""The budget that covers simulated variations: how far the quantiles of each feature shift, as a file for `ThreatModel`."""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np

from kerastag.data import paired
from kerastag.flavours import FLAVOURS
from kerastag.jets import Jets
from kerastag.schema import Schema

_QUANTILES = np.linspace(0.05, 0.95, 19)


def quantile_shifts(schema: Schema, reference: Jets, varied: Iterable[Jets]) -> dict[str, dict[str, float]]:
    """Largest shift of the quantiles of each feature, 5 to 95 %, over several variations, by flavour.

    Paired jets alone count, and of a feature those in which it is present on both sides and at no special value: how often a
    track leaves a displacement of 0 is no shift of its displacement. Whole numbers are left out, and so is what does not move.

    Args:
        schema: Schema of the features.
        reference: Jets without a variation.
        varied: Jets with each variation, of the same events.

    Returns:
        The shift in the unit of the feature, by feature and flavour.
    """
    largest = np.zeros((len(FLAVOURS), len(schema.features)))
    for jets in varied:
        rows, partners = paired(reference, jets)
        before, after, label = reference.features[rows], jets.features[partners], reference.label[rows]
        for number, (column, feature) in itertools.product(range(len(FLAVOURS)), enumerate(schema.features)):
            of_flavour, absent = label == number, np.array([feature.default, *feature.special], np.float32)
            shift = _shift(before[of_flavour, column], after[of_flavour, column], absent)
            largest[number, column] = max(float(largest[number, column]), shift)
    return {
        feature.name: dict(zip(FLAVOURS, map(float, largest[:, column]), strict=True))
        for column, feature in enumerate(schema.features)
        if largest[:, column].any() and not schema.integer[column]
    }


def _shift(before: np.ndarray, after: np.ndarray, absent: np.ndarray) -> float:
    """Largest shift of the quantiles of a feature, of the jets in which it has none of some values on both sides."""
    present = ~(np.isin(before, absent) | np.isin(after, absent))
    if not present.any():
        return 0.0
    first, second = (np.quantile(values[present].astype(np.float64), _QUANTILES) for values in (before, after))
    return float(np.abs(second - first).max())


def budget_file(title: str, schema: str, shifts: Mapping[str, Mapping[str, float]]) -> str:
    """A budget as `kerastag.attacks.budgets` reads it, numbers with three digits; features that round to nothing are left out.

    Args:
        title: Title of the file.
        schema: Name of the schema.
        shifts: Size by feature and flavour.
    """
    lines = [f"title = {_toml_string(title)}", "", f"[{schema}]"]
    for feature, sizes in shifts.items():
        content = ", ".join(f"{flavour} = {float(f'{size:.3g}')!r}" for flavour, size in sizes.items())
        lines.append(f'"{feature}" = {{{content}}}')
    return "\n".join(lines) + "\n"


def _toml_string(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
