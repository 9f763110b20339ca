"""What networks of JetClass are fed with by their authors, made of raw features of the schema `jetclass`.

Reference: Qu, Li and Qian, arXiv:2202.03772; order and scales from github.com/jet-universe/particle_transformer.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from typing_extensions import override

from kerastag.errors import UserError
from kerastag.layers.precision import Float32Layer
from kerastag.layers.track_quantities import LARGEST_ETA
from kerastag.schema import Schema

# What is subtracted, and by what the difference is multiplied; the result is clipped.
_SCALES = {
    "ln_pt": (1.7, 0.7),
    "ln_energy": (2.0, 0.7),
    "ln_pt_share": (-4.7, 0.7),
    "ln_energy_share": (-4.7, 0.7),
    "delta_r": (0.2, 4.0),
}
_LARGEST = 5.0
_IDENTITY = ("charge", "charged_hadron", "neutral_hadron", "photon", "electron", "muon")
_DISPLACEMENT = ("d0", "d0_error", "dz", "dz_error")
_DIRECTION = ("delta_eta", "delta_phi")
# The networks that were published see kinematics, identity as well, or displacement as well.
CHANNELS = {
    7: (*_SCALES, *_DIRECTION),
    13: (*_SCALES, *_IDENTITY, *_DIRECTION),
    17: (*_SCALES, *_IDENTITY, *_DISPLACEMENT, *_DIRECTION),
}
_MOMENTUM = (*_DIRECTION, "pt", "energy")
_OF_JET = ("pt", "eta", "energy")
# Logarithms and roots of less have no gradient.
_SMALLEST = 1e-6


@keras.saving.register_keras_serializable("kerastag")
class JetClassInputs(Float32Layer):
    """The inputs of a published network of JetClass: 7, 13 or 17 features of each particle, directions and four-vectors.

    The files give Δη with the sign of the jet's η, and the schema has no φ of the jet. So four-vectors are those of the jet
    turned about the beam to φ = 0, and mirrored to η > 0. Pair features of the Particle Transformer are the same in each.

    Cells at their default count as 0: a particle without a track has no displacement.

    Args:
        columns: By name of a variable, such as "pt", its columns in all slots.
        jet: Columns of the jet's `pt`, `eta` and `energy`.
        default: Defaults of all features, `(features,)`.
        channels: 7, 13 or 17.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[int]],
        jet: Mapping[str, int],
        default: ArrayLike,
        channels: int = 17,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.columns = {name: tuple(int(number) for number in numbers) for name, numbers in columns.items()}
        self.jet = {name: int(number) for name, number in jet.items()}
        self.default = np.asarray(default, np.float32)
        self.channels = channels

    @classmethod
    def from_schema(cls, schema: Schema, channels: int = 17, **options: Any) -> "JetClassInputs":
        """The layer for a schema with the names of `jetclass`.

        Args:
            schema: Schema of the inputs.
            channels: 7, 13 or 17.
            **options: Further arguments of the layer.

        Raises:
            UserError: if no published network has as many channels, or the schema lacks a feature.
        """
        if channels not in CHANNELS:
            raise UserError(f"Networks of JetClass take 7, 13 or 17 features of a particle, not {channels}.")
        slots = next((group.slots for group in schema.groups if group.name == "particle"), None) or 0
        wanted = dict.fromkeys((*_MOMENTUM, *(name for name in CHANNELS[channels] if name not in _SCALES)))
        names = {name: [f"particle_{slot}_{name}" for slot in range(slots)] for name in wanted}
        missing = [name for name in (*_OF_JET, *itertools.chain.from_iterable(names.values())) if name not in schema.names]
        if missing or not slots:
            lacked = f"'{missing[0]}'" if missing else "slots of a group 'particle'"
            raise UserError(f"The schema {schema.name} has no {lacked}, which networks of JetClass need; take 'jetclass'.")
        columns = {name: [schema.index(feature) for feature in features] for name, features in names.items()}
        return cls(columns, {name: schema.index(name) for name in _OF_JET}, schema.defaults, channels, **options)

    @override
    def call(self, features: tf.Tensor, present: tf.Tensor) -> dict[str, tf.Tensor]:
        """`features` `(batch, slots, channels)`, `mask`, `points` (Δη, Δφ) and `vectors` (px, py, pz, E in GeV), alike.

        Args:
            features: Raw features `(batch, features)`.
            present: 1 for particles and 0 for padded slots, `(batch, slots)`, where all results are 0.
        """
        ops = keras.ops
        raw = ops.where(ops.equal(features, self.default), 0.0, features)
        parts = {name: ops.take(raw, np.array(numbers), axis=1) for name, numbers in self.columns.items()}
        jet = {name: raw[:, number : number + 1] for name, number in self.jet.items()}
        known = parts | self._scaled(parts, jet)
        for name in set(_DISPLACEMENT) & known.keys():
            known[name] = ops.clip(known[name], 0.0, 1.0) if name.endswith("error") else ops.tanh(known[name])
        mask = present[..., None]
        stacked = {
            "features": [known[name] for name in CHANNELS[self.channels]],
            "points": [parts["delta_eta"], parts["delta_phi"]],
            "vectors": self._vectors(parts, jet["eta"]),
        }
        return {"mask": mask} | {name: ops.stack(values, axis=-1) * mask for name, values in stacked.items()}

    def _scaled(self, parts: Mapping[str, tf.Tensor], jet: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The features that are scaled and clipped, `(batch, slots)` each."""
        ops = keras.ops
        ln_pt, ln_energy, ln_jet_pt, ln_jet_energy = (
            ops.log(ops.maximum(of[name], _SMALLEST)) for of in (parts, jet) for name in ("pt", "energy")
        )
        square = ops.square(parts["delta_eta"]) + ops.square(parts["delta_phi"])
        values = {
            "ln_pt": ln_pt,
            "ln_energy": ln_energy,
            "ln_pt_share": ln_pt - ln_jet_pt,
            "ln_energy_share": ln_energy - ln_jet_energy,
            "delta_r": ops.sqrt(ops.maximum(square, _SMALLEST**2)),
        }
        return {
            name: ops.clip((values[name] - center) * factor, -_LARGEST, _LARGEST) for name, (center, factor) in _SCALES.items()
        }

    def _vectors(self, parts: Mapping[str, tf.Tensor], jet_eta: tf.Tensor) -> list[tf.Tensor]:
        """px, py, pz and E, `(batch, slots)` each."""
        ops = keras.ops
        eta = ops.clip(ops.abs(jet_eta) + parts["delta_eta"], -LARGEST_ETA, LARGEST_ETA)
        pt, phi = parts["pt"], parts["delta_phi"]
        return [pt * ops.cos(phi), pt * ops.sin(phi), pt * ops.sinh(eta), parts["energy"]]

    @override
    def compute_output_shape(
        self, features_shape: tuple[int | None, ...], present_shape: tuple[int | None, ...]
    ) -> dict[str, tuple[int | None, ...]]:
        widths = {"mask": 1, "features": self.channels, "points": 2, "vectors": 4}
        return {name: (*present_shape, width) for name, width in widths.items()}

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "columns": {name: list(numbers) for name, numbers in self.columns.items()},
            "jet": dict(self.jet),
            "default": self.default.astype(np.float64).tolist(),
            "channels": self.channels,
        }
