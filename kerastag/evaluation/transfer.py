"""Each tagger attacked, and each of those attacks evaluated on every other tagger: the numbers of `scripts/compare.py`.

A tagger is attacked in its own inputs. Attacked jets can be shown to the taggers that have the same inputs, and to no others.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from kerastag import tables
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.evaluation.comparison import Condition
from kerastag.metrics import HEADLINE, Bootstrap, Interval, NotDefined, RankedPair
from kerastag.saving.taggers import NamedTagger

# b-tagging efficiency at which the mistag rate of light jets is told.
EFFICIENCY = 0.7


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A tagger and the jets as it sees them.

    Attributes:
        tagger: The tagger.
        inputs: Name of its inputs; taggers with the same name have the same columns.
        x: Features, float32 `(jets, features)`; row by row the same jets for all contestants.
        conditions: Clean first, then the attacks in its inputs; the same names for all.
    """

    tagger: NamedTagger
    inputs: str
    x: np.ndarray
    conditions: list[Condition]


def shared_jets(columns: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """For each data set the rows of the jets that all have, in the same order, int64 `(jets,)` each.

    Args:
        columns: Of each data set the spectators `source` and `entry`, `(jets,)`, which name a jet.
    """
    keys = []
    for spectators in columns:
        key = np.empty(len(spectators["entry"]), [("source", np.int64), ("entry", np.int64)])
        key["source"], key["entry"] = spectators["source"], spectators["entry"]
        keys.append(key)
    common = keys[0]
    for key in keys[1:]:
        common = np.intersect1d(common, key)
    if len(keys) == 1:
        return [np.arange(len(common))]
    rows = [np.argsort(key) for key in keys]
    return [order[np.searchsorted(key, common, sorter=order)] for order, key in zip(rows, keys, strict=True)]


def cross_examine(
    contestants: list[Contestant],
    y: np.ndarray,
    events: np.ndarray,
    replicates: int = 200,
    progress: Callable[[list], Iterable] = iter,
    weights: np.ndarray | None = None,
) -> tuple[dict, dict]:
    """Attack every contestant under every condition and evaluate all that have the same inputs.

    Args:
        contestants: The taggers.
        y: True flavours, one-hot `(jets, 3)`.
        events: Index of each jet's event, `(jets,)`; resamples are of events.
        replicates: Number of bootstrap resamples, the same for all, so differences are paired.
        progress: Wraps the list of (contestant, condition) pairs, for a progress bar.
        weights: Of the jets, `(jets,)`; None for equal ones.

    Returns:
        `matrix[condition][attacked on][evaluated on]`, a row of quantities or the reason why there is none; under "clean" the
        two are the same. And logits of each tagger attacked white-box, `logits[tagger][condition]`, `(jets, 3)`.
    """
    examiner = _Examiner(y, Bootstrap(events, replicates, weights=weights))
    matrix: dict = {condition.name: {} for condition in contestants[0].conditions}
    logits: dict = {one.tagger.name: {} for one in contestants}
    pairs = [(one, number) for number in range(len(contestants[0].conditions)) for one in contestants]
    for one, number in progress(pairs):
        condition = one.conditions[number]
        attacked = attacked_features(one.tagger.model, one.x, y, condition.attack)
        row = matrix[condition.name].setdefault(one.tagger.name, {})
        for other in [one] if condition.attack is None else contestants:
            if other.inputs != one.inputs:
                row[other.tagger.name] = f"other inputs: {other.inputs}"
                continue
            scores = attacked_logits(other.tagger.model, attacked, y, None)
            row[other.tagger.name] = examiner.row(other.tagger.name, scores, clean=condition.attack is None)
            if other is one:
                logits[one.tagger.name][condition.name] = scores
                examiner.compare_with_first(condition.name, row[one.tagger.name])
    return matrix, logits


class _Examiner:
    """Turns logits into rows of quantities with 68 % intervals; remembers the clean ones of each tagger."""

    def __init__(self, y: np.ndarray, bootstrap: Bootstrap):
        self._y, self._bootstrap = y, bootstrap
        self._clean: dict[tuple[str, str], tuple[float, np.ndarray]] = {}
        self._relative_loss = np.array([])
        self._first: dict[str, tuple[float, np.ndarray]] = {}

    def row(self, tagger: str, scores: np.ndarray, clean: bool) -> dict:
        """Areas with losses relative to the clean ones, and the mistag rate at `EFFICIENCY`; reasons where not defined."""
        pairs = {name: RankedPair(self._y, scores, name) for name in HEADLINE}
        row: dict = {name: self._area(tagger, name, pair, clean) for name, pair in pairs.items()}
        pair = pairs["BvL"]
        rate = pair.mistag(EFFICIENCY, self._bootstrap.weights)
        if isinstance(rate, NotDefined):
            row["mistag"] = str(rate)
        else:
            row["mistag"] = Interval.of(rate, self._bootstrap.values(lambda w: pair.mistag(EFFICIENCY, w))).named("value")
        return row

    def compare_with_first(self, condition: str, row: dict) -> None:
        """Add to the last row what its relative loss of BvL area is beyond that of the first tagger so compared, paired."""
        if isinstance(row["BvL"], str) or "relative_loss" not in row["BvL"]:
            return
        value, resampled = self._first.setdefault(condition, (row["BvL"]["relative_loss"], self._relative_loss))
        row["BvL"] |= Interval.of(row["BvL"]["relative_loss"] - value, self._relative_loss - resampled).named("excess")

    def _area(self, tagger: str, name: str, pair: RankedPair, clean: bool) -> dict | str:
        value = pair.auc(self._bootstrap.weights)
        if isinstance(value, NotDefined):
            return str(value)
        areas = self._bootstrap.aucs(pair)
        if clean:
            self._clean[tagger, name] = value, areas
        before, areas_before = self._clean[tagger, name]
        row = Interval.of(value, areas).named("value") | Interval.of(before - value, areas_before - areas).named("loss")
        if before <= 0.5:
            return row  # no better than a guess: there is nothing to lose
        relative = (areas_before - areas) / np.where(areas_before > 0.5, areas_before - 0.5, np.nan)
        if name == "BvL":
            self._relative_loss = relative
        return row | Interval.of((before - value) / (before - 0.5), relative).named("relative_loss")


def white_box(matrix: dict) -> dict:
    """Of the matrix the taggers attacked on themselves, `rows[tagger][condition]`."""
    names = next(iter(matrix.values()))
    return {name: {condition: by_source[name][name] for condition, by_source in matrix.items()} for name in names}


def records(matrix: dict) -> list[dict]:
    """The matrix as tidy rows: condition, attacked_on, evaluated_on, quantity, value, low, high.

    Where a quantity is not defined the value is the reason.
    """
    listed = []
    for condition, by_source in matrix.items():
        for source, by_target in by_source.items():
            for target, row in by_target.items():
                where = {"condition": condition, "attacked_on": source, "evaluated_on": target}
                if isinstance(row, str):
                    listed.append({**where, "quantity": "BvL AUC", "value": row})
                    continue
                for name, cell in row.items():
                    listed += [{**where, **entry} for entry in _entries(name, cell)]
    return listed


def _entries(name: str, cell: dict | str) -> list[dict]:
    label = f"mistag at {EFFICIENCY:.0%}" if name == "mistag" else f"{name} AUC"
    if isinstance(cell, str):
        return [{"quantity": label, "value": cell}]
    suffixes = {"value": "", "loss": " loss", "relative_loss": " relative loss", "excess": " relative loss beyond the first's"}
    return [
        {"quantity": label + suffix, "value": cell[key], "low": cell[f"{key}_low"], "high": cell[f"{key}_high"]}
        for key, suffix in suffixes.items()
        if key in cell
    ]


def markdown(matrix: dict, inputs: dict[str, str]) -> str:
    """Three tables: taggers attacked white-box, their relative losses compared, and BvL areas of the whole matrix.

    ± is half the 68 % interval.

    Args:
        matrix: What `cross_examine` gives.
        inputs: Name of each tagger's inputs.
    """
    parts = [_own_table(white_box(matrix), inputs)]
    attacked = {condition: by_source for condition, by_source in matrix.items() if condition != "clean"}
    first, *others = inputs
    if attacked and others:
        rows = [
            [condition, *(_cell(by_source[name][name]["BvL"], "excess") for name in others)]
            for condition, by_source in attacked.items()
        ]
        parts += [f"Relative loss beyond that of {first}, paired:", tables.markdown(["jets", *others], rows)]
        across = [
            [condition, source, *(_cell(by_target[target], "value", "BvL") for target in inputs)]
            for condition, by_source in attacked.items()
            for source, by_target in by_source.items()
        ]
        header = ["jets", "attacked on", *(f"BvL AUC of {name}" for name in inputs)]
        parts += ["Attacked on one tagger, evaluated on another:", tables.markdown(header, across)]
    return "\n\n".join(parts)


def _own_table(rows_of: dict, inputs: dict[str, str]) -> str:
    header = ["tagger", "inputs", "jets", *(f"{name} AUC" for name in HEADLINE)]
    header += ["loss of BvL AUC", "relative loss", f"light mistag at {EFFICIENCY:.0%} b"]
    rows = []
    for tagger, by_condition in rows_of.items():
        for condition, row in by_condition.items():
            cells = [_cell(row[name], "value") for name in HEADLINE]
            losses = ["", ""] if condition == "clean" else [_cell(row["BvL"], key) for key in ("loss", "relative_loss")]
            rows.append([tagger, inputs[tagger], condition, *cells, *losses, _cell(row["mistag"], "value")])
    return tables.markdown(header, rows)


def _cell(cell: dict | str, key: str, name: str | None = None) -> str:
    if name is not None and not isinstance(cell, str):
        cell = cell[name]
    if isinstance(cell, str):
        return cell
    if key not in cell:
        return "not defined: a guess"
    return f"{cell[key]:.4f} ± {(cell[f'{key}_high'] - cell[f'{key}_low']) / 2:.4f}"
