"""Parts that only old networks need."""

from collections.abc import Sequence

import keras
import numpy as np


@keras.saving.register_keras_serializable("kerastag")
def keras2_hard_sigmoid(x):
    """clip(0.2·x + 0.5, 0, 1), which Keras 2 called `hard_sigmoid`.

    That of Keras 3 is relu6(x + 3)/6. With it DeepFlavour's probabilities are off by up to 0.08, and no error says so.
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


@keras.saving.register_keras_serializable("kerastag")
class AbsentTogether(keras.layers.Layer):
    """Marks some features as absent where another one is.

    Args:
        absent: Value that says so.
        by: Column of the feature that shows it.
        columns: Columns that are then set to `absent`.
        features: Number of features.
    """

    def __init__(self, absent: float, by: int, columns: Sequence[int], features: int, **kwargs):
        super().__init__(**kwargs)
        self.absent, self.by, self.columns, self.features = float(absent), int(by), tuple(columns), int(features)
        self._here = np.isin(np.arange(features), columns)

    def call(self, inputs):
        """Features of features, both `(batch, features)`."""
        gone = keras.ops.equal(inputs[:, self.by : self.by + 1], self.absent)
        return keras.ops.where(keras.ops.logical_and(gone, self._here), self.absent, inputs)

    def get_config(self):
        """Everything that `__init__` takes."""
        names = ("absent", "by", "columns", "features")
        return super().get_config() | {name: getattr(self, name) for name in names}
