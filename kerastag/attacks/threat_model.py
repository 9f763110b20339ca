"""How far an attacker may move each cell of the input."""

import fnmatch
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from kerastag.errors import UserError
from kerastag.request import EPSILON
from kerastag.schema import Schema
from kerastag.schema.structure import nearest


class Box(NamedTuple):
    """Where the cells of some jets may go; tensors `(batch, features)`.

    Attributes:
        x: Clean features.
        reach: ε·scale, without the cap; not masked.
        budget: Largest allowed |Δx|, 0 where a cell is frozen.
        low: Smallest allowed value.
        high: Largest allowed value.
    """

    x: tf.Tensor
    reach: tf.Tensor
    budget: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor

    def project(self, point: tf.Tensor) -> tf.Tensor:
        """Move a point `(batch, features)` into the box; frozen cells become bit-equal to the clean ones."""
        return keras.ops.where(self.budget > 0, keras.ops.clip(point, self.low, self.high), self.x)

    def corner(self, direction: tf.Tensor) -> tf.Tensor:
        """The corner of the box in a direction, signs `(batch, features)`."""
        return self.project(self.x + self.budget * direction)


@keras.saving.register_keras_serializable("kerastag")
class ThreatModel:
    """A box around the clean jet, in physical units.

    Each cell may move by ε·scale, and by no more than a share of its own value. Integers and defaults never move.

    Args:
        epsilon: Size of the box in units of `scale`.
        scale: `(features,)`, usually the standard deviations of the training jets; positive.
        integer: `(features,)`, true for features of whole numbers.
        default: `(features,)`, values that stand for "absent".
        relative_cap: Largest |Δx|/|x|, or None for no such limit. A cell that is exactly 0 cannot move under a cap.
        frozen: `(features,)`, true for further features that never move; None for none.
        lower, upper: `(features,)`, values that no cell may pass; a clean value outside them may stay or come nearer. None for
            no such limits.
        by_flavour: `(classes,)`, factors on ε for jets of each flavour; None for 1.
        group: `(features,)`, number of the group of inputs to which each feature belongs; None for one group.

    Raises:
        UserError: if a number is out of range or the arrays differ in length.
    """

    def __init__(
        self,
        epsilon: float,
        scale: ArrayLike,
        integer: ArrayLike,
        default: ArrayLike,
        relative_cap: float | None = None,
        *,
        frozen: ArrayLike | None = None,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        by_flavour: ArrayLike | None = None,
        group: ArrayLike | None = None,
    ):
        self.epsilon = float(epsilon)
        self.scale = np.asarray(scale, np.float32)
        self.integer = np.asarray(integer, bool)
        self.default = np.asarray(default, np.float32)
        self.relative_cap = None if relative_cap is None else float(relative_cap)
        self.frozen = np.zeros_like(self.integer) if frozen is None else np.asarray(frozen, bool)
        self.lower = None if lower is None else np.asarray(lower, np.float32)
        self.upper = None if upper is None else np.asarray(upper, np.float32)
        self.by_flavour = None if by_flavour is None else np.asarray(by_flavour, np.float32)
        self.group = np.zeros(self.scale.shape, np.int64) if group is None else np.asarray(group, np.int64)
        self._check()
        # What a cell may move if neither integer, frozen nor default, in units of ε.
        self._free = np.where(self.integer | self.frozen, 0, self.scale).astype(np.float32)

    def _check(self) -> None:
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0):
            raise UserError(f"Invalid value for `epsilon`: it must be finite and at least 0. Received: {self.epsilon}.")
        if self.relative_cap is not None and not (np.isfinite(self.relative_cap) and self.relative_cap >= 0):
            raise UserError(f"Invalid value for `relative_cap`: it must be at least 0. Received: {self.relative_cap}.")
        if self.by_flavour is not None and not (np.isfinite(self.by_flavour).all() and (self.by_flavour >= 0).all()):
            raise UserError(
                f"Invalid value for `by_flavour`: factors must be at least 0. Received: {self.by_flavour.tolist()}."
            )
        arrays = (self.scale, self.integer, self.default, self.frozen, self.lower, self.upper, self.group)
        shapes = [array.shape for array in arrays if array is not None]
        if len(set(shapes)) > 1:
            raise UserError(f"`scale`, `integer`, `default` and the like must have one entry per feature. Received: {shapes}.")
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise UserError("Invalid value for `scale`: every entry must be finite and positive.")

    @classmethod
    def from_schema(
        cls,
        schema: Schema,
        scale: ArrayLike,
        epsilon: float | Mapping[str, float] = EPSILON,
        relative_cap: float | None = None,
        *,
        only: Sequence[str] = (),
        freeze: Sequence[str] = (),
        bounds: bool = False,
        by_flavour: Mapping[str, float] | None = None,
    ) -> "ThreatModel":
        """The usual way to one: integers, defaults and groups as the schema says.

        Args:
            schema: Schema of the features.
            scale: `(features,)`, positive.
            epsilon: In units of `scale`; or in physical units by name or pattern, `{"track_*_D0": 0.005}`, the last that
                matches counting. Features that no pattern matches then stay.
            relative_cap: Largest |Δx|/|x|.
            only: Names or patterns of the features that may move; none for all.
            freeze: Names or patterns of features that may not.
            bounds: Whether cells must keep to the valid range of their feature, and off its default.
            by_flavour: Factors on ε by name of the flavour; 1 for those not named.

        Raises:
            UserError: if a name or pattern matches nothing, or as in `__init__`.
        """
        units = np.asarray(scale, np.float64)
        frozen = matching_feature(schema, only) == 0 if only else np.zeros(len(units), bool)
        frozen |= matching_feature(schema, freeze) > 0
        if isinstance(epsilon, Mapping):
            reach = np.array([0.0, *epsilon.values()])[matching_feature(schema, tuple(epsilon))]
            # ε is 1 then, and the scale is what was given.
            units, frozen, epsilon = np.where(reach > 0, reach, units), frozen | (reach == 0), 1.0
        lower, upper = _valid_range(schema) if bounds else (None, None)
        factors = None if by_flavour is None else _factors(schema, by_flavour)
        numbers = {group.name: number for number, group in enumerate(schema.groups)}
        group = [numbers[feature.group] for feature in schema.features]
        return cls(
            epsilon,
            units,
            schema.integer,
            schema.defaults,
            relative_cap,
            frozen=frozen,
            lower=lower,
            upper=upper,
            by_flavour=factors,
            group=group,
        )

    def budget(self, x: tf.Tensor, y: tf.Tensor | None = None, strength: float | tf.Tensor = 1.0) -> tf.Tensor:
        """Largest allowed |Δx| of each cell.

        Args:
            x: Clean features `(batch, features)`.
            y: True flavours, one-hot `(batch, classes)`; needed if the box depends on the flavour, for which the largest counts
                without them.
            strength: Factor on ε, as a schedule gives it.

        Returns:
            Tensor `(batch, features)`, 0 where a cell is frozen.
        """
        return self.box(x, y, strength).budget

    def box(self, x: tf.Tensor, y: tf.Tensor | None = None, strength: float | tf.Tensor = 1.0) -> Box:
        """The box around clean features; arguments as of `budget`."""
        reach = self._epsilon(y, strength) * self._free
        return self._box(x, reach, reach)

    def loose_box(self, x: tf.Tensor, y: tf.Tensor | None = None, strength: float | tf.Tensor = 1.0) -> Box:
        """The box of a distortion: mask, cap and bounds hold, but ε only tells its size. Arguments as of `budget`."""
        limit = np.where(self._free > 0, np.float32(np.inf), np.float32(0))
        return self._box(x, self._epsilon(y, strength) * self._free, limit)

    def project(self, x: tf.Tensor, attacked: tf.Tensor, y: tf.Tensor | None = None) -> tf.Tensor:
        """Move `attacked` into the box around `x`; frozen cells become bit-equal to `x`. All `(batch, …)`."""
        return self.box(x, y).project(attacked)

    def _epsilon(self, y: tf.Tensor | None, strength: float | tf.Tensor) -> float | tf.Tensor:
        """ε, or ε of each jet `(batch, 1)`."""
        if self.by_flavour is None:
            return self.epsilon * strength
        if y is None:
            return self.epsilon * strength * float(self.by_flavour.max())
        return self.epsilon * strength * keras.ops.matmul(y, self.by_flavour[:, None])

    def _box(self, x: tf.Tensor, reach: tf.Tensor, limit: tf.Tensor) -> Box:
        budget = keras.ops.broadcast_to(limit, keras.ops.shape(x))
        if self.relative_cap is not None:
            budget = keras.ops.minimum(budget, self.relative_cap * keras.ops.abs(x))
        budget = keras.ops.where(keras.ops.equal(x, self.default), keras.ops.zeros_like(budget), budget)
        low, high = x - budget, x + budget
        if self.lower is not None:
            low = keras.ops.maximum(low, keras.ops.minimum(self.lower, x))
        if self.upper is not None:
            high = keras.ops.minimum(high, keras.ops.maximum(self.upper, x))
        return Box(x, reach, budget, low, high)

    def get_config(self) -> dict:
        """Everything that `__init__` takes."""

        def plain(values: np.ndarray | None) -> list | None:
            return None if values is None else values.astype(np.float64).tolist()

        return {
            "epsilon": self.epsilon,
            "scale": plain(self.scale),
            "integer": self.integer.tolist(),
            "default": plain(self.default),
            "relative_cap": self.relative_cap,
            "frozen": self.frozen.tolist(),
            "lower": plain(self.lower),
            "upper": plain(self.upper),
            "by_flavour": plain(self.by_flavour),
            "group": self.group.tolist(),
        }

    @classmethod
    def from_config(cls, config: dict) -> "ThreatModel":
        """The inverse of `get_config`."""
        return cls(**config)


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


def _valid_range(schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of each feature, float32 `(features,)` each, a little inside where a bound is the default, which means absent."""
    smallest = np.finfo(np.float32).tiny
    lower = np.array([-np.inf if f.valid_min is None else f.valid_min for f in schema.features], np.float32)
    upper = np.array([np.inf if f.valid_max is None else f.valid_max for f in schema.features], np.float32)
    inside = np.maximum(np.abs(schema.defaults) * np.float32(1e-6), smallest)
    lower = np.where(lower == schema.defaults, lower + inside, lower)
    return lower, np.where(upper == schema.defaults, upper - inside, upper)


def _factors(schema: Schema, by_flavour: Mapping[str, float]) -> list[float]:
    """Factors in the order of the classes."""
    for name in by_flavour:
        if name not in schema.class_names:
            raise UserError(f"{schema.name} has no flavour '{name}'; it has {', '.join(schema.class_names)}.")
    return [float(by_flavour.get(name, 1.0)) for name in schema.class_names]
