"""What the Particle Transformer of CMS does with pairs of candidates, which is not what its authors' does.

Logarithms are those of 1 + x, and Δ has the difference of pz in place of that of rapidity: the graph in CMS's files says so.
Most slots of most jets are empty, so the pairs of all jets of a batch are one list of those that exist.
"""

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag.layers.precision import Float32Layer

# Smallest kT, z, Δ, m² and sum of pT, that of the original.
_SMALLEST = 1e-8
# TensorFlow takes squares below 2^-126 for 0, ONNX Runtime those below 2^-150; times this, both end at the same momentum.
_LIFT = 2.0**12


@keras.saving.register_keras_serializable("kerastag")
class PairFeaturesAK4(Float32Layer):
    """ln(1 + x) of kT, z, Δ and m² of each pair of objects that exist, and 0 where a pT is so small that its square is 0.

    Δ² = Δpz² + Δφ², kT = min(pT)·Δ and z = min(pT)/sum(pT), in GeV and rad.
    """

    @override
    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Features `(pairs, 4)` of four-vectors (px, py, pz, E), `(batch, slots, 4)`, and where the pairs are, `(pairs, 3)`.

        A pair is at (jet, slot, earlier slot). An object exists where its px is not 0.
        """
        ops = keras.ops
        px, py, pz, energy = (inputs[..., number] for number in range(4))
        # `square` and not `**2`, which rounds: m² is a small difference of large numbers.
        exists = px != 0
        squared = ops.square(_LIFT * px) + ops.square(_LIFT * py)
        known = squared > 0
        places = tf.where(exists[:, :, None] & exists[:, None, :] & np.tri(inputs.shape[1], k=-1, dtype=bool))
        # The gradients of the root and of the angle are not finite where px and py are 0.
        pt = ops.sqrt(ops.where(known, squared, 1.0)) / _LIFT
        azimuth = ops.arctan2(_LIFT * py, ops.where(known, _LIFT * px, 1.0))
        quantities = ops.stack([ops.cast(known, px.dtype), pt, azimuth, px, py, pz, energy], axis=-1)
        (known, pt, azimuth, *first), (other_known, other_pt, other_azimuth, *second) = (
            ops.unstack(tf.gather_nd(quantities, ops.take(places, columns, axis=1)), axis=-1) for columns in ([0, 1], [0, 2])
        )
        squared = ops.square(first[2] - second[2]) + ops.square(_wrapped(azimuth - other_azimuth))
        distance = ops.where(squared > 0, ops.sqrt(ops.where(squared > 0, squared, 1.0)), 0.0)
        smaller = ops.minimum(pt, other_pt)
        share = smaller / ops.maximum(pt + other_pt, _SMALLEST)
        *momentum2, energy2 = (ops.square(one + other) for one, other in zip(first, second, strict=True))
        features = ops.stack([smaller * distance, share, distance, energy2 - sum(momentum2)], axis=-1)
        return ops.log1p(ops.maximum(features, _SMALLEST)) * (known * other_known)[:, None], places


@keras.saving.register_keras_serializable("kerastag")
class PairMatrix(Float32Layer):
    """Values of pairs as a symmetric matrix for each jet, with 0 on the diagonal and for pairs that do not exist."""

    @override
    def call(self, inputs: tf.Tensor, places: tf.Tensor, objects: tf.Tensor) -> tf.Tensor:
        """The matrices, `(batch, slots, slots, values)`.

        Args:
            inputs: Values, `(pairs, values)`.
            places: Where the pairs are, `(pairs, 3)`, of `PairFeaturesAK4`.
            objects: `(batch, slots, …)`, of which the first two sizes are taken.
        """
        slots = objects.shape[1]
        below = keras.ops.scatter(places, inputs, (keras.ops.shape(objects)[0], slots, slots, inputs.shape[-1]))
        return below + keras.ops.transpose(below, (0, 2, 1, 3))

    @override
    def compute_output_shape(
        self,
        inputs_shape: tuple[int | None, ...],
        places_shape: tuple[int | None, ...],
        objects_shape: tuple[int | None, ...],
    ) -> tuple[int | None, ...]:
        return (objects_shape[0], objects_shape[1], objects_shape[1], inputs_shape[-1])


def _wrapped(angle: tf.Tensor) -> tf.Tensor:
    """An angle between -π and π."""
    return angle - 2 * np.pi * keras.ops.floor((angle + np.pi) / (2 * np.pi))
