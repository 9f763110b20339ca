"""Track quantities that physicists calculate first from a helix, as a layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag.layers.precision import Float32Layer
from kerastag.layers.preprocessing import symlog
from kerastag.schema import Schema

# An attack may leave the range of physics. Below this angle to the beam, which no tracker covers, η would diverge.
SMALLEST_THETA = 0.02
SMALLEST_CURVATURE = 1e-3  # 1/GeV
LARGEST_ETA = 10.0  # no jet lies beyond, and its exponential would overflow
# Variances of the best tracks, (5 µm)² and (30 µm)². An attack may move a variance below 0, which has no root.
SMALLEST_D0_VARIANCE, SMALLEST_Z0_VARIANCE = 25e-6, 900e-6  # mm²
SMALLEST_SQUARE = 1e-6  # added to ΔR², whose root has no slope at 0


def direction(theta: tf.Tensor, q_over_p: tf.Tensor, eta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Δη of tracks to their jet's axis, and their pT in GeV, `(batch, tracks)` each.

    Args:
        theta: Polar angle relative to the jet's, rad, `(batch, tracks)`.
        q_over_p: Charge over momentum, 1/GeV, `(batch, tracks)`.
        eta: Pseudorapidity of the jet, `(batch, 1)`.
    """
    ops = keras.ops
    eta = ops.clip(eta, -LARGEST_ETA, LARGEST_ETA)
    polar = ops.clip(theta + 2 * ops.arctan(ops.exp(-eta)), SMALLEST_THETA, np.pi - SMALLEST_THETA)
    delta_eta = -ops.log(ops.tan(polar / 2)) - eta
    return delta_eta, ops.sin(polar) / ops.maximum(ops.abs(q_over_p), SMALLEST_CURVATURE)


@keras.saving.register_keras_serializable("kerastag")
class TrackQuantities(Float32Layer):
    """Five quantities of each track from its helix, which a network would need many jets to learn.

    They are the d0 significance with the lifetime sign, sign(d0·φ)·|d0|/σ, and without it, the z0 significance, log pT, and
    five times ΔR to the jet. Significances pass `symlog`. All are 0 for a track that does not exist.

    The layer is differentiable and takes raw features, so attacks and the threat model stay the same with it.

    Args:
        helix: Columns of all tracks by parameter of `kerastag.schema.Helix`.
        jet_eta: Column of the jet's pseudorapidity.
        absent: Variance of d0 that stands for an absent track.
    """

    def __init__(self, helix: Mapping[str, Sequence[int]], jet_eta: int, absent: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.helix = {name: tuple(columns) for name, columns in helix.items()}
        self.jet_eta = int(jet_eta)
        self.absent = float(absent)
        self._columns = np.concatenate([np.asarray(columns) for columns in self.helix.values()])

    @classmethod
    def from_schema(cls, schema: Schema, **options: Any) -> "TrackQuantities":
        """The layer for a schema with the helices of its tracks.

        Args:
            schema: Schema of the inputs.
            **options: Further arguments of the layer.
        """
        columns = {name: [schema.index(feature) for feature in features] for name, features in schema.helix_features.items()}
        absent = schema.features[columns["d0_variance"][0]].default
        return cls(columns, schema.index(schema.eta), absent, **options)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Quantities `(batch, 5 * tracks)`, each of all tracks before the next, of features `(batch, features)`."""
        ops = keras.ops
        raw = ops.split(ops.take(inputs, self._columns, axis=1), len(self.helix), axis=1)
        helix = dict(zip(self.helix, raw, strict=True))
        exists = ops.not_equal(helix["d0_variance"], self.absent)
        # Absent tracks become 1 first: a division by 0 would make gradients NaN even where its result is not used.
        helix = {name: ops.where(exists, values, ops.ones_like(values)) for name, values in helix.items()}
        eta = inputs[:, self.jet_eta : self.jet_eta + 1]
        delta_eta, pt = direction(helix["theta"], helix["q_over_p"], eta)
        d0 = symlog(helix["d0"] / ops.sqrt(ops.maximum(helix["d0_variance"], SMALLEST_D0_VARIANCE)))
        z0 = symlog(helix["z0"] / ops.sqrt(ops.maximum(helix["z0_variance"], SMALLEST_Z0_VARIANCE)))
        delta_r = ops.sqrt(helix["phi"] ** 2 + delta_eta**2 + SMALLEST_SQUARE)
        quantities = [d0 * ops.sign(helix["phi"]), ops.abs(d0), ops.abs(z0), ops.log(pt), 5 * delta_r]
        values = ops.concatenate(quantities, axis=1)
        return ops.where(ops.tile(exists, (1, 5)), values, ops.zeros_like(values))

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 5 * len(self.helix["d0"]))

    @override
    def get_config(self) -> dict[str, Any]:
        helix = {name: list(columns) for name, columns in self.helix.items()}
        return super().get_config() | {"helix": helix, "jet_eta": self.jet_eta, "absent": self.absent}
