"""How far an attacker may move each cell of the input."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from kerastag.attacks import rules
from kerastag.attacks.budgets import Budget, Proportional, matching_feature
from kerastag.attacks.summaries import SummaryLink
from kerastag.attacks.ties import Chosen, Link, Ties
from kerastag.errors import UserError
from kerastag.metrics import DISCRIMINATORS
from kerastag.request import EPSILON, PHYSICS, Physics
from kerastag.schema import Schema, Separation


class Box(NamedTuple):
    """Where the cells of some jets may go; tensors `(batch, features)`.

    An attack moves the cells that are free, those with a budget; `complete` recomputes the cells that follow them.

    Attributes:
        x: Clean features.
        unit: What ε counts in, in the feature's unit; not masked.
        reach: ε·unit, without the cap; not masked.
        budget: Largest allowed |Δx|, 0 where a cell does not move on its own.
        low: Smallest allowed value.
        high: Largest allowed value.
        ties: Which cells follow others; None if none do.
        chosen: What they follow, see `Ties.choose`.
    """

    x: tf.Tensor
    unit: tf.Tensor
    reach: tf.Tensor
    budget: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    ties: Ties | None = None
    chosen: Chosen | None = None

    def project(self, point: tf.Tensor) -> tf.Tensor:
        """Move a point `(batch, features)` into the box; cells that are not free become bit-equal to the clean ones."""
        return keras.ops.where(self.budget > 0, keras.ops.clip(point, self.low, self.high), self.x)

    def corner(self, direction: tf.Tensor) -> tf.Tensor:
        """The corner of the box in a direction, signs `(batch, features)`."""
        return self.project(self.x + self.budget * direction)

    # AutoGraph would take two seconds to find that there is nothing to convert below.
    @tf.autograph.experimental.do_not_convert
    def completer(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """`complete` for many points: what depends on the box alone is computed once."""
        if self.ties is None or self.chosen is None:
            return lambda point: point
        return self.ties.completer(self.x, self.low, self.high, self.chosen)

    @tf.autograph.experimental.do_not_convert
    def complete(self, point: tf.Tensor) -> tf.Tensor:
        """A point of the box with the cells that follow recomputed, `(batch, features)`: what a tagger sees."""
        return self.completer()(point)

    @property
    def ends(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Smallest and largest value of each cell, `(batch, features)`; one that does not move has its own alone."""
        moves = self.moves
        return keras.ops.where(moves, self.low, self.x), keras.ops.where(moves, self.high, self.x)

    @property
    def moves(self) -> tf.Tensor:
        """Whether a cell can change, on its own or with others, bool `(batch, features)`."""
        free = self.budget > 0
        return free if self.ties is None or self.chosen is None else self.ties.carried(self.chosen, free)


@keras.saving.register_keras_serializable("kerastag")
class ThreatModel:
    """A box around the clean jet, in physical units.

    Each cell may move by ε·scale, and by no more than a share of its own value. Integers, defaults and special values never
    move; features that are tied to others follow them.

    Args:
        epsilon: Size of the box in units of `scale`.
        scale: `(features,)`, usually the standard deviations of the training jets; positive.
        integer: `(features,)`, true for features of whole numbers.
        default: `(features,)`, values that stand for "absent".
        relative_cap: Largest |Δx|/|x|, or None for no such limit. A cell that is exactly 0 cannot move under a cap.
        frozen: `(features,)`, true for further features that never move; None for none.
        lower: `(features,)`, below which no cell may go; a clean value there may stay or come nearer. None for no limit.
        upper: `(features,)`, likewise above which.
        by_flavour: `(classes,)` or `(classes, features)`, factors on ε for jets of each flavour; None for 1.
        group: `(features,)`, number of the group of inputs to which each feature belongs; None for one group.
        special: For each feature the values with a meaning of their own; None for none.
        ties: Which features follow others, as `kerastag.attacks.ties.links` makes it.
        summaries: Which features follow all slots of a group, as `kerastag.attacks.summaries.summary_links` makes it; ε and cap
            do not limit them where they do.
        alone: `(features,)`, true where a feature may move on its own; None for all.
        limited: `(features,)`, true where ε limits a feature. Those that follow others need no limit of their own; one that
            moves on its own without must lead others that have one. None for all.
        proportional: A part of the scale that depends on the jet; None for none.
        separations: Discriminators that an attack may aim at by name; None for those of labels b, c, light.

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
        special: Sequence[Sequence[float]] | None = None,
        ties: Sequence[Link] = (),
        summaries: Sequence[SummaryLink] = (),
        alone: ArrayLike | None = None,
        limited: ArrayLike | None = None,
        proportional: Proportional | None = None,
        separations: Sequence[Separation] | None = None,
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
        self.special = [()] * len(self.scale) if special is None else [tuple(map(float, values)) for values in special]
        self.alone = np.ones_like(self.integer) if alone is None else np.asarray(alone, bool)
        self.limited = np.ones_like(self.integer) if limited is None else np.asarray(limited, bool)
        self.proportional = proportional
        self.separations = tuple(DISCRIMINATORS.values() if separations is None else separations)
        self._check()
        self.ties = Ties(ties, summaries, len(self.scale)) if ties or summaries else None
        self._special = _padded(self.special)

    def _check(self) -> None:
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0):
            raise UserError(f"Invalid value for `epsilon`: it must be finite and at least 0. Received: {self.epsilon}.")
        if self.relative_cap is not None and not (np.isfinite(self.relative_cap) and self.relative_cap >= 0):
            raise UserError(f"Invalid value for `relative_cap`: it must be at least 0. Received: {self.relative_cap}.")
        if self.by_flavour is not None and not (np.isfinite(self.by_flavour).all() and (self.by_flavour >= 0).all()):
            raise UserError(
                f"Invalid value for `by_flavour`: factors must be at least 0. Received: {self.by_flavour.tolist()}."
            )
        arrays = (self.scale, self.integer, self.default, self.frozen, self.lower, self.upper, self.group, self.alone)
        shapes = [array.shape for array in (*arrays, self.limited) if array is not None] + [(len(self.special),)]
        if len(set(shapes)) > 1:
            raise UserError(f"`scale`, `integer`, `default` and the like must have one entry per feature. Received: {shapes}.")
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise UserError("Invalid value for `scale`: every entry must be finite and positive.")

    @classmethod
    def from_schema(
        cls,
        schema: Schema,
        scale: ArrayLike,
        epsilon: float | Mapping[str, float] | None = None,
        relative_cap: float | None = None,
        *,
        only: Sequence[str] = (),
        freeze: Sequence[str] = (),
        physics: Physics = PHYSICS,
        by_flavour: Mapping[str, float] | None = None,
    ) -> "ThreatModel":
        """The usual way to one: what may move, and what moves together, as the schema says.

        Args:
            schema: Schema of the features.
            scale: `(features,)`, positive.
            epsilon: In units of `scale`; or in physical units by name or pattern, `{"track_*_D0": 0.005}`, the last that
                matches counting. Features that no pattern matches then follow others or stay. None for 0.01, or for once the
                budget that `physics` names.
            relative_cap: Largest |Δx|/|x|.
            only: Names or patterns of the features that may move; none for all. What is tied to them moves with them.
            freeze: Names or patterns of features that may not move at all.
            physics: Which rules hold, and a budget by name.
            by_flavour: Factors on ε by name of the flavour; 1 for those not named.

        Raises:
            UserError: if a name or pattern matches nothing, or as in `__init__`.
        """
        scale = np.asarray(scale, np.float64)
        if scale.shape != (len(schema.features),):
            raise UserError(f"{schema.name} has {len(schema.features)} features, but `scale` is of shape {scale.shape}.")
        if wrong := [name for name, size in zip(schema.names, scale, strict=True) if not 0 < size < np.inf]:
            raise UserError(f"Invalid value for `scale`: that of '{wrong[0]}' must be finite and positive.")
        if epsilon is None:
            epsilon = EPSILON if physics.budget is None else 1.0
        budget = Budget.of(schema, scale, epsilon, physics.budget)
        named = budget.named & (matching_feature(schema, only) > 0 if only else True)
        if not (named & ~schema.integer).any():
            raise UserError("Nothing can move: no feature that is named, and is no whole number, has a budget.")
        ties, summaries = rules.followers(schema, budget.links, physics)
        alone, limited = rules.roles(schema, named, ties, physics)
        lower, upper = rules.valid_range(schema) if physics.bounded else (None, None)
        factors = budget.by_flavour if by_flavour is None else rules.factors(schema, by_flavour)
        numbers = {group.name: number for number, group in enumerate(schema.groups)}
        return cls(
            budget.epsilon,
            budget.scale,
            schema.integer,
            schema.defaults,
            relative_cap,
            frozen=matching_feature(schema, freeze) > 0,
            lower=lower,
            upper=upper,
            by_flavour=factors,
            group=[numbers[feature.group] for feature in schema.features],
            special=[rules.that_stay(feature, physics) for feature in schema.features],
            ties=ties,
            summaries=summaries,
            alone=alone,
            limited=limited,
            proportional=budget.proportional,
            separations=tuple(schema.separations.values()),
        )

    @property
    def features(self) -> int:
        """Number of features."""
        return len(self.scale)

    @property
    def limits_all(self) -> bool:
        """Whether ε limits every cell that may move, also those that follow others; without ties it does."""
        moves = self.alone.copy()
        if self.ties is not None:
            moves[[link.follower for link in self.ties.links]] = True
            if self.ties.summaries:
                return False
        return bool(self.limited[moves].all())

    def for_any_flavour(self) -> "ThreatModel":
        """The same, as large for every flavour as for that of the largest size: no size then tells the flavour of a jet."""
        if self.by_flavour is None:
            return self
        largest = np.broadcast_to(self.by_flavour.max(axis=0), self.by_flavour.shape)
        return self.from_config(self.get_config() | {"by_flavour": largest})

    def budget(self, x: tf.Tensor, y: tf.Tensor | None = None, strength: float | tf.Tensor = 1.0) -> tf.Tensor:
        """Largest allowed |Δx| of each cell that moves on its own.

        Args:
            x: Clean features `(batch, features)`.
            y: True flavours, one-hot `(batch, classes)`; needed if the box depends on the flavour, for which the largest counts
                without them.
            strength: Factor on ε, as a schedule gives it.

        Returns:
            Tensor `(batch, features)`, 0 where a cell is frozen or follows others.
        """
        return self.box(x, y, strength).budget

    def moves(self, x: tf.Tensor) -> tf.Tensor:
        """Whether a cell can change, on its own or with others, bool `(batch, features)`."""
        return self.box(x).moves

    @tf.autograph.experimental.do_not_convert  # as `Box.complete`
    def box(self, x: tf.Tensor, y: tf.Tensor | None = None, strength: float | tf.Tensor = 1.0) -> Box:
        """The box around clean features; arguments as of `budget`."""
        x = keras.ops.convert_to_tensor(x)
        unit = self._unit(x, y)
        reach = self.epsilon * strength * unit
        box = self._box(x, unit, reach, keras.ops.where(self.limited, reach, np.inf))
        # What ε does not limit stays where nothing that follows it does.
        return box._replace(budget=keras.ops.where(keras.ops.isfinite(box.budget), box.budget, 0.0))

    def loose_box(self, x: tf.Tensor, y: tf.Tensor | None = None, strength: float | tf.Tensor = 1.0) -> Box:
        """The box of a distortion: mask, cap and bounds hold, but ε only tells its size. Arguments as of `budget`."""
        x = keras.ops.convert_to_tensor(x)
        unit = self._unit(x, y)
        box = self._box(x, unit, self.epsilon * strength * unit, np.full(self.scale.shape, np.inf, np.float32))
        # A feature without a size of its own moves with those that it leads, and nothing leads in a distortion.
        return box._replace(budget=keras.ops.where(self.limited, box.budget, 0.0))

    def project(self, x: tf.Tensor, attacked: tf.Tensor, y: tf.Tensor | None = None) -> tf.Tensor:
        """Move the free cells of `attacked` into the box around `x`, and what follows them along. All `(batch, …)`.

        Cells that neither move nor follow become bit-equal to those of `x`.
        """
        box = self.box(x, y)
        return box.complete(box.project(attacked))

    def _unit(self, x: tf.Tensor, y: tf.Tensor | None) -> tf.Tensor:
        """What ε counts in for each cell, `(features,)`, or `(batch, features)` where it depends on the jet."""
        unit = self.scale if self.proportional is None else self.scale + self.proportional(x)
        if self.by_flavour is None:
            return unit
        factors = self.by_flavour if self.by_flavour.ndim == 2 else self.by_flavour[:, None]
        return unit * (factors.max(axis=0) if y is None else keras.ops.matmul(y, factors))

    def _box(self, x: tf.Tensor, unit: tf.Tensor, reach: tf.Tensor, limit: tf.Tensor) -> Box:
        limit = keras.ops.broadcast_to(limit, keras.ops.shape(x))
        if self.relative_cap is not None:
            limit = keras.ops.minimum(limit, self.relative_cap * keras.ops.abs(x))
        live = keras.ops.not_equal(x, self.default) & ~self.integer
        if self._special is not None:
            live &= ~keras.ops.any(keras.ops.equal(x[..., None], self._special), axis=-1)
        limit = keras.ops.where(live & ~self.frozen, limit, keras.ops.zeros_like(limit))
        if self.ties is None:
            low, high = self._range(x, limit)
            return Box(x, unit, reach, keras.ops.where(self.alone, limit, keras.ops.zeros_like(limit)), low, high)
        chosen = self.ties.choose(x, live)
        if self.frozen.any():
            limit = keras.ops.where(self.ties.held_by_summaries(chosen, x, self.frozen), 0.0, limit)
        unlimited = self.ties.summarised(chosen, x) & ~self.frozen
        low, high = self._range(x, keras.ops.where(unlimited, np.inf, limit))
        low, high = self.ties.tighten(x, low, high, chosen)
        free = self.alone & ~self.ties.followers(chosen, x)
        budget = keras.ops.where(free, keras.ops.minimum(limit, keras.ops.maximum(high - x, x - low)), 0.0)
        return Box(x, unit, reach, budget, low, high, self.ties, chosen)

    def _range(self, x: tf.Tensor, limit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Smallest and largest value of each cell that may move by `limit`, `(batch, features)` each."""
        low, high = x - limit, x + limit
        if self.lower is not None:
            low = keras.ops.maximum(low, keras.ops.minimum(self.lower, x))
        if self.upper is not None:
            high = keras.ops.minimum(high, keras.ops.maximum(self.upper, x))
        return low, high

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
            "special": [list(values) for values in self.special],
            "ties": [dataclasses.asdict(link) for link in self.ties.links] if self.ties else [],
            "summaries": [dataclasses.asdict(link) for link in self.ties.summaries] if self.ties else [],
            "alone": self.alone.tolist(),
            "limited": self.limited.tolist(),
            "proportional": dataclasses.asdict(self.proportional) if self.proportional else None,
            "separations": [dataclasses.asdict(one) for one in self.separations],
        }

    @classmethod
    def from_config(cls, config: dict) -> "ThreatModel":
        """The inverse of `get_config`; one that an older version stored has no ties, special values and discriminators."""
        ties = [Link.from_config(link) for link in config.get("ties", ())]
        summaries = [SummaryLink.from_config(link) for link in config.get("summaries", ())]
        proportional = Proportional(**config["proportional"]) if config.get("proportional") else None
        separations = [Separation.from_config(one) for one in config["separations"]] if "separations" in config else None
        parts = {"ties": ties, "summaries": summaries, "proportional": proportional, "separations": separations}
        return cls(**{**config, **parts})


def _padded(special: Sequence[Sequence[float]]) -> np.ndarray | None:
    """Special values as an array `(features, values)` filled up with NaN; None without any."""
    width = max(map(len, special), default=0)
    if not width:
        return None
    padded = np.full((len(special), width), np.nan, np.float32)
    for row, values in enumerate(special):
        padded[row, : len(values)] = values
    return padded
