"""A layer that adds what physicists look at first to the raw helix of each track."""

import keras
import numpy as np

from kerastag.layers.preprocessing import symlog
from kerastag.schema import Schema

# Angles between track and beam that a tracker cannot reach are moved to this, so that η stays finite.
_SMALLEST_THETA = 0.02
_SMALLEST_CURVATURE = 1e-3  # 1/GeV
# Variances of the best tracks, (5 µm)² and (30 µm)². An attack may move a variance below zero, where its root must not follow.
_SMALLEST_D0_VARIANCE, _SMALLEST_Z0_VARIANCE = 25e-6, 900e-6  # mm²


@keras.saving.register_keras_serializable("kerastag")
class TrackQuantities(keras.layers.Layer):
    """Five numbers per track from its helix: ratios and geometry that a network would need many jets to learn.

    These are the d0 significance with the lifetime sign, sign(d0·φ)·|d0|/σ, and without it, the z0 significance, log pT, and
    ΔR to the jet; significances pass `symlog`. All are 0 for a track that does not exist. The layer looks at raw features and
    is differentiable, so attacks see through it, and the threat model does not change.

    Args:
        helix: Column of each track for each parameter of `kerastag.schema.Helix`.
        jet_eta: Column of the jet's pseudorapidity.
        absent: Value of the variance of d0 that stands for an absent track.
    """

    def __init__(self, helix: dict[str, list[int]], jet_eta: int, absent: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.helix = {name: tuple(columns) for name, columns in helix.items()}
        self.jet_eta = int(jet_eta)
        self.absent = float(absent)
        self._columns = np.concatenate([np.asarray(columns) for columns in self.helix.values()])

    @classmethod
    def from_schema(cls, schema: Schema, **options) -> "TrackQuantities":
        """For a schema that names the helix of its tracks."""
        columns = {name: [schema.index(feature) for feature in features] for name, features in schema.helix_features.items()}
        absent = schema.features[columns["d0_variance"][0]].default
        return cls(columns, schema.index(schema.eta), absent, **options)

    def call(self, inputs):
        """Numbers `(batch, 5 * tracks)` of features `(batch, features)`."""
        ops = keras.ops
        raw = ops.split(ops.take(inputs, self._columns, axis=1), len(self.helix), axis=1)
        helix = dict(zip(self.helix, raw, strict=True))
        exists = ops.not_equal(helix["d0_variance"], self.absent)
        # Absent tracks become harmless numbers first: a division by zero would spoil gradients even where it is not used.
        helix = {name: ops.where(exists, values, ops.ones_like(values)) for name, values in helix.items()}
        eta = inputs[:, self.jet_eta : self.jet_eta + 1]
        theta = ops.clip(helix["theta"] + 2 * ops.arctan(ops.exp(-eta)), _SMALLEST_THETA, np.pi - _SMALLEST_THETA)
        delta_eta = -ops.log(ops.tan(theta / 2)) - eta
        pt = ops.sin(theta) / ops.maximum(ops.abs(helix["q_over_p"]), _SMALLEST_CURVATURE)
        d0 = symlog(helix["d0"] / ops.sqrt(ops.maximum(helix["d0_variance"], _SMALLEST_D0_VARIANCE)))
        z0 = symlog(helix["z0"] / ops.sqrt(ops.maximum(helix["z0_variance"], _SMALLEST_Z0_VARIANCE)))
        delta_r = ops.sqrt(helix["phi"] ** 2 + delta_eta**2 + 1e-6)
        numbers = ops.concatenate([d0 * ops.sign(helix["phi"]), ops.abs(d0), ops.abs(z0), ops.log(pt), 5 * delta_r], axis=1)
        return ops.where(ops.tile(exists, (1, 5)), numbers, ops.zeros_like(numbers))

    def compute_output_shape(self, input_shape):
        """`(batch, 5 * tracks)`."""
        return (*input_shape[:-1], 5 * len(self.helix["d0"]))

    def get_config(self):
        """Everything that `__init__` takes."""
        helix = {name: list(columns) for name, columns in self.helix.items()}
        return super().get_config() | {"helix": helix, "jet_eta": self.jet_eta, "absent": self.absent}
