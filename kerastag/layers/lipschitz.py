"""Layers that change their outputs by no more than their inputs change.

Reference: Kitouni, Nolte and Williams, arXiv:2112.00038; sorting activations: Anil, Lucas and Grosse, arXiv:1811.05381.
"""

from typing import Any, Literal

import keras
import tensorflow as tf
from typing_extensions import override

Norm = Literal["one-inf", "inf"]


@keras.saving.register_keras_serializable("kerastag")
class NormedDense(keras.layers.Layer):
    """A dense layer whose outputs change by at most the norm of the change of its inputs.

    With the norm "inf" that is the largest change of any input: the absolute weights of a unit add up to 1 at most. With
    "one-inf" it is the sum of the changes of all inputs: no weight is larger than 1.

    Args:
        units: Number of outputs.
        norm: "one-inf" or "inf".
    """

    def __init__(self, units: int, norm: Norm = "inf", **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.norm = units, norm

    @override
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`(batch, units)` of `(batch, inputs)`."""
        return keras.ops.matmul(inputs, self.normed_kernel) + self.bias

    @property
    def normed_kernel(self) -> tf.Tensor:
        """The weights that are used, `(inputs, units)`."""
        size = keras.ops.abs(self.kernel)
        norm = keras.ops.max(size, axis=0) if self.norm == "one-inf" else keras.ops.sum(size, axis=0)
        return self.kernel / keras.ops.maximum(norm, 1)

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units, "norm": self.norm}


@keras.saving.register_keras_serializable("kerastag")
class GroupSort(keras.layers.Layer):
    """Sorts each pair of channels, an activation whose gradient neither grows nor fades; their number must be even."""

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Sorted channels, of the shape of the input, `(batch, channels)`."""
        # Far faster than a sort, which works on one pair after the other.
        first, second = inputs[:, ::2], inputs[:, 1::2]
        pairs = [keras.ops.minimum(first, second), keras.ops.maximum(first, second)]
        return keras.ops.reshape(keras.ops.stack(pairs, axis=-1), (-1, inputs.shape[-1]))

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
