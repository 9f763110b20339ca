"""Each tagger attacked, and each of those attacks evaluated on every other tagger: the numbers of `compare`.

A tagger is attacked in its own inputs. Attacked jets can be shown to the taggers that have the same inputs, and to no others.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kerastag import tables
from kerastag.attacks import CLEAN, Condition, attacked_features, attacked_logits
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation.comparison import (
    ByDiscriminator,
    Comparison,
    Evaluation,
    Logits,
    aims,
    build_attacks,
    evaluate,
    nonfinite,
)
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.request import REPLICATES
from kerastag.results import NotDefined, Resampled, columns
from kerastag.schema import Schema

# Efficiency of the main discriminator, such as of b-tagging, at which its mistag rate is told.
EFFICIENCY = 0.7


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A tagger and the jets as it sees them.

    Attributes:
        name: Name of the tagger.
        model: From raw features to logits by flavour.
        dataset: Data set of its inputs; taggers of the same data set have the same columns.
        jets: Row by row the same jets for all contestants.
    """

    name: str
    model: keras.Model
    dataset: JetDataset
    jets: Jets

    @property
    def inputs(self) -> str:
        """Name of its inputs."""
        return self.dataset.schema.name


@dataclasses.dataclass(frozen=True)
class Duel:
    """A tagger on jets that were attacked on itself or on another.

    Attributes:
        evaluation: Areas and cross-entropy.
        mistag: Mistag rate of the main discriminator at `EFFICIENCY`.
    """

    evaluation: Evaluation
    mistag: Resampled | NotDefined


@dataclasses.dataclass(frozen=True)
class Matrix:
    """All taggers attacked on one another.

    Attributes:
        inputs: Name of the inputs of each tagger.
        duels: `duels[condition][attacked on][evaluated on]`; under clean jets the two are the same. Not defined between
            taggers of other inputs.
        white_box: The taggers attacked on themselves.
    """

    inputs: dict[str, str]
    duels: dict[Condition, dict[str, dict[str, Duel | NotDefined]]]
    white_box: Comparison

    @property
    def schema(self) -> Schema:
        """Schema of the classes, which are the same for all."""
        return self.white_box.schema

    def area(self, condition: Condition, source: str, target: str, discriminator: str | None = None) -> Resampled | NotDefined:
        """Area of the tagger `target` on jets attacked on `source`, of a discriminator, by default the main one."""
        duel = self.duels[condition][source][target]
        return duel if isinstance(duel, NotDefined) else duel.evaluation.areas[discriminator or self.schema.main.name]

    def loss(self, condition: Condition, source: str, target: str, discriminator: str | None = None) -> Resampled | NotDefined:
        """Clean minus attacked area."""
        clean = self.area(CLEAN, target, target, discriminator)
        return clean - self.area(condition, source, target, discriminator)

    def relative_loss(
        self, condition: Condition, source: str, target: str, discriminator: str | None = None
    ) -> Resampled | NotDefined:
        """Loss over what the clean area is above 0.5."""
        clean = self.area(CLEAN, target, target, discriminator)
        return relative_loss(clean, self.area(condition, source, target, discriminator))

    def excess(self, condition: Condition, tagger: str) -> Resampled | NotDefined:
        """Relative loss of the main area, white-box, beyond that of the first tagger that has one."""
        losses = (self.relative_loss(condition, name, name) for name in self.inputs)
        first = next((loss for loss in losses if isinstance(loss, Resampled)), NotDefined("a guess"))
        return self.relative_loss(condition, tagger, tagger) - first


def relative_loss(clean: Resampled | NotDefined, attacked: Resampled | NotDefined) -> Resampled | NotDefined:
    """Clean minus attacked area, over what the clean one is above 0.5; not defined of a guess, which has nothing to lose."""
    above = clean - 0.5
    if isinstance(above, NotDefined):
        return above
    if above.value <= 0:
        return NotDefined("a guess")
    return (clean - attacked) / dataclasses.replace(above, values=np.where(above.values > 0, above.values, np.nan))


def shared_jets(spectators: Sequence[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """For each data set the rows of the jets that all have, in the same order, int64 `(jets,)` each.

    Args:
        spectators: Columns `source` and `entry` of each data set, `(jets,)`, which name a jet.
    """
    keys = []
    for columns_of_set in spectators:
        key = np.empty(len(columns_of_set["entry"]), [("source", np.int64), ("entry", np.int64)])
        key["source"], key["entry"] = columns_of_set["source"], columns_of_set["entry"]
        keys.append(key)
    common = keys[0]
    for key in keys[1:]:
        common = np.intersect1d(common, key)
    if len(keys) == 1:
        return [np.arange(len(common))]
    orders = [np.argsort(key) for key in keys]
    return [order[np.searchsorted(key, common, sorter=order)] for order, key in zip(orders, keys, strict=True)]


def cross_examine(
    contestants: Sequence[Contestant],
    conditions: Sequence[Condition],
    replicates: int = REPLICATES,
    progress: Callable[[list], Iterable] = iter,
) -> Matrix:
    """Attack every contestant under every condition and evaluate all that have the same inputs.

    Args:
        contestants: Taggers with their jets; truth and resamples are those of the first.
        conditions: The first must be that of clean jets.
        replicates: Number of bootstrap resamples, the same for all, so differences are paired.
        progress: Wraps the list of (condition, contestant) pairs, for a progress bar.

    Raises:
        UserError: if a condition does not fit a data set.
    """
    truth, schema = contestants[0].jets, contestants[0].dataset.schema
    for contestant in contestants:
        _check_classes(contestant.dataset.schema, schema)
    bootstrap = Bootstrap(truth.events, replicates, weights=truth.weights)
    attacks = {contestant.name: build_attacks(conditions, contestant.dataset) for contestant in contestants}
    duels: dict[Condition, dict[str, dict[str, Duel | NotDefined]]] = {condition: {} for condition in conditions}
    logits: Logits = {contestant.name: {} for contestant in contestants}
    for condition, source in progress([(condition, contestant) for condition in conditions for contestant in contestants]):
        attacked = {
            aim: attacked_features(source.model, source.jets.features, truth.y, attacks[source.name][aim])
            for aim in aims(condition, schema.headline)
        }
        row = duels[condition].setdefault(source.name, {})
        for target in [source] if condition.is_clean else contestants:
            if target.inputs != source.inputs:
                row[target.name] = NotDefined(f"other inputs, {target.inputs}")
                continue
            scores = {aim: attacked_logits(target.model, features, truth.y, None) for aim, features in attacked.items()}
            by_discriminator = {name: scores[condition.aimed_at(name)] for name in schema.headline}
            if target is source:
                logits[source.name][condition] = by_discriminator
            clean = logits[target.name][conditions[0]][schema.main.name]
            row[target.name] = _duel(truth.y, by_discriminator, clean, bootstrap, schema)
    evaluations = {
        contestant.name: {
            condition: duel.evaluation
            for condition, by_source in duels.items()
            if isinstance(duel := by_source[contestant.name][contestant.name], Duel)
        }
        for contestant in contestants
    }
    counts: Counter[Condition] = sum(
        (Counter(nonfinite(conditions, of_tagger, schema.headline)) for of_tagger in attacks.values()), Counter()
    )
    white_box = Comparison(evaluations, logits, dict(counts), schema)
    return Matrix({contestant.name: contestant.inputs for contestant in contestants}, duels, white_box)


def _check_classes(schema: Schema, first: Schema) -> None:
    """Raise a `UserError` unless two data sets have the same classes in the same order, and the same discriminators."""
    if schema.separations != first.separations:
        raise UserError(
            f"{first.name} has the classes {', '.join(first.class_names)} and {schema.name} {', '.join(schema.class_names)}; "
            "taggers can be compared on the same classes, in the same order, and the same discriminators alone."
        )


def _duel(y: np.ndarray, logits: ByDiscriminator, clean: np.ndarray, bootstrap: Bootstrap, schema: Schema) -> Duel:
    pair = RankedPair(y, logits[schema.main.name], schema.main)
    mistag = bootstrap.resample(lambda weights: pair.mistag(EFFICIENCY, weights))
    return Duel(evaluate(y, logits, clean, bootstrap, schema), mistag)


def _quantities(matrix: Matrix, condition: Condition, source: str, target: str) -> Iterator[tuple[str, Resampled | NotDefined]]:
    """Name and value of each quantity of a duel."""
    duel = matrix.duels[condition][source][target]
    if isinstance(duel, NotDefined):
        yield f"{matrix.schema.main.name} AUC", duel
        return
    for name in matrix.schema.headline:
        area = matrix.area(condition, source, target, name)
        yield f"{name} AUC", area
        if not isinstance(area, NotDefined):
            yield f"{name} AUC loss", matrix.loss(condition, source, target, name)
            yield f"{name} AUC relative loss", matrix.relative_loss(condition, source, target, name)
    if source == target:
        yield f"{matrix.schema.main.name} AUC relative loss beyond the first's", matrix.excess(condition, target)
    yield f"mistag at {EFFICIENCY:.0%}", duel.mistag


def to_json(matrix: Matrix) -> dict[str, Any]:
    """`matrix[label of the condition][attacked on][evaluated on]`, the value of each quantity by its name."""
    return {
        condition.label: {
            source: {target: dict(_quantities(matrix, condition, source, target)) for target in by_target}
            for source, by_target in by_source.items()
        }
        for condition, by_source in matrix.duels.items()
    }


def records(matrix: Matrix) -> list[dict[str, Any]]:
    """The matrix as tidy rows: condition, attacked_on, evaluated_on, quantity, value, value_low, value_high (68 %).

    Where a quantity is not defined the value is the reason.
    """
    return [
        {"condition": condition.label, "attacked_on": source, "evaluated_on": target, "quantity": name}
        | columns({"value": value})
        for condition, by_source in matrix.duels.items()
        for source, by_target in by_source.items()
        for target in by_target
        for name, value in _quantities(matrix, condition, source, target)
    ]


def markdown(matrix: Matrix) -> str:
    """Three tables: taggers attacked white-box, their relative losses compared, and main areas of the whole matrix.

    ± is half the 68 % interval.
    """
    parts = [_white_box_table(matrix)]
    attacked = [condition for condition in matrix.duels if not condition.is_clean]
    first, *others = matrix.inputs
    if attacked and others:
        rows = [[c.label, *(str(matrix.excess(c, name).interval) for name in others)] for c in attacked]
        parts += [f"Relative loss beyond that of {first}, paired:", tables.markdown(["jets", *others], rows)]
        across = [
            [c.label, source, *(str(matrix.area(c, source, target).interval) for target in matrix.inputs)]
            for c in attacked
            for source in matrix.inputs
        ]
        header = ["jets", "attacked on", *(f"{matrix.schema.main.name} AUC of {name}" for name in matrix.inputs)]
        parts += ["Attacked on one tagger, evaluated on another:", tables.markdown(header, across)]
    return "\n\n".join(parts)


def _white_box_table(matrix: Matrix) -> str:
    header = ["tagger", "inputs", "jets", *(f"{name} AUC" for name in matrix.schema.headline)]
    found, rejected = matrix.schema.main.sides
    header += [f"loss of {matrix.schema.main.name} AUC", "relative loss", f"{rejected} mistag at {EFFICIENCY:.0%} {found}"]
    rows = []
    for tagger, inputs in matrix.inputs.items():
        for condition in matrix.duels:
            areas = [matrix.area(condition, tagger, tagger, name) for name in matrix.schema.headline]
            losses = [matrix.loss(condition, tagger, tagger), matrix.relative_loss(condition, tagger, tagger)]
            duel = matrix.duels[condition][tagger][tagger]
            mistag = duel if isinstance(duel, NotDefined) else duel.mistag
            cells = ["", ""] if condition.is_clean else [str(loss.interval) for loss in losses]
            areas_text = [str(area.interval) for area in areas]
            rows.append([tagger, inputs, condition.label, *areas_text, *cells, str(mistag.interval)])
    return tables.markdown(header, rows)
