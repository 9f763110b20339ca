"""From the flat vector of features to the objects of a jet."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.layers.precision import Float32Layer
from kerastag.schema import Schema


def split_columns(values: tf.Tensor, widths: Sequence[int]) -> list[tf.Tensor]:
    """Consecutive columns of `values`; unlike slices, their gradient is a single concatenation."""
    if len(widths) == 1:  # TensorFlow does not split into one
        return [values]
    return keras.ops.split(values, list(itertools.accumulate(widths))[:-1], axis=1)


@keras.saving.register_keras_serializable("kerastag")
class SplitGroups(Float32Layer):
    """The features of each group of a jet, for networks that take a jet's own features, its tracks and its vertices apart.

    It is part of the tagger, whose input stays one flat vector of raw features: attacks and exports know no other.

    Example:
    ```python
    features = keras.Input((len(schema.features),))
    parts = SplitGroups.from_schema(schema)(features)
    tracks = keras.layers.GRU(32)(parts["track"])
    ```

    Args:
        groups: By name of a group its number of variables, and its number of slots or None, in the order of the columns.
    """

    def __init__(self, groups: Mapping[str, tuple[int, int | None]], **kwargs: Any):
        super().__init__(**kwargs)
        self.groups = {name: (variables, slots) for name, (variables, slots) in groups.items()}
        self._widths = [variables * (slots or 1) for variables, slots in self.groups.values()]

    @classmethod
    def from_schema(cls, schema: Schema, **options: Any) -> "SplitGroups":
        """The layer for the groups of a schema.

        Args:
            schema: Schema of the inputs.
            **options: Further arguments of the layer.
        """
        return cls({group.name: (len(group.variables), group.slots) for group in schema.groups}, **options)

    def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """By group, `(batch, variables)`, or `(batch, slots, variables)` where it has slots, of `(batch, features)`."""
        columns = split_columns(inputs, self._widths)
        return {name: self._by_slot(part, name) for name, part in zip(self.groups, columns, strict=True)}

    def _by_slot(self, part: tf.Tensor, name: str) -> tf.Tensor:
        variables, slots = self.groups[name]
        return part if slots is None else keras.ops.transpose(keras.ops.reshape(part, (-1, variables, slots)), (0, 2, 1))

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> dict[str, tuple[int | None, ...]]:
        batch = input_shape[0]
        return {
            name: (batch, variables) if slots is None else (batch, slots, variables)
            for name, (variables, slots) in self.groups.items()
        }

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"groups": {name: list(sizes) for name, sizes in self.groups.items()}}
