"""Several taggers side by side, clean and under several attacks, with intervals: the numbers behind every table."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerastag import tables
from kerastag.attacks import Attack, Condition, attacked_logits
from kerastag.data import JetDataset
from kerastag.evaluation.stored_scores import ScoredJets
from kerastag.evaluation.working_points import MISTAG_RATE, working_points
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap, RankedPair, mean_cross_entropy
from kerastag.request import EPSILON, REPLICATES
from kerastag.results import Interval, NotDefined, Resampled, columns, plain
from kerastag.schema import Schema, Separation

# Sizes of the attack that figures show, where there are several.
_DRAWN_SIZES = (EPSILON, 5 * EPSILON)

# Logits `(jets, classes)` for each column of a table.
ByDiscriminator = Mapping[str, np.ndarray]
# By tagger and condition.
Logits = dict[str, dict[Condition, ByDiscriminator]]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well a tagger does on some jets.

    Attributes:
        areas: Area under the ROC curve of each discriminator.
        alone: Area of the main discriminator if jets of one of its sides alone are attacked, by side, such as b and light.
        tagged: Share of the jets of each class that are tagged by it, at the threshold that `MISTAG_RATE` of the clean jets to
            reject pass.
        cross_entropy: Mean cross-entropy; not defined of stored scores that are no probabilities of all classes.
    """

    areas: dict[str, Resampled | NotDefined]
    alone: dict[str, Resampled | NotDefined]
    tagged: dict[str, Interval | NotDefined]
    cross_entropy: float | NotDefined


def evaluate(y: np.ndarray, logits: ByDiscriminator, clean: np.ndarray, bootstrap: Bootstrap, schema: Schema) -> Evaluation:
    """Evaluate a tagger by its logits.

    Args:
        y: True flavours, one-hot `(jets, classes)`.
        logits: `(jets, classes)` for each discriminator of `schema.headline`.
        clean: Logits of the clean jets `(jets, classes)`, which set the threshold.
        bootstrap: Resamples, and the weights of the jets.
        schema: Schema of the classes.
    """
    areas = {one.name: bootstrap.area(RankedPair(y, logits[one.name], one)) for one in schema.in_tables}
    main, label = schema.main, y.argmax(axis=1)
    attacked = logits[main.name]
    alone: dict[str, Resampled | NotDefined] = {}
    for side, columns_of_side in zip(main.sides, main.columns, strict=True):
        mixed = np.where(np.isin(label, columns_of_side)[:, None], attacked, clean)
        same = attacked is clean
        alone[side] = areas[main.name] if same else bootstrap.area(RankedPair(y, mixed, main))
    tagged = tagged_shares(label, attacked, clean, bootstrap, main)
    return Evaluation(areas, alone, tagged, mean_cross_entropy(y, attacked, bootstrap.weights))


def evaluate_stored(scored: ScoredJets, jets: Jets, bootstrap: Bootstrap, schema: Schema) -> Evaluation:
    """Evaluate stored scores on the jets that have them; clean, since nothing else can be had.

    Args:
        scored: The scores.
        jets: All jets.
        bootstrap: Resamples of all jets, and their weights.
        schema: Schema of the classes.
    """
    rows, main = scored.counted, schema.main
    label, resamples = jets.label[rows], bootstrap.of(rows)
    areas: dict[str, Resampled | NotDefined] = dict.fromkeys(schema.headline, NotDefined("no stored score"))
    for name, logits in scored.logits.items():
        areas[name] = resamples.area(RankedPair(label, logits[rows], schema.separations[name]))
    tagged: dict[str, Interval | NotDefined] = dict.fromkeys(schema.class_names, NotDefined("no stored score"))
    if main.name in scored.logits:
        tagged = tagged_shares(label, scored.logits[main.name][rows], scored.logits[main.name][rows], resamples, main)
    cross_entropy: float | NotDefined = NotDefined("no probabilities")
    if scored.complete:
        cross_entropy = mean_cross_entropy(jets.y[rows], scored.logits[main.name][rows], resamples.weights)
    return Evaluation(areas, dict.fromkeys(main.sides, areas[main.name]), tagged, cross_entropy)


def tagged_shares(
    label: np.ndarray,
    logits: np.ndarray,
    clean: np.ndarray,
    bootstrap: Bootstrap,
    main: Separation,
    mistag_rate: float = MISTAG_RATE,
) -> dict[str, Interval | NotDefined]:
    """Share of each class above the threshold that a share of the clean jets to reject pass.

    Args:
        label: Class indices, `(jets,)`.
        logits: `(jets, classes)`, or values of the discriminator `(jets,)`.
        clean: The same of clean jets.
        bootstrap: Resamples, and the weights of the jets.
        main: The discriminator.
        mistag_rate: The share that sets the threshold.
    """
    if not np.isin(label, main.columns[1]).any():
        return dict.fromkeys(main.class_names, NotDefined(f"no {main.sides[1]} jets"))
    rows = working_points(label, {"clean": clean, "attacked": logits}, {}, bootstrap, main, (mistag_rate,))
    return {row["flavour"]: row["rate"] for row in rows if row["condition"] == "attacked"}


def logits_by_discriminator(
    model: keras.Model, jets: Jets, condition: Condition, attacks: Mapping[Condition, Attack | None], names: Sequence[str]
) -> ByDiscriminator:
    """Attacked logits `(jets, classes)` for each discriminator: the same, unless each is attacked on its own margin.

    Args:
        model: The tagger.
        jets: Clean jets.
        condition: What the jets go through.
        attacks: The attack of each aim of the condition, see `build_attacks`.
        names: Names of the discriminators.
    """
    by_aim = {aim: attacked_logits(model, jets.features, jets.y, attacks[aim]) for aim in aims(condition, names)}
    return {name: by_aim[condition.aimed_at(name)] for name in names}


def aims(condition: Condition, names: Sequence[str]) -> list[Condition]:
    """The attacks that the columns of a table, one for each discriminator, need under a condition."""
    return list(dict.fromkeys(condition.aimed_at(name) for name in names))


def build_attacks(conditions: Iterable[Condition], dataset: JetDataset) -> dict[Condition, Attack | None]:
    """The attack of each aim of some conditions.

    Raises:
        UserError: if a condition does not fit the data set.
    """
    return {aim: aim.build(dataset) for condition in conditions for aim in aims(condition, dataset.schema.headline)}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Taggers under the same conditions on the same jets and the same resamples, so that differences are paired.

    Attributes:
        evaluations: `evaluations[tagger][condition]`; the first condition is that of clean jets.
        logits: `logits[tagger][condition][discriminator]`, `(jets, classes)`; of stored scores clean jets alone.
        nonfinite_gradients: Gradient cells that were not finite and were taken as 0, where there were any.
        schema: Schema of the classes of the jets.
        counted: Jets that count for a tagger, bool `(jets,)`, where not all do.
    """

    evaluations: dict[str, dict[Condition, Evaluation]]
    logits: Logits
    nonfinite_gradients: dict[Condition, int]
    schema: Schema
    counted: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def area(self, tagger: str, condition: Condition, discriminator: str | None = None) -> Resampled | NotDefined:
        """Area of a discriminator, by default the main one."""
        return self.evaluations[tagger][condition].areas[discriminator or self.schema.main.name]

    def loss(self, tagger: str, condition: Condition, discriminator: str | None = None) -> Resampled | NotDefined:
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
    stored: Mapping[str, ScoredJets] | None = None,
) -> Comparison:
    """Evaluate each tagger under each condition, and stored scores on clean jets.

    Args:
        taggers: By name.
        dataset: Data set of the jets, from which attacks take their scale.
        jets: Clean jets; resamples are of their events.
        conditions: The first must be that of clean jets.
        replicates: Number of bootstrap resamples.
        progress: Wraps the list of (tagger, condition) pairs, for a progress bar.
        stored: Stored scores of the same jets, by name.

    Raises:
        UserError: if a condition does not fit the data set.
    """
    schema = dataset.schema
    attacks = build_attacks(conditions, dataset)
    bootstrap = Bootstrap(jets.events, replicates, weights=jets.weights)
    evaluations: dict[str, dict[Condition, Evaluation]] = {name: {} for name in taggers}
    logits: Logits = {name: {} for name in taggers}
    for name, condition in progress([(name, condition) for name in taggers for condition in conditions]):
        by_discriminator = logits_by_discriminator(taggers[name], jets, condition, attacks, schema.headline)
        logits[name][condition] = by_discriminator
        clean = logits[name][conditions[0]][schema.main.name]
        evaluations[name][condition] = evaluate(jets.y, by_discriminator, clean, bootstrap, schema)
    for name, scored in (stored or {}).items():
        evaluations[name] = {conditions[0]: evaluate_stored(scored, jets, bootstrap, schema)}
        logits[name] = {conditions[0]: scored.logits}
    counted = {name: scored.counted for name, scored in (stored or {}).items()}
    return Comparison(evaluations, logits, nonfinite(conditions, attacks, schema.headline), schema, counted)


def nonfinite(
    conditions: Iterable[Condition], attacks: Mapping[Condition, Attack | None], names: Sequence[str]
) -> dict[Condition, int]:
    """Gradient cells that were not finite, of the conditions that had any, in the attacks for all discriminators."""
    counts = {
        condition: sum(
            int(attack.nonfinite_gradients) for aim in aims(condition, names) if (attack := attacks[aim]) is not None
        )
        for condition in conditions
    }
    return {condition: count for condition, count in counts.items() if count}


def to_draw(conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions that a ROC figure can show: clean jets and the first attack at the two sizes nearest to the usual ones."""
    attacked = [condition for condition in conditions if not condition.is_clean]
    if not attacked:
        return list(conditions)
    first = next((condition for condition in attacked if condition.is_attack), attacked[0])
    sizes = [condition for condition in attacked if dataclasses.replace(condition, epsilon=first.epsilon) == first]
    nearest = [min(sizes, key=lambda condition: abs(np.log(max(condition.epsilon, 1e-12) / usual))) for usual in _DRAWN_SIZES]
    return [conditions[0], *dict.fromkeys(sorted(nearest, key=lambda condition: condition.epsilon))]


def drawn_logits(comparison: Comparison, conditions: Sequence[Condition]) -> dict[str, dict[str, ByDiscriminator]]:
    """Logits by tagger, label and discriminator, of the conditions that a ROC figure can show."""
    drawn = to_draw(conditions)
    return {
        tagger: {condition.label: of_tagger[condition] for condition in drawn if condition in of_tagger}
        for tagger, of_tagger in comparison.logits.items()
    }


def to_json(comparison: Comparison) -> dict[str, Any]:
    """`results[tagger][label of the condition]`, plain data.

    Of each discriminator `value`, `low`, `high` (68 %) and `loss`, `loss_low`, `loss_high` (clean minus attacked, paired), or
    the reason why there is no area; `alone`, the main one's area if one of its sides alone is attacked; `tagged`, the
    share of each class that it tags; and `cross_entropy`.
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
            | {"alone": plain(evaluation.alone), "tagged": plain(evaluation.tagged)}
            for condition, evaluation in of_tagger.items()
        }
        for tagger, of_tagger in comparison.evaluations.items()
    }


def markdown(comparison: Comparison) -> str:
    """Two tables with a row per tagger and condition, areas and a working point; ± is half the 68 % interval.

    "b alone" and "light alone", or other sides of the main discriminator, are the losses if their jets alone are attacked.
    """
    main, sides = comparison.schema.main.name, comparison.schema.main.sides
    areas = [
        "tagger",
        "jets",
        *(f"{name} AUC" for name in comparison.schema.headline),
        f"loss of {main} AUC",
        *(f"{side} alone" for side in sides),
        "cross-entropy",
    ]
    point = ["tagger", "jets", *(f"{name} jets {sides[0]}-tagged" for name in comparison.schema.class_names)]
    rows, rates = [], []
    for tagger, of_tagger in comparison.evaluations.items():
        clean = next(iter(of_tagger.values()))
        for condition, evaluation in of_tagger.items():
            cells = [str(evaluation.areas[name].interval) for name in comparison.schema.headline]
            losses = [comparison.loss(tagger, condition), *(clean.areas[main] - area for area in evaluation.alone.values())]
            losses_text = ["", "", ""] if condition.is_clean else [str(loss.interval) for loss in losses]
            rows.append([tagger, condition.label, *cells, *losses_text, f"{evaluation.cross_entropy:.4f}"])
            rates.append([tagger, condition.label, *map(str, evaluation.tagged.values())])
    text = f"{sides[0]}-tagging at the threshold that {MISTAG_RATE:.0%} of the clean {sides[1]} jets pass:"
    return "\n\n".join([tables.markdown(areas, rows), text, tables.markdown(point, rates)])
