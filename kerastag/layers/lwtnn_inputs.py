"""How a network of lwtnn takes its inputs."""

from collections.abc import Sequence

import keras
import numpy as np


@keras.saving.register_keras_serializable("kerastag")
class LwtnnInputs(keras.layers.Layer):
    """(x + offset)·scale, with the defaults of the file in place of values that are absent or not finite.

    Args:
        names: Names of the inputs.
        offset: `(inputs,)`.
        scale: `(inputs,)`.
        defaults: `(inputs,)`; NaN or None for an input without one.
        absent: `(inputs,)`, values by which the caller says "absent"; NaN or None for an input that has no such value.
    """

    def __init__(
        self,
        names: Sequence[str],
        offset: Sequence[float],
        scale: Sequence[float],
        defaults: Sequence[float | None],
        absent: Sequence[float | None],
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.names = tuple(names)
        self.offset, self.scale, self.defaults, self.absent = (
            np.array(values, np.float32) for values in (offset, scale, defaults, absent)
        )

    def call(self, inputs):
        """Scaled inputs of raw ones, both `(batch, inputs)`."""
        there = keras.ops.logical_and(keras.ops.isfinite(inputs), keras.ops.not_equal(inputs, self.absent))
        return (keras.ops.where(there, inputs, self.defaults) + self.offset) * self.scale

    def get_config(self):
        """Everything that `__init__` takes."""
        return super().get_config() | {
            "names": list(self.names),
            # JSON knows no NaN.
            **{
                name: [None if np.isnan(value) else float(value) for value in getattr(self, name)]
                for name in ("offset", "scale", "defaults", "absent")
            },
        }
