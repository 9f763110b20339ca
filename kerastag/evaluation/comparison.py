"""Several taggers side by side, clean and under several attacks, with intervals: the numbers behind every table."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastag import tables
from kerastag.attacks import Condition, attacked_logits
from kerastag.data import JetDataset
from kerastag.jets import Jets
from kerastag.metrics import HEADLINE, Bootstrap, RankedPair
from kerastag.request import EPSILON, REPLICATES
from kerastag.results import NotDefined, Resampled, columns, plain

# Sizes of the attack that figures show, where there are several.
_DRAWN_SIZES = (EPSILON, 5 * EPSILON)

Logits = dict[str, dict[Condition, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well a tagger does on some jets.

    Attributes:
        areas: Area under the ROC curve of each discriminator.
        cross_entropy: Mean cross-entropy.
    """

    areas: dict[str, Resampled | NotDefined]
    cross_entropy: float


def evaluate(y: np.ndarray, logits: np.ndarray, bootstrap: Bootstrap) -> Evaluation:
    """Evaluate a tagger by its logits.

    Args:
        y: True flavours, one-hot `(jets, classes)`.
        logits: `(jets, classes)`.
        bootstrap: Resamples, and the weights of the jets.
    """
    areas = {name: bootstrap.resample(RankedPair(y, logits, name).auc) for name in HEADLINE}
    return Evaluation(areas, float(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Taggers under the same conditions on the same jets and the same resamples, so that differences are paired.

    Attributes:
        evaluations: `evaluations[tagger][condition]`; the first condition is that of clean jets.
        logits: `logits[tagger][condition]`, `(jets, classes)`.
        nonfinite_gradients: Gradient cells that were not finite and were taken as 0, where there were any.
    """

    evaluations: dict[str, dict[Condition, Evaluation]]
    logits: Logits
    nonfinite_gradients: dict[Condition, int]

    def area(self, tagger: str, condition: Condition, discriminator: str = "BvL") -> Resampled | NotDefined:
        """Area of a discriminator."""
        return self.evaluations[tagger][condition].areas[discriminator]

    def loss(self, tagger: str, condition: Condition, discriminator: str = "BvL") -> Resampled | NotDefined:
        """Clean minus attacked area."""
        clean = next(iter(self.evaluations[tagger]))
        return self.area(tagger, clean, discriminator) - self.area(tagger, condition, discriminator)


def compare(
    taggers: Mapping[str, keras.Model],
    dataset: JetDataset,
    jets: Jets,
    conditions: Sequence[Condition],
    replicates: int = REPLICATES,
    progress: Callable[[list], Iterable] = iter,
) -> Comparison:
    """Evaluate each tagger under each condition.

    Args:
        taggers: By name.
        dataset: Data set of the jets, from which attacks take their scale.
        jets: Clean jets; resamples are of their events.
        conditions: The first must be that of clean jets.
        replicates: Number of bootstrap resamples.
        progress: Wraps the list of (tagger, condition) pairs, for a progress bar.

    Raises:
        UserError: if a condition does not fit the data set.
    """
    attacks = {condition: condition.build(dataset) for condition in conditions}
    bootstrap = Bootstrap(jets.events, replicates, weights=jets.weights)
    evaluations: dict[str, dict[Condition, Evaluation]] = {name: {} for name in taggers}
    logits: Logits = {name: {} for name in taggers}
    for name, condition in progress([(name, condition) for name in taggers for condition in conditions]):
        logits[name][condition] = attacked_logits(taggers[name], jets.features, jets.y, attacks[condition])
        evaluations[name][condition] = evaluate(jets.y, logits[name][condition], bootstrap)
    counts = {condition: int(attack.nonfinite_gradients) for condition, attack in attacks.items() if attack is not None}
    return Comparison(evaluations, logits, {condition: count for condition, count in counts.items() if count})


def to_draw(conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions that a ROC figure can show: clean jets and the first attack at the two sizes nearest to the usual ones."""
    attacked = [condition for condition in conditions if not condition.is_clean]
    if not attacked:
        return list(conditions)
    first = next((condition for condition in attacked if condition.is_attack), attacked[0])
    sizes = [condition for condition in attacked if dataclasses.replace(condition, epsilon=first.epsilon) == first]
    nearest = [min(sizes, key=lambda condition: abs(np.log(max(condition.epsilon, 1e-12) / usual))) for usual in _DRAWN_SIZES]
    return [conditions[0], *dict.fromkeys(sorted(nearest, key=lambda condition: condition.epsilon))]


def drawn_logits(comparison: Comparison, conditions: Sequence[Condition]) -> dict[str, dict[str, np.ndarray]]:
    """Logits by tagger and label, of the conditions that a ROC figure can show."""
    drawn = to_draw(conditions)
    return {
        tagger: {condition.label: of_tagger[condition] for condition in drawn}
        for tagger, of_tagger in comparison.logits.items()
    }


def to_json(comparison: Comparison) -> dict[str, Any]:
    """`results[tagger][label of the condition]`, plain data.

    Of each discriminator `value`, `low`, `high` (68 %) and `loss`, `loss_low`, `loss_high` (clean minus attacked, paired), or
    the reason why there is no area; and `cross_entropy`.
    """

    def cell(tagger: str, condition: Condition, discriminator: str) -> Any:
        area = comparison.area(tagger, condition, discriminator)
        if isinstance(area, NotDefined):
            return str(area)
        return plain(area) | columns({"loss": comparison.loss(tagger, condition, discriminator)})

    return {
        tagger: {
            condition.label: {"cross_entropy": evaluation.cross_entropy}
            | {name: cell(tagger, condition, name) for name in evaluation.areas}
            for condition, evaluation in of_tagger.items()
        }
        for tagger, of_tagger in comparison.evaluations.items()
    }


def markdown(comparison: Comparison) -> str:
    """A table with a row per tagger and condition; ± is half the 68 % interval of the area."""
    header = ["tagger", "jets", *(f"{name} AUC" for name in HEADLINE), "loss of BvL AUC", "cross-entropy"]
    rows = []
    for tagger, of_tagger in comparison.evaluations.items():
        for condition, evaluation in of_tagger.items():
            areas = [str(area.interval) for area in evaluation.areas.values()]
            loss = "" if condition.is_clean else str(comparison.loss(tagger, condition).interval)
            rows.append([tagger, condition.label, *areas, loss, f"{evaluation.cross_entropy:.4f}"])
    return tables.markdown(header, rows)
