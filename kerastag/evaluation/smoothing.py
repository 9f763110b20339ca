"""Randomised smoothing: the majority of a tagger's decisions under noise, which small changes of a jet cannot turn.

Cells at a default or special value have no noise. So what is certified is a change that ends on no such value; one that does is
seen by a tagger with less noise, which is another.

Reference: Cohen, Rosenfeld and Kolter, arXiv:1902.02918.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import stats
from tqdm.auto import tqdm

from kerastag import tables
from kerastag.attacks import ThreatModel, attacked_logits
from kerastag.errors import UserError
from kerastag.evaluation.working_points import MISTAG_RATES, threshold
from kerastag.jets import Jets
from kerastag.layers.memory import jets_at_once
from kerastag.layers.mending import beyond_ranges
from kerastag.metrics import Bootstrap, discriminant
from kerastag.results import NotDefined
from kerastag.schema import Separation
from kerastag.tables import Row

DRAWS = 1_000
# Probability that the radius of a jet is too large; half of it for each side, since draws decide which is looked at.
_WRONG = 1e-3
# Jets with their draws that go through a tagger at once.
_ROWS = 32_768


@dataclasses.dataclass(frozen=True)
class Smoothed:
    """What a smoothed tagger says of jets.

    Attributes:
        tagged: Whether most draws are tagged, bool `(jets,)`.
        radius: Length of Δx/scale up to which that stays so, whatever cells it is made of, as long as none ends on a default or
            special value, float64 `(jets,)`; 0 where the draws leave it open.
    """

    tagged: np.ndarray
    radius: np.ndarray

    def surely_tagged(self, radius: float) -> np.ndarray:
        """Whether a jet is tagged after any change up to a radius, bool `(jets,)`."""
        return self.tagged & (self.radius >= radius) & (self.radius > 0)

    def surely_rejected(self, radius: float) -> np.ndarray:
        """Whether a jet is not tagged after any change up to a radius, bool `(jets,)`."""
        return ~self.tagged & (self.radius >= radius) & (self.radius > 0)


def smooth(
    tagger: keras.Model,
    jets: Jets,
    threat_model: ThreatModel,
    separation: Separation,
    cuts: Sequence[float],
    noise: float,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[range], Iterable[int]] = iter,
) -> list[Smoothed]:
    """Smooth the decisions of a tagger at working points, with the same draws for all.

    Noise is normal, in the cells that the threat model lets move on their own: whole numbers, defaults and special values
    stay. It may leave valid ranges, where the tagger sees what is there. The share of tagged draws has an exact binomial
    interval (Clopper and Pearson), of which the near end sets the radius (equation 3 of the reference). Each holds with a
    probability of 99.9 % at least.

    Args:
        tagger: From raw features to logits.
        jets: The jets.
        threat_model: Says which cells move, and their scale; its ε and cap do not count.
        separation: The discriminator.
        cuts: Thresholds on the logarithm of its ratio, see `kerastag.metrics.discriminant`.
        noise: Standard deviation of the noise in units of the scale.
        draws: Number of draws for each jet.
        seed: Seed of the noise.
        progress: Wraps the first jets of the batches.

    Raises:
        UserError: if the scale depends on the jet or its flavour, so that noise would.
    """
    check_scale(threat_model)
    threat_model = ThreatModel.from_config(threat_model.get_config() | {"relative_cap": None})
    at_once = max(1, min(_ROWS // draws, jets_at_once(tagger)))
    over, against = ([(column, np.log(weight)) for column, weight in side] for side in (separation.over, separation.against))

    def log_sum(logits: tf.Tensor, side: list[tuple[int, float]]) -> tf.Tensor:
        columns, logs = zip(*side, strict=True)
        return tf.reduce_logsumexp(tf.gather(logits, columns, axis=1) + np.array(logs, np.float32), axis=1)

    @tf.function(autograph=False)
    def count(x: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        box = threat_model.box(x)
        reach = noise * tf.where(box.budget > 0, tf.broadcast_to(box.unit, tf.shape(x)), 0.0)
        normal = tf.random.stateless_normal((x.shape[0], draws, x.shape[1]), tf.stack([seed, number]))
        moved = tf.reshape(x[:, None] + normal * reach[:, None], (-1, x.shape[1]))
        logits = tagger(moved, training=False)
        values = tf.reshape(log_sum(logits, over) - log_sum(logits, against), (-1, draws, 1))
        return tf.reduce_sum(tf.cast(values > np.array(cuts, np.float32), tf.int32), axis=1)

    counts = [np.zeros((0, len(cuts)), np.int32)]
    with beyond_ranges():
        for start in progress(range(0, len(jets), at_once)):
            rows = np.arange(start, start + at_once) % len(jets)  # the last batch is filled up
            counts.append(count(jets.features[rows], tf.constant(start)).numpy())
    return [_smoothed(tagged, draws, noise) for tagged in np.concatenate(counts)[: len(jets)].T]


def _smoothed(tagged: np.ndarray, draws: int, noise: float) -> Smoothed:
    """What the number of draws that are tagged, `(jets,)`, says."""
    most = np.maximum(tagged, draws - tagged)
    least = stats.beta.ppf(_WRONG / 2, most, draws - most + 1)
    return Smoothed(2 * tagged > draws, noise * np.maximum(stats.norm.ppf(least), 0.0))


def check_scale(threat_model: ThreatModel) -> None:
    """Raise a `UserError` if the scale depends on the jet or its flavour, so that noise would."""
    if threat_model.proportional is not None or threat_model.by_flavour is not None:
        raise UserError("Noise needs a scale that is the same for all jets; leave --budget out.")


def smoothed_rows(
    models: Mapping[str, keras.Model],
    jets: Jets,
    threat_model: ThreatModel,
    separation: Separation,
    noise: float,
    bootstrap: Bootstrap,
) -> list[dict[str, Any]]:
    """Efficiencies and mistag rates of smoothed taggers, at thresholds that 10 % and 1 % of the clean jets to reject pass.

    Args:
        models: Taggers by name.
        jets: The jets.
        threat_model: As of `smooth`.
        separation: The discriminator.
        noise: As of `smooth`.
        bootstrap: Resamples, and the weights of the jets.

    Returns:
        A row for each tagger, `working_point` (the mistag rate) and `radius`: the share of the jets of each class that are
        `tagged` at least, of those to find, or at most, of those to reject, whatever change of that length is made.
    """
    found, rejected = (np.isin(jets.label, columns) for columns in separation.columns)
    rows = []
    for name, model in models.items():
        clean = discriminant(attacked_logits(model, jets.features, jets.y, None), separation)
        cuts = [threshold(clean[rejected], bootstrap.weights[rejected], rate) for rate in MISTAG_RATES]
        progress = functools.partial(tqdm, desc=f"Smoothing {name}", disable=None)
        at_cuts = smooth(model, jets, threat_model, separation, cuts, noise, progress=progress)
        radii = (0.0, noise / 2, noise, 2 * noise)
        for (rate, smoothed), radius in itertools.product(zip(MISTAG_RATES, at_cuts, strict=True), radii):
            passed = np.where(found, smoothed.surely_tagged(radius), ~smoothed.surely_rejected(radius))
            sides = zip(separation.sides, (found, rejected), strict=True)
            shares = {side: bootstrap.resample(_share(passed, of_side)).interval for side, of_side in sides}
            rows.append({"tagger": name, "working_point": rate, "radius": radius, "tagged": shares})
    return rows


def _share(passed: np.ndarray, of_side: np.ndarray) -> Callable[[np.ndarray], float | NotDefined]:
    """Weighted share of the jets of a side that pass."""

    def share(weights: np.ndarray) -> float | NotDefined:
        total = weights[of_side].sum()
        return float(weights[of_side & passed].sum() / total) if total > 0 else NotDefined("no such jets")

    return share


def markdown(rows: Sequence[Row], separation: Separation, unit: str = "σ") -> str:
    """A line per tagger, working point and radius, in this unit; ± is half the 68 % interval."""
    (over, against), tag = separation.sides, separation.sides[0]
    header = ["tagger", "clean mistag rate", f"length of Δx/{unit}"]
    header += [f"{over} jets {tag}-tagged, at least", f"{against} jets {tag}-tagged, at most"]
    lines = [
        [row["tagger"], f"{row['working_point']:.0%}", f"{row['radius']:g}", *map(str, row["tagged"].values())] for row in rows
    ]
    return tables.markdown(header, lines)
