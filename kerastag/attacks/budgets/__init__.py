"""How far an attack may move each feature: in units of a scale, in physical units, or by a named file.

A budget file is TOML: `title`, then a table for each schema with a line for each name or pattern of features:

    "track_*_D0" = 0.005                                                    # the feature's unit
    "track_*_QOVERP" = {share = 0.01}                                       # of its own value
    "track_*_Z0" = {share = 0.1, of = "track_*_Z0Z0", power = 0.5}          # 0.1·|Z0Z0|^0.5 of the same slot
    "jet_prob" = {b = 0.02, c = 0.01, light = 0.01}                         # by flavour
    "track_*_vertex_mass" = {follows = "track_0_QOVERP", power = -1}        # by the factor of another feature, to a power
"""

import dataclasses
import fnmatch
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from kerastag.attacks.ties import Link
from kerastag.errors import UserError, nearest
from kerastag.schema import Schema

_FOLDER = Path(__file__).parent
# Power above which a share of another feature is a slip.
_LARGEST_POWER = 4
# Scale of a feature whose budget depends on the jet alone; scales are positive.
_NOTHING = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True)
class Proportional:
    """A budget that depends on the jet: share·|x of a column|^power.

    Attributes:
        share: `(features,)`, 0 where there is none.
        column: `(features,)`, number of that column.
        power: `(features,)`.
    """

    share: list[float]
    column: list[int]
    power: list[float]

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The budget of each cell, `(batch, features)`, from clean features of that shape."""
        base = tf.abs(tf.gather(x, self.column, axis=1))
        share = np.asarray(self.share, np.float32)
        return tf.where(share > 0, share * base ** np.asarray(self.power, np.float32), 0.0)


class Budget(NamedTuple):
    """Sizes of a box.

    Attributes:
        epsilon: Multiple of all that follows.
        scale: Positive, `(features,)`.
        named: Whether the budget names a feature, bool `(features,)`.
        by_flavour: Factors on the scale, `(classes, features)`; None for 1.
        proportional: What is added and depends on the jet; None for nothing.
        links: What follows another feature by the budget's word, in all jets.
    """

    epsilon: float
    scale: np.ndarray
    named: np.ndarray
    by_flavour: np.ndarray | None = None
    proportional: Proportional | None = None
    links: tuple[Link, ...] = ()

    @classmethod
    def of(cls, schema: Schema, scale: ArrayLike, epsilon: float | Mapping[str, float], name: str | None = None) -> "Budget":
        """A budget as `ThreatModel.from_schema` is asked for it.

        Args:
            schema: Schema of the features.
            scale: `(features,)`, positive.
            epsilon: In units of the scale or of the named budget; or in physical units by name or pattern.
            name: Name of a budget that comes along, or path of a file; None for units of the scale.

        Raises:
            UserError: if there is no such budget, or it says nothing or nonsense of the schema.
        """
        scale = np.asarray(scale, np.float64)
        if isinstance(epsilon, Mapping):
            _check_mapping(epsilon, name)
            reach = np.array([0.0, *epsilon.values()])[matching_feature(schema, tuple(epsilon))]
            return cls(1.0, np.where(reach > 0, reach, scale), reach > 0)
        if name is None:
            return cls(epsilon, scale, np.ones(len(scale), bool))
        return _named(schema, scale, epsilon, name)


def _check_mapping(epsilon: Mapping[str, float], name: str | None) -> None:
    if name is not None:
        raise UserError(f"Sizes by name and the budget '{name}' exclude each other; give one of them.")
    for feature, size in epsilon.items():
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size < np.inf:
            raise UserError(f"Invalid value for `epsilon`: '{feature}' must have a number of at least 0. Received: {size!r}.")


def names() -> list[str]:
    """Names of the budgets that come along."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read(name: str) -> dict[str, Any]:
    """Content of a budget file.

    Args:
        name: Name of a budget that comes along, or path of a file.

    Raises:
        UserError: if there is none, or it is not TOML.
    """
    path = _FOLDER / f"{name}.toml" if name in names() else Path(name)
    if path.is_dir():
        raise UserError(f"The budget '{name}' is a folder; name a file in it.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"There is no budget '{name}'; name a file, or choose one of {', '.join(names())}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"The budget '{path}' is not valid TOML: {error}.") from error


def matching_feature(schema: Schema, patterns: Sequence[str]) -> np.ndarray:
    """For each feature the number, from 1, of the last pattern that matches its name; 0 if none does."""
    numbers = np.zeros(len(schema.features), int)
    for number, pattern in enumerate(patterns, start=1):
        matches = np.array([fnmatch.fnmatchcase(name, pattern) for name in schema.names])
        if not matches.any():
            raise UserError(
                f"No feature of {schema.name} matches '{pattern}'; the nearest are {nearest(pattern, schema.names)}."
            )
        numbers[matches] = number
    return numbers


def _named(schema: Schema, scale: np.ndarray, epsilon: float, name: str) -> Budget:
    content = read(name)
    if not isinstance(content.get(schema.name), dict):
        others = ", ".join(key for key, value in content.items() if isinstance(value, dict))
        raise UserError(f"The budget '{name}' says nothing of {schema.name}; it knows {others or 'no schema'}.")
    entries = content[schema.name]
    for feature, entry in entries.items():
        _check_entry(schema, name, feature, entry)
    number = matching_feature(schema, tuple(entries))
    sizes = np.zeros((len(schema.classes), len(scale)))
    share, column, power = np.zeros(len(scale)), np.arange(len(scale)), np.ones(len(scale))
    links = []
    for feature, entry in zip(np.flatnonzero(number), (list(entries.values())[i - 1] for i in number[number > 0]), strict=True):
        if isinstance(entry, dict) and "share" in entry:
            share[feature], power[feature] = (
                _number(name, f"{schema.names[feature]}, {key}", entry.get(key, 1.0)) for key in ("share", "power")
            )
            column[feature] = _other(schema, name, int(feature), entry.get("of"))
        elif isinstance(entry, dict) and "follows" in entry:
            leader = _other(schema, name, int(feature), entry["follows"])
            links.append(Link(int(feature), (((leader, float(entry.get("power", 1.0))),),), None, 0.0))
        else:
            sizes[:, feature] = list(_by_flavour(schema, name, schema.names[feature], entry))
    _check_leaders(schema, name, links)
    largest = sizes.max(axis=0)
    factors = np.divide(sizes, largest, out=np.ones_like(sizes), where=largest > 0)
    return Budget(
        epsilon,
        np.where(largest > 0, largest, np.where(number > 0, _NOTHING, scale)),
        (largest > 0) | (share > 0),
        factors if (factors != 1).any() else None,
        Proportional(share.tolist(), column.tolist(), power.tolist()) if (share > 0).any() else None,
        tuple(links),
    )


def _check_leaders(schema: Schema, budget: str, links: Sequence[Link]) -> None:
    """What others follow must not follow itself."""
    followers = {link.follower for link in links}
    for link in links:
        leader = link.candidates[0][0][0]
        if leader in followers:
            raise UserError(
                f"The budget '{budget}' makes '{schema.names[link.follower]}' follow '{schema.names[leader]}', which follows "
                "another; give that a size of its own, in a later line."
            )


def _check_entry(schema: Schema, budget: str, feature: str, entry: Any) -> None:
    """Check the form of an entry: a number, numbers by flavour, a share, or what it follows."""
    if not isinstance(entry, dict):
        return
    forms = {"share": {"share", "of", "power"}, "follows": {"follows", "power"}}
    known = next((keys for key, keys in forms.items() if key in entry), set(schema.class_names))
    if unknown := sorted(entry.keys() - known):
        raise UserError(
            f"The budget '{budget}' says '{unknown[0]}' of '{feature}', which means nothing there; "
            f"it may say {', '.join(sorted(known))}."
        )
    for key in ("of", "follows"):
        if not isinstance(entry.get(key, ""), str):
            raise UserError(f"The budget '{budget}' must name a feature by '{key}' of '{feature}', not {entry[key]!r}.")
    if not abs(_number(budget, f"{feature}, power", entry.get("power", 1.0))) <= _LARGEST_POWER:
        raise UserError(f"The budget '{budget}' has a power of {entry['power']} for '{feature}', beyond ±{_LARGEST_POWER}.")


def _other(schema: Schema, budget: str, feature: int, pattern: str | None) -> int:
    """Column that an entry names, in the slot of the feature; the feature itself without."""
    if pattern is None:
        return feature
    slot = schema.features[feature].slot
    other = pattern if slot is None else pattern.replace("*", str(slot))
    if other not in schema.names:
        raise UserError(
            f"The budget '{budget}' names '{other}' for '{schema.names[feature]}', which is no feature; "
            f"the nearest are {nearest(other, schema.names)}."
        )
    return schema.index(other)


def _by_flavour(schema: Schema, budget: str, feature: str, entry: Any) -> Iterator[float]:
    """Size for each class."""
    for flavour in schema.class_names:
        yield _number(budget, f"{feature}, {flavour} jets", entry.get(flavour) if isinstance(entry, dict) else entry)


def _number(budget: str, what: str, value: Any) -> float:
    if value is None:
        raise UserError(f"The budget '{budget}' gives no number for '{what}'.")
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise UserError(f"The budget '{budget}' must give a finite number for '{what}', not {value!r}.")
    if value < 0 and not what.endswith("power"):
        raise UserError(f"The budget '{budget}' must give at least 0 for '{what}', not {value!r}.")
    return float(value)
