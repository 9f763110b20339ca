"""A jet as networks on sets take it: the objects of each group with slots, and what the jet has beside them."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastag.errors import UserError
from kerastag.layers import Kinematics, Mend, PresenceFlags, Standardize, TrackQuantities, split_columns
from kerastag.models.objects import split_groups
from kerastag.schema import Schema
from kerastag.statistics import Statistics

# Channels of each object where several groups become one set.
_COMMON = 32


@dataclasses.dataclass(frozen=True)
class Particles:
    """The objects of a group, or of several.

    Attributes:
        name: Name of the group.
        features: Scaled features `(batch, slots, channels)`, 0 in padded slots.
        mask: 1 for objects and 0 for padded slots, `(batch, slots, 1)`.
        points: Δη and Δφ to the axis of the jet, `(batch, slots, 2)`; None where the schema has no directions.
        vectors: px, py, pz and E in GeV, `(batch, slots, 4)`, or pT, Δη and Δφ, `(batch, slots, 3)`, 0 in padded slots; None
            where the schema has no momenta.
    """

    name: str
    features: keras.KerasTensor
    mask: keras.KerasTensor
    points: keras.KerasTensor | None = None
    vectors: keras.KerasTensor | None = None


def of_jet(
    inputs: keras.KerasTensor, schema: Schema, statistics: Statistics
) -> tuple[list[Particles], keras.KerasTensor | None]:
    """Each group with slots, and the rest, `(batch, channels)`, or None without any.

    A variable is scaled alike in all slots, so that an object counts the same in each of them. Tracks with a helix have
    `TrackQuantities` as well.

    Args:
        inputs: Raw features `(batch, features)`.
        schema: Says which columns belong to which object.
        statistics: Statistics of the training jets.

    Raises:
        UserError: if no group has slots.
    """
    if schema.largest_group is None:
        raise UserError(f"{schema.name} has no group with slots, so a model of particles has nothing to work on; take mlp.")
    features = Mend.from_schema(schema, name="mended")(inputs)
    scaled = Standardize.robust(schema, _alike(schema, statistics), name="scaled")(features)
    flags = _flags(features, schema)
    groups, own = [], []
    for group, values in zip(schema.groups, split_groups(scaled, schema), strict=True):
        present = flags.get(group.name)
        if group.slots is None:
            own += [values] if present is None else [values, present]
            continue
        mask = keras.ops.ones_like(values[:, :, :1]) if present is None else keras.ops.expand_dims(present, -1)
        if schema.helix and schema.helix.group == group.name:
            values = keras.layers.Concatenate()([values, _track_quantities(features, schema, group.slots)])
        known = {}
        if schema.kinematic_features(group.name):
            known = Kinematics.of_group(schema, group.name, name=f"{layer_name(group.name)}_kinematics")(features, mask)
        groups.append(Particles(group.name, values * mask, mask, **known))
    return groups, keras.layers.Concatenate()(own) if own else None


def layer_name(group: str) -> str:
    """The name of a group as names of layers may hold it: a name scope of TensorFlow has neither spaces nor brackets."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", group)


def as_one_set(groups: Sequence[Particles]) -> Particles:
    """All objects of a jet; those of several groups pass a layer for each group first, which gives them common channels.

    Args:
        groups: Groups as `of_jet` gives them.
    """
    if len(groups) == 1:
        return groups[0]
    join = keras.layers.Concatenate(axis=1)
    features = join([_common(group) for group in groups])
    return Particles("all", features, join([group.mask for group in groups]), joined([group.points for group in groups]))


def joined(parts: Sequence[keras.KerasTensor | None]) -> Any:
    """All objects of several groups, `(batch, slots, channels)`; None if a group has none or they are of different kinds."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({part.shape[-1] for part in known}) > 1:
        return None
    return known[0] if len(known) == 1 else keras.layers.Concatenate(axis=1)(known)


def with_own(code: keras.KerasTensor, own: keras.KerasTensor | None) -> keras.KerasTensor:
    """The code of a jet's particles, `(batch, channels)`, beside what the jet has of its own, if anything."""
    return code if own is None else keras.layers.Concatenate()([code, own])


def masked_mean(x: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Mean over the objects that exist, `(batch, channels)`, 0 for none; `x` is 0 in padded slots.

    Args:
        x: `(batch, slots, channels)`.
        mask: `(batch, slots, 1)`.
    """
    return keras.ops.sum(x, axis=1) / keras.ops.maximum(keras.ops.sum(mask, axis=1), 1)


def _common(group: Particles) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(group.features)
    return keras.layers.Dense(_COMMON, activation="relu", kernel_initializer="he_normal")(x) * group.mask


def _alike(schema: Schema, statistics: Statistics) -> Statistics:
    """The same statistics in all slots of a variable, their mean."""
    variables = [feature.variable for feature in schema.features]
    number = np.unique(variables, return_inverse=True)[1]
    count = np.bincount(number)

    def mean(values: np.ndarray) -> np.ndarray:
        return (np.bincount(number, values) / count)[number]

    return Statistics(**{name: mean(values) for name, values in vars(statistics).items()})


def _flags(features: keras.KerasTensor, schema: Schema) -> dict[str, keras.KerasTensor]:
    """Presence flags of each optional group, `(batch, slots)`, or `(batch, 1)` where it has no slots."""
    optional = [group for group in schema.groups if group.optional]
    if not optional:
        return {}
    present = PresenceFlags(schema.optional_objects, schema.defaults, name="present")(features)
    parts = split_columns(present, [group.slots or 1 for group in optional])
    return {group.name: part for group, part in zip(optional, parts, strict=True)}


def _track_quantities(features: keras.KerasTensor, schema: Schema, slots: int) -> keras.KerasTensor:
    """Quantities of each track, `(batch, slots, 5)`."""
    quantities = TrackQuantities.from_schema(schema, name="track_quantities")(features)
    return keras.ops.transpose(keras.ops.reshape(quantities, (-1, 5, slots)), (0, 2, 1))
