"""Features of the jet that are functions of all its tracks or vertices: where those in the slots give their value, they follow.

A feature that follows moves by the ratio of the function at the attacked and at the clean jet. It has a function's value, not
a measurement of its own, so ε and a cap limit what it is made of, not the feature itself. Its valid range holds.

Functions give logarithms: a jet probability is often too small for a number of 32 bits. Tensors are `(slots, batch)`.
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from kerastag.schema import Schema, Summary
from kerastag.schema.jet_flavor import JET_PROBABILITY_CORES, JET_PROBABILITY_TAILS

# Relative rounding of stored numbers, within which two slots hold the same object.
_ROUNDING = 2e-4


def jet_probability(counts: tf.Tensor, d0: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """Log P(n, Π p): that n prompt tracks are as far out as these, `(batch,)`.

    Σ_{k<n} y^k/k!·exp(-y) with y = -log Π p, where p is a track's probability.
    Reference: ALEPH, Phys. Lett. B 313 (1993) 535; parametrisation of arXiv:1607.08633.
    """
    significance = tf.abs(d0) / tf.sqrt(tf.where(counts, variance, 1.0))
    y = -tf.reduce_sum(tf.where(counts, _log(_track_probability(significance)), 0.0), axis=0)
    tracks = tf.reduce_sum(tf.cast(counts, y.dtype), axis=0)
    series = tf.zeros_like(y)
    for k in reversed(range(counts.shape[0])):  # Horner's rule
        series = tf.where(tracks > k, 1 + series * y / (k + 1), 0.0)
    return _log(series) - y


def _track_probability(significance: tf.Tensor) -> tf.Tensor:
    cores = [weight * tf.math.erfc(significance / (math.sqrt(2) * width)) for weight, width in JET_PROBABILITY_CORES]
    tails = [tf.exp(-a - b * significance) / b for a, b in JET_PROBABILITY_TAILS]
    return math.sqrt(math.pi) / 2 * tf.add_n(cores) + tf.add_n(tails)


def total(counts: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Log Σ v, `(batch,)`."""
    return _log(_sum(counts, values))


def vertex_significance(counts: tf.Tensor, displacement: tf.Tensor, significance: tf.Tensor) -> tf.Tensor:
    """log(10·Σ L/σ² / √Σ 1/σ²) with σ = L/significance, `(batch,)`; the 10 is from lengths in mm and variances in cm²."""
    precision = (significance / tf.where(counts, displacement, 1.0)) ** 2
    return math.log(10) + _log(_sum(counts, displacement * precision)) - _log(_sum(counts, precision)) / 2


def mean_delta_r(counts: tf.Tensor, tracks: tf.Tensor, delta_eta: tf.Tensor, delta_phi: tf.Tensor) -> tf.Tensor:
    """Log of ΔR = √(Δη² + Δφ²), averaged with numbers of tracks as weights, `(batch,)`."""
    square = delta_eta**2 + delta_phi**2
    away = counts & (square > 0)  # a root of 0 has no gradient
    return _log(_sum(away, tracks * tf.sqrt(tf.where(away, square, 1.0)))) - _log(_sum(counts, tracks))


FUNCTIONS: dict[str, Callable[..., tf.Tensor]] = {
    function.__name__: function for function in (jet_probability, total, vertex_significance, mean_delta_r)
}


def _sum(counts: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.where(counts, values, 0.0), axis=0)


def _log(values: tf.Tensor) -> tf.Tensor:
    """The logarithm; 0 where there is none, so that no gradient is NaN."""
    return tf.math.log(tf.where(values > 0, values, 1.0))


@dataclasses.dataclass(frozen=True)
class SummaryLink:
    """A summary by columns.

    Attributes:
        follower: Column that follows.
        function: Name in `FUNCTIONS`.
        sources: Columns `(arguments, slots)`.
        present: Columns `(slots,)` that tell whether a slot holds an object.
        distinct: Whether slots where `present` is the same are one object.
        tolerance: Largest relative difference between the feature and the function.
    """

    follower: int
    function: str
    sources: tuple[tuple[int, ...], ...]
    present: tuple[int, ...]
    distinct: bool
    tolerance: float

    @classmethod
    def from_config(cls, config: dict) -> "SummaryLink":
        """A link of plain data, also after JSON has made lists of tuples."""
        sources = tuple(tuple(columns) for columns in config["sources"])
        return cls(**{**config, "sources": sources, "present": tuple(config["present"])})

    @property
    def objects(self) -> tuple[tuple[int, ...], bool]:
        """What tells the objects; summaries of the same objects count the same slots."""
        return self.present, self.distinct

    def counts(self, x: tf.Tensor, live: tf.Tensor) -> tf.Tensor:
        """Which slots hold an object that no earlier slot holds, bool `(slots, batch)`; arguments `(features, batch)`."""
        values, counts = tf.gather(x, self.present), tf.gather(live, self.present)
        if not self.distinct:
            return counts
        rows = [counts[0]]
        for slot in range(1, len(self.present)):
            same = tf.abs(values[:slot] - values[slot]) <= _ROUNDING * tf.abs(values[slot])
            rows.append(counts[slot] & ~tf.reduce_any(counts[:slot] & same, axis=0))
        return tf.stack(rows)

    def log(self, counts: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Logarithm of the function `(batch,)` of features `(features, batch)`."""
        return FUNCTIONS[self.function](counts, *(tf.gather(x, columns) for columns in self.sources))

    def holds(self, counts: tf.Tensor, log: tf.Tensor, x: tf.Tensor, live: tf.Tensor) -> tf.Tensor:
        """Whether the objects in the slots give the value of the feature, bool `(batch,)`; `log` is of these clean features."""
        value = x[self.follower]
        close = tf.abs(log - _log(value)) <= self.tolerance
        return tf.reduce_any(counts, axis=0) & live[self.follower] & (value > 0) & close


def summary_links(schema: Schema) -> tuple[SummaryLink, ...]:
    """The summaries of a schema, by column."""
    return tuple(_link(schema, summary) for summary in schema.summaries)


def _link(schema: Schema, summary: Summary) -> SummaryLink:
    slots = next(g.slots for g in schema.groups if summary.present in (v.name for v in g.variables)) or 1

    def of_slots(name: str) -> tuple[int, ...]:
        return tuple(schema.index(name.format(slot=slot)) for slot in range(slots))

    return SummaryLink(
        schema.index(summary.feature),
        summary.function,
        tuple(of_slots(name) for name in summary.sources),
        of_slots(summary.present),
        summary.distinct,
        summary.tolerance,
    )
