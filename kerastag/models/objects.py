"""From the flat vector of features to the objects of a jet."""

import itertools

import keras

from kerastag.schema import Schema


def split_columns(values: keras.KerasTensor, widths: list[int]) -> list[keras.KerasTensor]:
    """Consecutive columns of `values`; unlike slices, their gradient is a single concatenation."""
    return keras.ops.split(values, list(itertools.accumulate(widths))[:-1], axis=1)


def split_groups(values: keras.KerasTensor, schema: Schema) -> list[keras.KerasTensor]:
    """The features of each group, `(batch, variables)`, or `(batch, slots, variables)` where it has slots.

    Args:
        values: Features, raw or scaled, `(batch, features)`.
        schema: Says which columns belong to which group.
    """
    widths = [len(group.variables) * (group.slots or 1) for group in schema.groups]
    parts = []
    for group, columns in zip(schema.groups, split_columns(values, widths), strict=True):
        if group.slots is not None:
            by_variable = keras.layers.Reshape((len(group.variables), group.slots))(columns)
            columns = keras.layers.Permute((2, 1))(by_variable)
        parts.append(columns)
    return parts
