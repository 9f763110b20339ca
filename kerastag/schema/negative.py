"""Jets as a negative tagger sees them: tracks pass the vertex on the other side, so that long lifetimes become negative.

In light jets both sides are about equally likely, so what is tagged then estimates how many of them are mistagged.

Reference: CMS, JINST 13 (2018) P05011, arXiv:1712.07158, the negative-tag method.
"""

import functools

import numpy as np

from kerastag.errors import UserError
from kerastag.schema.structure import Schema
from kerastag.schema.variables import Feature, Group


def flipping(schema: Schema) -> np.ndarray:
    """Which features change their sign, bool `(features,)`.

    Raises:
        UserError: if none does.
    """
    flips = np.array([feature.flips for feature in schema.features])
    if not flips.any():
        raise UserError(
            f"{schema.name} has no inputs that can be flipped to the other side of the vertex, so it has no negative "
            "tagger; in a schema of your own, say flips = true for those that have."
        )
    return flips


def negative(schema: Schema, features: np.ndarray) -> np.ndarray:
    """Features of the same jets with the other sign of the lifetime; twice is the identity, bit for bit.

    Defaults, special values and what would become one, or leave its valid range, stay. Slots that come by descending values of
    what flips are reversed, as far as they are filled; objects beyond the last slot are not to be had.

    Args:
        schema: Says what flips.
        features: float32 `(jets, features)`.

    Raises:
        UserError: if nothing flips.
    """
    flips = flipping(schema) & _free(schema, features) & _free(schema, -features)
    flipped = np.where(flips, -features, features)
    first = 0
    for group in schema.groups:
        cells = len(group.variables) * (group.slots or 1)
        if group.descends:
            _reverse(flipped[:, first : first + cells], schema.defaults[first : first + cells], group)
        first += cells
    return flipped


def _free(schema: Schema, features: np.ndarray) -> np.ndarray:
    """Whether cells are measurements within their valid range, bool `(jets, features)`."""
    low, high, marks = _limits(schema)
    free = (features >= low) & (features <= high)
    for mark in marks:
        free &= features != mark
    return free


@functools.lru_cache(maxsize=8)
def _limits(schema: Schema) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Valid range `(features,)` and values that mean something else `(values, features)`, float32; NaN for none."""
    low, high = (
        np.array([otherwise if limit is None else limit for limit in limits], np.float32)
        for limits, otherwise in (
            ([feature.valid_min for feature in schema.features], -np.inf),
            ([feature.valid_max for feature in schema.features], np.inf),
        )
    )
    marks = [_marks(feature) for feature in schema.features]
    filled = [of_feature + [np.nan] * (max(map(len, marks)) - len(of_feature)) for of_feature in marks]
    return low, high, np.array(filled, np.float32).T


def _marks(feature: Feature) -> list[float]:
    """Default, mark of absent values in files, and special values."""
    return [value for value in (feature.default, feature.sentinel, *feature.special) if value is not None]


def _reverse(features: np.ndarray, defaults: np.ndarray, group: Group) -> None:
    """Reverse the filled slots of a group, in place in features `(jets, variables · slots)`."""
    shape = (len(features), len(group.variables), group.slots or 1)
    filled = (features != defaults).reshape(shape).any(axis=1)
    rank = np.cumsum(filled, axis=1) - 1
    slots_of_filled = np.argsort(~filled, axis=1, kind="stable")
    mirrored = np.take_along_axis(slots_of_filled, np.where(filled, rank[:, -1:] - rank, 0), axis=1)
    source = np.where(filled, mirrored, np.arange(shape[2]))
    features[:] = np.take_along_axis(features.reshape(shape), source[:, None], axis=2).reshape(features.shape)
