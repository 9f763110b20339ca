"""Inputs of a network of lwtnn."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from typing_extensions import override

from kerastag.layers.precision import Float32Layer

_ARRAYS = ("offset", "scale", "defaults", "absent")


@keras.saving.register_keras_serializable("kerastag")
class LwtnnInputs(Float32Layer):
    """(x + offset)·scale, with the defaults of the file in place of values that are absent or not finite.

    Args:
        names: Names of the inputs.
        offset: `(inputs,)`.
        scale: `(inputs,)`.
        defaults: `(inputs,)`; NaN or None for an input without a default.
        absent: `(inputs,)`, values that stand for "absent"; NaN or None for an input that has no such value.
    """

    def __init__(
        self,
        names: Sequence[str],
        offset: ArrayLike,
        scale: ArrayLike,
        defaults: ArrayLike | Sequence[float | None],
        absent: ArrayLike | Sequence[float | None],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.names = tuple(names)
        self.offset, self.scale, self.defaults, self.absent = (
            np.array(values, np.float32) for values in (offset, scale, defaults, absent)
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Scaled inputs, `(batch, inputs)` like the raw ones."""
        present = keras.ops.logical_and(keras.ops.isfinite(inputs), keras.ops.not_equal(inputs, self.absent))
        return (keras.ops.where(present, inputs, self.defaults) + self.offset) * self.scale

    @override
    def get_config(self) -> dict[str, Any]:
        # JSON knows no NaN.
        arrays = {name: [None if np.isnan(value) else float(value) for value in getattr(self, name)] for name in _ARRAYS}
        return super().get_config() | {"names": list(self.names), **arrays}
