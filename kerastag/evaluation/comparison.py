"""Several taggers side by side, clean and under several attacks, with intervals: the numbers behind every table."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from kerastag import tables
from kerastag.attacks import Attack, ThreatModel, named
from kerastag.attacks.samples import attacked_logits
from kerastag.jets import Jets
from kerastag.metrics import HEADLINE, Bootstrap, Interval, NotDefined, RankedPair
from kerastag.schema import Schema

RELATIVE_CAP = 0.2


@dataclasses.dataclass(frozen=True)
class Condition:
    """Under what a tagger is evaluated: a name for tables and the attack, None for clean jets."""

    name: str
    attack: Attack | None


def conditions(
    schema: Schema,
    scale: np.ndarray,
    epsilons: Iterable[float],
    caps: Iterable[float | None] = (None, RELATIVE_CAP),
    attacks: Sequence[str] = ("fgsm",),
    only: Sequence[str] = (),
) -> list[Condition]:
    """Clean, and each attack for each cap and ε.

    Args:
        schema: Says which cells are frozen.
        scale: Unit of ε, `(features,)`.
        epsilons: Sizes of the box.
        caps: Relative caps; None is none.
        attacks: Names that `kerastag.attacks.named` knows.
        only: Names or patterns of the features that may move; none for all.

    Raises:
        UserError: if there is no such attack, or an ε or cap is out of range.
    """
    listed = [Condition("clean", None)]
    for cap in caps:
        for epsilon in epsilons:
            threat_model = ThreatModel.from_schema(schema, scale, epsilon, cap, only=only)
            suffix = f" ε={epsilon:g}" + (f" cap {cap:.0%}" if cap is not None else "")
            listed += [Condition(name.upper() + suffix, named(name, threat_model)) for name in attacks]
    return listed


def compare(
    taggers: dict[str, keras.Model],
    split: Jets,
    y: np.ndarray,
    under: list[Condition],
    replicates: int = 200,
    progress: Callable[[list], Iterable] = iter,
) -> tuple[dict, dict]:
    """Evaluate each tagger under each condition on the same jets and the same bootstrap resamples.

    Args:
        taggers: By name.
        split: Clean jets; resamples are of its events.
        y: True flavours, one-hot `(jets, classes)`.
        under: The conditions; the first must be clean.
        replicates: Number of resamples.
        progress: Wraps the list of (tagger, condition) pairs, for a progress bar.

    Returns:
        Results as `results[tagger][condition]`, plain data for JSON: per discriminator `value`, `low`, `high` (68 %) and
        `loss`, `loss_low`, `loss_high` (clean minus attacked, paired), or the reason why it is not defined; and
        `cross_entropy`. And the logits, `logits[tagger][condition]`, `(jets, classes)`.
    """
    bootstrap = Bootstrap(split.events, replicates, weights=split.weights)
    results: dict = {name: {} for name in taggers}
    logits: dict = {name: {} for name in taggers}
    clean: dict = {}
    for name, condition in progress([(name, condition) for name in taggers for condition in under]):
        scores = attacked_logits(taggers[name], split.features, y, condition.attack)
        logits[name][condition.name] = scores
        row: dict = {"cross_entropy": _mean_cross_entropy(y, scores)}
        for discriminator in HEADLINE:
            pair = RankedPair(y, scores, discriminator)
            value = pair.auc(split.weights)
            if isinstance(value, NotDefined):
                row[discriminator] = str(value)
                continue
            areas = bootstrap.aucs(pair)
            if condition is under[0]:
                clean[name, discriminator] = value, areas
            reference, reference_areas = clean[name, discriminator]
            loss = Interval.of(reference - value, reference_areas - areas)
            row[discriminator] = dataclasses.asdict(Interval.of(value, areas)) | loss.named("loss")
        results[name][condition.name] = row
    return results, logits


def _mean_cross_entropy(y: np.ndarray, logits: np.ndarray) -> float:
    return float(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits)))


def markdown(results: dict) -> str:
    """A table with a row per tagger and condition; ± is half the 68 % interval of the area."""
    header = ["tagger", "jets", *(f"{name} AUC" for name in HEADLINE), "loss of BvL AUC", "cross-entropy"]
    rows = []
    for tagger, by_condition in results.items():
        for condition, row in by_condition.items():
            cells = [_with_error(row[name], "") for name in HEADLINE]
            loss = "" if condition == "clean" else _with_error(row["BvL"], "loss_", "loss")
            rows.append([tagger, condition, *cells, loss, f"{row['cross_entropy']:.4f}"])
    return tables.markdown(header, rows)


def _with_error(cell: dict | str, prefix: str, value: str = "value") -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell[value]:.4f} ± {(cell[f'{prefix}high'] - cell[f'{prefix}low']) / 2:.4f}"
