"""Layers of the Particle Transformer: features of pairs of particles, and attention that they bias.

Reference: Qu, Li and Qian, arXiv:2202.03772.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag.layers.precision import Float32Layer

# Smallest ΔR, kT, z and m² of which the logarithm is taken, and what keeps divisions finite; those of the authors' code.
_SMALLEST = 1e-8
_TINY = 1e-20
_MASKED = -1e9


@keras.saving.register_keras_serializable("kerastag")
class PairFeatures(Float32Layer):
    """Logarithms of kT, z, ΔR and m² of each pair of particles.

    With ΔR from rapidity and azimuth, kT = min(pT)·ΔR and z = min(pT)/sum(pT). They are symmetric, and invariant under boosts
    along the beam and rotations about it.

    Reference: arXiv:2202.03772, equation 3.
    """

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Features `(batch, slots, slots, 4)` of four-vectors (px, py, pz, E), `(batch, slots, 4)`.

        Of massless particles pT, η and φ do, `(batch, slots, 3)`, from which their masses in pairs lose no digits. A slot whose
        pT is 0 counts as a particle along x, so that every gradient is finite.
        """
        ops = keras.ops
        massless = inputs.shape[-1] == 3
        parts = [inputs[..., number] for number in range(inputs.shape[-1])]
        pt, rapidity, azimuth, mass2 = _massless(*parts) if massless else _massive(*parts)
        # Squares are clipped before the root that they do not need, since its gradient at 0 is infinite.
        distance = _difference(rapidity) ** 2 + _wrapped(_difference(azimuth)) ** 2
        smaller = ops.minimum(pt[:, :, None], pt[:, None, :])
        ln_delta = 0.5 * ops.log(ops.maximum(distance, _SMALLEST**2))
        ln_kt = 0.5 * ops.log(ops.maximum(smaller**2 * distance, _SMALLEST**2))
        ln_z = ops.log(ops.maximum(smaller / ops.maximum(_sum(pt), _SMALLEST), _SMALLEST))
        return ops.stack([ln_kt, ln_z, ln_delta, ops.log(ops.maximum(mass2, _SMALLEST))], axis=-1)

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:2], input_shape[1], 4)


def _massive(px: tf.Tensor, py: tf.Tensor, pz: tf.Tensor, energy: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """pT, rapidity and azimuth `(batch, slots)`, and m² of pairs `(batch, slots, slots)`."""
    ops = keras.ops
    px = ops.where(px**2 + py**2 > 0, px, ops.ones_like(px))
    ratio = 2 * pz / ops.maximum(energy - pz, _TINY)
    rapidity = 0.5 * ops.log(ops.maximum(1 + ratio, _TINY))
    # Masses of light particles are lost to rounding; squares and sums in the authors' order round as theirs do.
    px2, py2, pz2, energy2 = (ops.square(_sum(part)) for part in (px, py, pz, energy))
    return ops.sqrt(px**2 + py**2), rapidity, ops.arctan2(py, px), energy2 - ((px2 + py2) + pz2)


def _massless(pt: tf.Tensor, eta: tf.Tensor, phi: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The same of massless particles, whose m² is 4·pT·pT'·(sinh²(Δη/2) + sin²(Δφ/2))."""
    ops = keras.ops
    pt = ops.where(pt > 0, pt, ops.ones_like(pt))
    angles = ops.square(ops.sinh(_difference(eta) / 2)) + ops.square(ops.sin(_difference(phi) / 2))
    return pt, eta, phi, 4 * pt[:, :, None] * pt[:, None, :] * angles


def _sum(values: tf.Tensor) -> tf.Tensor:
    return values[:, :, None] + values[:, None, :]


def _difference(values: tf.Tensor) -> tf.Tensor:
    return values[:, :, None] - values[:, None, :]


def _wrapped(angle: tf.Tensor) -> tf.Tensor:
    """An angle between -π and π; 0 stays 0, which ln ΔR of a particle with itself needs."""
    return angle - 2 * np.pi * keras.ops.round(angle / (2 * np.pi))


@keras.saving.register_keras_serializable("kerastag")
class PairAttention(keras.layers.Layer):
    """Multi-head attention whose scores take a bias for each pair.

    `keras.layers.MultiHeadAttention` takes a mask alone, and adds it to the scores with a weight that leaves no digits to a
    bias.

    Args:
        heads: Number of heads.
        width: Width of queries, keys, values and outputs, of all heads together.
    """

    def __init__(self, heads: int, width: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads, self.width = heads, width
        self.query, self.key, self.value, self.projection = (
            keras.layers.Dense(width, name=name, dtype=self.dtype_policy) for name in ("query", "key", "value", "projection")
        )

    @override
    def build(self, query_shape: tuple[int | None, ...], value_shape: tuple[int | None, ...]) -> None:
        self.query.build(query_shape)
        self.key.build(value_shape)
        self.value.build(value_shape)
        self.projection.build((*query_shape[:-1], self.width))
        self.built = True

    @override
    def call(
        self, query: tf.Tensor, value: tf.Tensor, present: tf.Tensor | None = None, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """What each query attends to, `(batch, queries, width)`.

        Args:
            query: `(batch, queries, query width)`.
            value: `(batch, keys, value width)`, keys as well.
            present: 1 for keys that exist and 0 for others, `(batch, keys, 1)`; None for all.
            bias: Added to the scores, `(batch, queries, keys, heads)`; None for nothing.
        """
        ops = keras.ops
        queries, keys, values = (
            self._by_head(dense(x)) for dense, x in ((self.query, query), (self.key, value), (self.value, value))
        )
        scores = ops.matmul(queries * (self.width // self.heads) ** -0.5, ops.transpose(keys, (0, 1, 3, 2)))
        # The mask is beyond float16, and small scores would add up to nothing.
        scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
        if bias is not None:
            scores = scores + ops.cast(ops.transpose(bias, (0, 3, 1, 2)), scores.dtype)
        if present is not None:
            scores = ops.where(ops.transpose(present, (0, 2, 1))[:, None] > 0, scores, _MASKED)
        attended = ops.matmul(ops.cast(ops.softmax(scores, axis=-1), values.dtype), values)
        return self.projection(ops.reshape(ops.transpose(attended, (0, 2, 1, 3)), (-1, query.shape[1], self.width)))

    def _by_head(self, x: tf.Tensor) -> tf.Tensor:
        """`(batch, heads, objects, width per head)`."""
        return keras.ops.transpose(keras.ops.reshape(x, (-1, x.shape[1], self.heads, self.width // self.heads)), (0, 2, 1, 3))

    @override
    def compute_output_shape(self, query_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return (*query_shape[:-1], self.width)

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"heads": self.heads, "width": self.width}


@keras.saving.register_keras_serializable("kerastag")
class ClassToken(keras.layers.Layer):
    """A learned vector for each jet, which gathers what the particles say."""

    @override
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]), initializer=initializer, name="token")

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The vector, `(batch, 1, width)`, for objects `(batch, slots, width)`."""
        return keras.ops.zeros_like(inputs[:, :1]) + self.token

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], 1, input_shape[-1])


@keras.saving.register_keras_serializable("kerastag")
class Scale(keras.layers.Layer):
    """Multiplies each channel, or each head of channels, by a weight that is learned and starts at 1.

    Args:
        heads: Number of heads among the channels; None for a weight per channel.
    """

    def __init__(self, heads: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads

    @override
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight(shape=(self.heads or input_shape[-1],), initializer="ones", name="scale")

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Scaled values, of the shape of the input, `(batch, objects, channels)`."""
        if self.heads is None:
            return inputs * self.scale
        return inputs * keras.ops.repeat(self.scale, inputs.shape[-1] // self.heads)

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"heads": self.heads}
