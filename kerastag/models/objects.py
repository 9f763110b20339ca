"""From the flat vector of features to the objects of a jet."""

import keras

from kerastag.layers import SplitGroups
from kerastag.schema import Schema


def split_groups(values: keras.KerasTensor, schema: Schema) -> list[keras.KerasTensor]:
    """The features of each group, `(batch, variables)`, or `(batch, slots, variables)` where it has slots.

    Args:
        values: Features, raw or scaled, `(batch, features)`.
        schema: Says which columns belong to which group.
    """
    return list(SplitGroups.from_schema(schema)(values).values())
