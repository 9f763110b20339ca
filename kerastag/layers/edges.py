"""Graphs of nearest neighbours, which the EdgeConv blocks of ParticleNet work on."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag.layers.precision import Float32Layer

# Squared distance of a slot that holds no particle, far beyond any other.
_FAR = 1e18


@keras.saving.register_keras_serializable("kerastag")
class EdgeFeatures(Float32Layer):
    """Features of each particle beside its difference to each of its nearest neighbours.

    Padded slots are the farthest, so that they are neighbours only where there are too few particles. The choice of
    neighbours has no gradient; their features have. Of particles equally far the first are taken in the order of a sum of their
    features with unequal weights, where the original takes those in the first slots: the order of slots does not matter.

    Reference: Qu and Gouskos, arXiv:1902.08570, section II B.

    Args:
        neighbours: Number of neighbours, less where there are fewer slots.
    """

    def __init__(self, neighbours: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.neighbours = neighbours

    @override
    def call(self, points: tf.Tensor, features: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Edges `(batch, slots, neighbours, 2 * channels)`.

        Args:
            points: Coordinates in which distances are taken, `(batch, slots, coordinates)`.
            features: `(batch, slots, channels)`.
            mask: 1 for particles and 0 for padded slots, `(batch, slots, 1)`.
        """
        ops = keras.ops
        slots = points.shape[1]
        points = ops.stop_gradient(points * mask)
        # `top_k` takes the first of equal ones, so they are sorted first by what does not depend on their slots.
        order = ops.argsort(ops.stop_gradient(_rank(features * mask)), axis=1)
        ends, exists = (ops.transpose(tf.gather(values, order, batch_dims=1), (0, 2, 1)) for values in (points, mask))
        squares = ops.sum(points**2, axis=-1, keepdims=True)
        distance = squares - 2 * ops.matmul(points, ends) + ops.sum(ends**2, axis=1, keepdims=True)
        itself = ops.cast(order[:, None] == ops.arange(slots)[:, None], distance.dtype)
        distance = distance + _FAR * (1 - exists) + 2 * _FAR * itself
        nearest = tf.gather(order, ops.top_k(-distance, self._neighbours(slots))[1], batch_dims=1)
        # Unlike `take_along_axis`, one index takes all channels.
        others = tf.gather(features, nearest, batch_dims=1)
        own = ops.broadcast_to(features[:, :, None], ops.shape(others))
        return ops.concatenate([own, others - own], axis=-1)

    def _neighbours(self, slots: int) -> int:
        return min(self.neighbours, slots - 1)

    @override
    def compute_output_shape(
        self, points_shape: tuple[int | None, ...], features_shape: tuple[int | None, ...], *_: Any
    ) -> tuple[int | None, ...]:
        return (*features_shape[:2], self._neighbours(int(features_shape[1] or 0)), 2 * int(features_shape[2] or 0))

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"neighbours": self.neighbours}


def _rank(features: tf.Tensor) -> tf.Tensor:
    """A number of each particle, `(batch, slots)`, which differs where its features do, but for coincidences."""
    weights = np.sqrt(np.arange(2, int(features.shape[-1]) + 2)).astype(np.float32)
    return keras.ops.sum(features * keras.ops.cast(weights, features.dtype), axis=-1)
