"""What DeepFlavour and other networks of Keras 2 need."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag.layers.precision import Float32Layer


@keras.saving.register_keras_serializable("kerastag")
def keras2_hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """clip(0.2·x + 0.5, 0, 1), the `hard_sigmoid` of Keras 2.

    That of Keras 3 is relu6(x + 3)/6, with which DeepFlavour's probabilities change by up to 0.08.
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


@keras.saving.register_keras_serializable("kerastag")
class AbsentTogether(Float32Layer):
    """Marks features as absent where another feature is.

    Args:
        absent: Value that stands for "absent".
        by: Column of the feature that shows it.
        columns: Columns that become `absent` with it.
        features: Number of features.
    """

    def __init__(self, absent: float, by: int, columns: Sequence[int], features: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.absent, self.by, self.columns, self.features = float(absent), int(by), tuple(columns), int(features)
        self._marked = np.isin(np.arange(features), columns)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Marked features, `(batch, features)` like the input."""
        absent = keras.ops.equal(inputs[:, self.by : self.by + 1], self.absent)
        return keras.ops.where(keras.ops.logical_and(absent, self._marked), self.absent, inputs)

    @override
    def get_config(self) -> dict[str, Any]:
        names = ("absent", "by", "columns", "features")
        return super().get_config() | {name: getattr(self, name) for name in names}
