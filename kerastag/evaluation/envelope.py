"""The budget that covers simulated variations: how far inputs of the same jets and tracks move, as a file for `ThreatModel`."""

from collections.abc import Iterable, Mapping

import numpy as np

from kerastag.attacks.ties import links
from kerastag.data import paired
from kerastag.jets import Jets
from kerastag.schema import Schema

# Share of the jets that move by less than the budget, under the variation that moves a feature most.
SHARE = 0.68
# Tracks are the same if their angles differ by less, rad; of two tracks of a jet one pair in 150,000 is so close.
_SAME = 1e-4

# The size of a feature by flavour; or a single one, relative to its value.
Size = Mapping[str, float] | float


def largest_shifts(schema: Schema, reference: Jets, varied: Iterable[Jets]) -> dict[str, Size]:
    """How far each feature moves: 68 % of the same jets and tracks move by less, whatever the variation.

    Paired jets alone count, and of a feature those in which it is present on both sides and at no special value. Tracks are
    found again by their direction, whatever their slot; other objects are taken to keep theirs. Tabulated features move by a
    share of their value. Whole numbers are left out, and so is what does not move, or follows others in all jets.

    Args:
        schema: Schema of the features.
        reference: Jets without a variation.
        varied: Jets with each variation, of the same events.

    Returns:
        Size by feature, in the unit of the feature.
    """
    relative = np.array([feature.tabulated for feature in schema.features])
    largest, clean = np.zeros((len(schema.classes), len(schema.features))), _values(schema, reference.features)
    for jets in varied:
        rows, partners = paired(reference, jets)
        before, after = clean[rows], _values(schema, jets.features[partners])
        shift = np.abs(_same_tracks(schema, before, after) - before)
        shift[:, relative] /= np.abs(before[:, relative])
        for number in range(len(schema.classes)):
            largest[number] = np.maximum(largest[number], _quantiles(shift[reference.label[rows] == number]))
    follow = {link.follower for link in links(schema) if link.factor is None}
    sizes: dict[str, Size] = {}
    for column, feature in enumerate(schema.features):
        if largest[:, column].any() and not feature.integer and column not in follow:
            by_flavour = dict(zip(schema.class_names, map(float, largest[:, column]), strict=True))
            sizes[feature.name] = max(by_flavour.values()) if feature.tabulated else by_flavour
    return sizes


def _values(schema: Schema, x: np.ndarray) -> np.ndarray:
    """Features, NaN where one is absent or at a special value; float64 `(jets, features)`."""
    values = x.astype(np.float64)
    for column, feature in enumerate(schema.features):
        values[np.isin(x[:, column], np.array([feature.default, *feature.special], np.float32)), column] = np.nan
    return values


def _same_tracks(schema: Schema, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`after` with each track in the slot that it has in `before`, NaN where it is in none; `(jets, features)`."""
    if schema.helix is None:
        return after
    angles = [[schema.index(name) for name in schema.helix_features[angle]] for angle in ("phi", "theta")]
    here, there = (np.stack([values[:, columns] for columns in angles]) for values in (before, after))
    same = (np.abs(here[..., :, None] - there[..., None, :]) < _SAME).all(axis=0)
    slot, found = same.argmax(axis=2), same.any(axis=2)
    moved = after.copy()
    variables: dict[str, list[int]] = {}
    for column, feature in enumerate(schema.features):
        if feature.group == schema.helix.group:
            variables.setdefault(feature.variable, []).append(column)
    for columns in variables.values():
        moved[:, columns] = np.where(found, np.take_along_axis(after[:, columns], slot, axis=1), np.nan)
    return moved


def _quantiles(shift: np.ndarray) -> np.ndarray:
    """Shift that a share of the jets stay below, of those that have the feature; 0 where none has; `(features,)`."""
    sizes = np.zeros(shift.shape[1])
    for column, values in enumerate(shift.T):
        present = values[np.isfinite(values)]
        sizes[column] = np.quantile(present, SHARE) if len(present) else 0.0
    return sizes


def budget_file(title: str, schema: str, sizes: Mapping[str, Size]) -> str:
    """A budget as `kerastag.attacks.budgets` reads it, numbers with three digits.

    Args:
        title: Title of the file.
        schema: Name of the schema.
        sizes: Size by feature.
    """
    lines = [f"title = {_toml_string(title)}", "", f"[{schema}]"]
    for feature, size in sizes.items():
        entries = size.items() if isinstance(size, Mapping) else [("share", size)]
        content = ", ".join(f"{key} = {float(f'{value:.3g}')!r}" for key, value in entries)
        lines.append(f'"{feature}" = {{{content}}}')
    return "\n".join(lines) + "\n"


def _toml_string(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
