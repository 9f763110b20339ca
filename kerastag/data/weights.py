"""Weights of jets that give all flavours the same (pT, η) spectrum and the same total, always from clean values.

The target of arXiv:2203.13890: the average of the flavours' normalised spectra, and class factors N/(classes·N_f).
"""

import numpy as np
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.schema import Schema

_ETA_EDGES = np.linspace(-2.5, 2.5, 51)
BINNINGS = {
    "uniform": np.linspace(20.0, 900.0, 51),
    "variable": np.concatenate(
        [
            np.linspace(20.0, 100.0, 17),
            np.linspace(110.0, 150.0, 5),
            np.linspace(200.0, 500.0, 7),
            np.linspace(600.0, 900.0, 4),
        ]
    ),
}


class KinematicWeights:
    """Weights by a table of (flavour, pT, η) bins.

    Jets beyond the outermost edges belong to the outermost bins. A bin without jets of a flavour has the flavour's class
    factor, so every weight is finite.

    Args:
        schema: Schema with the columns of pT and η.
        binning: "uniform" (50 x 50) or "variable" (32 pT bins x 50).

    Raises:
        UserError: if there is no such binning, or pT and η are not among the inputs.
    """

    def __init__(self, schema: Schema, binning: str):
        if binning not in BINNINGS:
            raise UserError(f"There is no weight binning '{binning}'; choose one of none, generator, {', '.join(BINNINGS)}.")
        if not (schema.pt and schema.eta):
            raise UserError(f"{schema.name} has no pT and η among its inputs, so jets cannot be weighted by them.")
        self._pt, self._eta = schema.index(schema.pt), schema.index(schema.eta)
        self._pt_edges = BINNINGS[binning]
        self._counts = np.zeros((len(schema.classes), len(self._pt_edges) - 1, len(_ETA_EDGES) - 1))
        self._table: np.ndarray | None = None

    def update(self, features: np.ndarray, label: np.ndarray) -> None:
        """Count training jets.

        Args:
            features: float32 `(jets, features)`, clean.
            label: int `(jets,)`.
        """
        import hist

        pt = _inside(features[:, self._pt], self._pt_edges)
        eta = _inside(features[:, self._eta], _ETA_EDGES)
        histogram: hist.Hist = hist.Hist(
            hist.axis.Integer(0, len(self._counts), flow=False),
            hist.axis.Variable(self._pt_edges, flow=False),
            hist.axis.Variable(_ETA_EDGES, flow=False),
        )
        self._counts += histogram.fill(label, pt, eta).values()

    def normalise(self) -> None:
        """Calculate the table from the counts; the mean weight of the counted jets is then 1."""
        total = self._counts.sum(axis=(1, 2), keepdims=True)
        shape = self._counts / np.maximum(total, 1)
        target = shape.mean(axis=0)
        ratio = np.divide(target, shape, out=np.ones_like(shape), where=shape > 0)
        class_factor = self._counts.sum() / (len(self._counts) * np.maximum(total, 1))
        table = ratio * class_factor
        self._table = table / ((table * self._counts).sum() / self._counts.sum())

    def __call__(self, features: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        """Weights, float32 `(jets,)`; may be called inside `tf.data`.

        Args:
            features: `(jets, features)`.
            label: `(jets,)`.
        """
        pt = _bin(features[:, self._pt], self._pt_edges)
        eta = _bin(features[:, self._eta], _ETA_EDGES)
        return tf.gather_nd(tf.constant(self._table, tf.float32), tf.stack([tf.cast(label, tf.int32), pt, eta], axis=1))


def _inside(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Values in float64, those beyond the outermost edges moved into the outermost bins."""
    return np.clip(values, edges[0], np.nextafter(edges[-1], 0)).astype(np.float64)


def _bin(values: tf.Tensor, edges: np.ndarray) -> tf.Tensor:
    """Number of the bin of each value, that of an outermost bin for values beyond the edges."""
    position = tf.searchsorted(tf.constant(edges, tf.float64), tf.cast(values, tf.float64), side="right") - 1
    return tf.clip_by_value(position, 0, len(edges) - 2)
