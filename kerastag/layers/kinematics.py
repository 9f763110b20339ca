"""Directions and momenta of the objects of a group, out of whatever features the schema has."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag.layers.precision import Float32Layer
from kerastag.layers.track_quantities import LARGEST_ETA, direction
from kerastag.schema import Schema

# Beyond these no object of a jet lies, and squares of energies would overflow.
_LARGEST_MOMENTUM = 1e7  # GeV


@keras.saving.register_keras_serializable("kerastag")
class Kinematics(Float32Layer):
    """Where the objects of a group point, and their four-vectors.

    Directions are Δη and Δφ to the jet's axis; where only momenta are known they are η, cos φ and sin φ, whose distances are
    nearly the same. Momenta are px, py, pz and E; those of a helix, or of pT and a direction, are pT, Δη and Δφ of a massless
    particle.

    Args:
        columns: Columns of all slots: of `eta` and `phi`; of `pt`, or of `px`, `py`, `pz` and `energy`; or of a helix' `phi`,
            `theta` and `q_over_p`.
        jet_eta: Column of the jet's pseudorapidity, for a helix; None without.
    """

    def __init__(self, columns: Mapping[str, Sequence[int]], jet_eta: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.columns = {name: tuple(int(number) for number in numbers) for name, numbers in columns.items()}
        self.jet_eta = jet_eta

    @classmethod
    def of_group(cls, schema: Schema, group: str, **options: Any) -> "Kinematics":
        """The layer for a group with a helix or an entry in `Schema.kinematics`.

        Args:
            schema: Schema of the inputs.
            group: Name of the group.
            **options: Further arguments of the layer.
        """
        names = schema.kinematic_features(group)
        columns = {name: [schema.index(feature) for feature in features] for name, features in names.items()}
        return cls(columns, schema.index(schema.eta) if "theta" in names else None, **options)

    @override
    def call(self, features: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """`points` `(batch, slots, 2 or 3)`, and `vectors` `(batch, slots, 4 or 3)` where momenta are known.

        Args:
            features: Raw features `(batch, features)`.
            mask: 1 for objects and 0 for padded slots, `(batch, slots, 1)`, where all results are 0.
        """
        ops = keras.ops
        parts = {name: self._present(features, numbers, mask) for name, numbers in self.columns.items()}
        if self.jet_eta is not None:
            eta = features[:, self.jet_eta : self.jet_eta + 1]
            parts["eta"], parts["pt"] = direction(parts["theta"], parts["q_over_p"], eta)
        if "energy" in parts:
            vectors = [ops.clip(parts[name], -_LARGEST_MOMENTUM, _LARGEST_MOMENTUM) for name in ("px", "py", "pz", "energy")]
        elif "pt" in parts:
            pt, eta = ops.clip(parts["pt"], 0.0, _LARGEST_MOMENTUM), ops.clip(parts["eta"], -LARGEST_ETA, LARGEST_ETA)
            vectors = [pt, eta, parts["phi"]]
        else:
            vectors = []
        points = [parts["eta"], parts["phi"]] if "eta" in parts else _absolute(*vectors[:3])
        stacked = {"points": points, "vectors": vectors}
        return {name: ops.stack(values, axis=-1) * mask for name, values in stacked.items() if values}

    def _present(self, features: tf.Tensor, columns: tuple[int, ...], mask: tf.Tensor) -> tf.Tensor:
        """Columns `(batch, slots)`, 1 where there is no object, so that roots and quotients have gradients."""
        values = keras.ops.take(features, np.array(columns), axis=1)
        return keras.ops.where(mask[..., 0] > 0, values, keras.ops.ones_like(values))

    @override
    def compute_output_shape(self, features_shape: tuple[int | None, ...], *_: Any) -> dict[str, tuple[int | None, ...]]:
        slots = len(next(iter(self.columns.values())))
        of_direction = "eta" in self.columns or self.jet_eta is not None
        shapes: dict[str, tuple[int | None, ...]] = {"points": (features_shape[0], slots, 2 if of_direction else 3)}
        if self.jet_eta is not None or {"pt", "energy"} & self.columns.keys():
            shapes["vectors"] = (features_shape[0], slots, 4 if "energy" in self.columns else 3)
        return shapes

    @override
    def get_config(self) -> dict[str, Any]:
        columns = {name: list(numbers) for name, numbers in self.columns.items()}
        return super().get_config() | {"columns": columns, "jet_eta": self.jet_eta}


def _absolute(px: tf.Tensor, py: tf.Tensor, pz: tf.Tensor) -> list[tf.Tensor]:
    """η, cos φ and sin φ."""
    pt = keras.ops.sqrt(keras.ops.maximum(px**2 + py**2, 1e-12))
    ratio = pz / pt
    return [keras.ops.arcsinh(ratio), px / pt, py / pt]
