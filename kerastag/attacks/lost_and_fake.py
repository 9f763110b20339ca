"""Attacks on sets: the object of a jet that is best lost, and a fake that is best added.

They move whole objects, so that ε, bounds and ties say nothing of them. What the jet has of its own stays, but for the number
that says which slots are filled. Where a jet has more objects than slots, the one that would move up is not known and its slot
stays empty.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from typing_extensions import override

from kerastag.attacks.base import Attack, Objective
from kerastag.attacks.objectives import ObjectiveFunction
from kerastag.attacks.threat_model import Box, ThreatModel
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.schema import Schema

# Jets of which fakes are taken, and how many.
_POOL_JETS, _FAKES = 10_000, 8


class SlotAttack(Attack):
    """Base of attacks on the objects of a group: of all jets that it can make of one, the worst.

    Args:
        threat_model: Names the features; nothing else of it counts.
        first: First column of the group.
        defaults: Default of each variable in each slot, `(variables, slots)`.
        objective: What to increase, as of `Attack`.
        labels: "true" or "predicted".
        count: Column of the number of objects, beyond which slots are empty; None if there is none.

    Raises:
        UserError: if the columns are not those of the threat model.
    """

    follows_gradient = False

    def __init__(
        self,
        threat_model: ThreatModel,
        first: int,
        defaults: ArrayLike,
        objective: str | ObjectiveFunction = "cross_entropy",
        labels: str = "true",
        count: int | None = None,
    ):
        super().__init__(threat_model, objective, labels)
        self.first, self.defaults, self.count = first, np.asarray(defaults, np.float32), count
        if self.defaults.ndim != 2 or not 0 <= first <= threat_model.features - self.defaults.size:
            raise UserError(
                f"`defaults` must be (variables, slots) of columns from {first} on. Received: {self.defaults.shape}."
            )

    @override
    def attacked(self, box: Box, objective: Objective) -> tf.Tensor:
        """Jets `(batch, features)`, each the worst that one object more or less makes of it, whatever the box."""

        def worse(best: tuple[tf.Tensor, tf.Tensor], number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            changed = self._changed(box.x, number)
            value = objective.value(changed)
            better = value > best[1]
            return tf.where(better[:, None], changed, best[0]), tf.where(better, value, best[1])

        return tf.foldl(worse, tf.range(self.changes), (box.x, objective.value(box.x)))[0]

    @property
    def changes(self) -> int:
        """Number of changes that are tried."""
        raise NotImplementedError

    def change(self, objects: tf.Tensor, exists: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One of the changes.

        Args:
            objects: `(batch, variables, slots)`.
            exists: Which cells are not at their default, of the same shape.
            number: Number of the change.

        Returns:
            Objects and which of their cells exist, as given.
        """
        raise NotImplementedError

    def _changed(self, x: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """Jets `(batch, features)` after a change."""
        last = self.first + self.defaults.size
        objects = tf.reshape(x[:, self.first : last], (-1, *self.defaults.shape))
        if self.count is not None:
            counted = np.arange(x.shape[1]) == self.count
            x = tf.where(counted, x + self.more(objects != self.defaults, number)[:, None], x)
        # An absent cell becomes the default of the slot that it moves to.
        objects, exists = self.change(objects, objects != self.defaults, number)
        objects = tf.where(exists, objects, self.defaults)
        return tf.concat([x[:, : self.first], tf.reshape(objects, (-1, self.defaults.size)), x[:, last:]], axis=1)

    def more(self, exists: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """How many objects more each jet has after a change, `(batch,)`; arguments as of `change`."""
        raise NotImplementedError

    @override
    def get_config(self) -> dict[str, Any]:
        defaults = self.defaults.astype(np.float64).tolist()
        return super().get_config() | {"first": self.first, "defaults": defaults, "count": self.count}


@keras.saving.register_keras_serializable("kerastag")
class TrackDropout(SlotAttack):
    """The worst object to lose; those behind it move up. An inefficiency that hits where it hurts most."""

    @classmethod
    def of_dataset(cls, threat_model: ThreatModel, dataset: JetDataset, **options: Any) -> "TrackDropout":
        """For the tracks of a data set, or its group of most slots.

        Args:
            threat_model: Names the features.
            dataset: The data set.
            **options: Further arguments of the attack.

        Raises:
            UserError: if its schema has no group with slots.
        """
        group = _Group.of(dataset.schema)
        return cls(threat_model, group.first, group.defaults, count=group.counted, **options)

    @property
    @override
    def changes(self) -> int:
        return self.defaults.shape[1]

    @override
    def change(self, objects: tf.Tensor, exists: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slots = tf.range(self.changes)
        source = tf.minimum(slots + tf.cast(slots >= number, tf.int32), self.changes - 1)
        stays = slots < self.changes - 1
        return tf.gather(objects, source, axis=2), tf.gather(exists, source, axis=2) & stays

    @override
    def more(self, exists: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        return -tf.cast(tf.reduce_any(tf.gather(exists, number, axis=2), axis=1), tf.float32)


@keras.saving.register_keras_serializable("kerastag")
class FakeTracks(SlotAttack):
    """The worst of some fakes in the worst slot; objects from there on move down, and the last falls out if all are filled.

    Args:
        threat_model: Names the features.
        first: First column of the group.
        defaults: `(variables, slots)`.
        fakes: Objects that may be added, `(fakes, variables)`; NaN or None for a cell that is absent.
        objective: What to increase, as of `Attack`.
        labels: "true" or "predicted".
        count: Column of the number of objects; None if there is none.
    """

    def __init__(
        self,
        threat_model: ThreatModel,
        first: int,
        defaults: ArrayLike,
        fakes: ArrayLike,
        objective: str | ObjectiveFunction = "cross_entropy",
        labels: str = "true",
        count: int | None = None,
    ):
        super().__init__(threat_model, first, defaults, objective, labels, count)
        self.fakes = np.asarray(fakes, np.float32)

    @classmethod
    def of_dataset(cls, threat_model: ThreatModel, dataset: JetDataset, seed: int = 0, **options: Any) -> "FakeTracks":
        """Fakes are objects of other jets, drawn from the first training jets of a data set, whatever their flavour.

        Args:
            threat_model: Names the features.
            dataset: The data set.
            seed: Seed of the draw.
            **options: Further arguments of the attack.

        Raises:
            UserError: if its schema has no group with slots, no jet has such an object, or objects have momenta in the frame
                of the detector, which would point away from another jet.
        """
        schema, group = dataset.schema, _Group.of(dataset.schema)
        if "energy" in schema.kinematic_features(group.name):
            raise UserError(
                f"No fake of the group '{group.name}' can be taken from other jets, whose directions differ: {schema.name} has "
                "px, py and pz. Leave fake-track out."
            )
        x = dataset.arrays("train").features[:_POOL_JETS]
        objects = x[:, group.first : group.first + group.defaults.size].reshape(len(x), *group.defaults.shape)
        objects = np.where(objects == group.defaults, np.nan, objects)
        filled = np.argwhere(~np.isnan(objects).all(axis=1))
        if not len(filled):
            raise UserError(
                f"None of the first training jets has an object of the group '{group.name}', so there are no fakes."
            )
        jets, slots = filled[np.random.default_rng(seed).choice(len(filled), _FAKES)].T
        return cls(threat_model, group.first, group.defaults, objects[jets, :, slots], count=group.counted, **options)

    @property
    @override
    def changes(self) -> int:
        return len(self.fakes) * self.defaults.shape[1]

    @override
    def change(self, objects: tf.Tensor, exists: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slots = self.defaults.shape[1]
        at, fake = number % slots, tf.gather(tf.constant(self.fakes), number // slots)
        filled = tf.reduce_sum(tf.cast(tf.reduce_any(exists, axis=1), tf.int32), axis=1)
        # Behind the last object, not beyond a gap.
        position = tf.minimum(at, filled)[:, None]
        source = tf.range(slots)[None] - tf.cast(tf.range(slots)[None] > position, tf.int32)
        here = (tf.range(slots)[None] == position)[:, None]
        moved, there = (_slots_of_jet(values, source) for values in (objects, exists))
        whole = ~tf.math.is_nan(fake)[None, :, None]
        return tf.where(here & whole, fake[None, :, None], moved), tf.where(here, whole, there)

    @override
    def more(self, exists: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        return tf.ones_like(exists[:, 0, 0], tf.float32)

    @override
    def get_config(self) -> dict[str, Any]:
        fakes = [[None if np.isnan(value) else float(value) for value in fake] for fake in self.fakes]
        return super().get_config() | {"fakes": fakes}


def _slots_of_jet(values: tf.Tensor, source: tf.Tensor) -> tf.Tensor:
    """Slots in another order for each jet, `(batch, variables, slots)`, by numbers `(batch, slots)`."""
    by_slot = tf.gather(tf.transpose(values, (0, 2, 1)), source, batch_dims=1)
    return tf.transpose(by_slot, (0, 2, 1))


class _Group(NamedTuple):
    """Objects that may be lost or added: tracks, or the group of most slots.

    Attributes:
        name: Name of the group.
        first: Its first column.
        defaults: `(variables, slots)`.
        counted: Column of the number of objects; None if it is no input.
    """

    name: str
    first: int
    defaults: np.ndarray
    counted: int | None

    @classmethod
    def of(cls, schema: Schema) -> "_Group":
        """That of a schema.

        Raises:
            UserError: if no group has slots.
        """
        largest = schema.largest_group
        if largest is None:
            raise UserError(f"{schema.name} has no group with slots, so no object can be lost or added.")
        name = schema.helix.group if schema.helix else largest.name
        group = next(group for group in schema.groups if group.name == name)
        columns = [number for number, feature in enumerate(schema.features) if feature.group == name]
        counts = {feature.branch: number for number, feature in enumerate(schema.features) if feature.slot is None}
        defaults = schema.defaults[columns].reshape(len(group.variables), -1)
        return cls(name, columns[0], defaults, counts.get(group.count or ""))
