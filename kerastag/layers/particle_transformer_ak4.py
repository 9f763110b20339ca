"""What the Particle Transformer of CMS does with pairs of candidates, which is not what its authors' does.

It looks at each pair once, and logarithms are those of 1 + x. The distance Δ has the difference of pz in place of that of rapidity,
as the files of CMS say.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

# Smallest kT, z, Δ, m² and sum of pT, that of the original.
_SMALLEST = 1e-8
_PI = 3.1415927410125732


@keras.saving.register_keras_serializable("kerastag")
class PairFeaturesAK4(keras.layers.Layer):
    """ln(1 + x) of kT, z, Δ and m² of each pair of objects; 0 for pairs with an object that does not exist.

    Δ² = Δpz² + Δφ², kT = min(pT)·Δ and z = min(pT)/sum(pT), all in GeV and rad.
    """

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Features `(batch, pairs, 4)` of four-vectors (px, py, pz, E), `(batch, slots, 4)`.

        An object exists where its pT is not 0. Pairs run row by row below the diagonal: (1, 0), (2, 0), (2, 1), (3, 0), …
        """
        ops = keras.ops
        px, py, pz, energy = (inputs[..., number] for number in range(4))
        # `square` and not `**2`, which rounds: m² is a small difference of large numbers.
        squared = ops.square(px) + ops.square(py)
        exists = squared > 0
        # The gradients of the root and of the angle are not finite where px and py are 0.
        pt = ops.sqrt(ops.where(exists, squared, 1.0))
        azimuth = ops.arctan2(py, ops.where(exists, px, 1.0))
        quantities = ops.stack([pt, azimuth, px, py, pz, energy, ops.cast(exists, pt.dtype)], axis=-1)
        rows, columns = _below_diagonal(inputs.shape[1])
        (pt, azimuth, *first, exists), (other_pt, other_azimuth, *second, other_exists) = (
            ops.unstack(ops.take(quantities, slots, axis=1), axis=-1) for slots in (rows, columns)
        )
        squared = ops.square(first[2] - second[2]) + ops.square(_wrapped(azimuth - other_azimuth))
        distance = ops.where(squared > 0, ops.sqrt(ops.where(squared > 0, squared, 1.0)), 0.0)
        smaller = ops.minimum(pt, other_pt)
        share = smaller / ops.maximum(pt + other_pt, _SMALLEST)
        *momentum2, energy2 = (ops.square(one + other) for one, other in zip(first, second, strict=True))
        features = ops.stack([smaller * distance, share, distance, energy2 - sum(momentum2)], axis=-1)
        both = (exists * other_exists)[..., None] > 0
        return ops.where(both, ops.log1p(ops.maximum(features, _SMALLEST)), 0.0)

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], len(_below_diagonal(input_shape[1])[0]), 4)


@keras.saving.register_keras_serializable("kerastag")
class PairMatrix(keras.layers.Layer):
    """Values of pairs as a symmetric matrix, with 0 on the diagonal.

    Args:
        slots: Number of rows.
    """

    def __init__(self, slots: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.slots = int(slots)
        rows, columns = _below_diagonal(self.slots)
        # The number of each cell's pair, counted from 1; pair 0 is added in `call`.
        numbers = np.zeros((self.slots, self.slots), np.int32)
        numbers[rows, columns] = numbers[columns, rows] = np.arange(1, len(rows) + 1)
        self._numbers = numbers.ravel()

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The matrix, `(batch, slots, slots, values)`, of pairs in the order of `PairFeaturesAK4`, `(batch, pairs, values)`."""
        with_zero = keras.ops.pad(inputs, ((0, 0), (1, 0), (0, 0)))
        return keras.ops.reshape(
            keras.ops.take(with_zero, self._numbers, axis=1), (-1, self.slots, self.slots, inputs.shape[-1])
        )

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.slots, self.slots, input_shape[-1])

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"slots": self.slots}


def _below_diagonal(slots: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the cells below the diagonal of a square matrix."""
    rows, columns = np.tril_indices(slots or 0, -1)
    return rows.astype(np.int32), columns.astype(np.int32)


def _wrapped(angle: tf.Tensor) -> tf.Tensor:
    """An angle between -π and π."""
    return angle - 2 * _PI * keras.ops.floor((angle + _PI) / (2 * _PI))
