"""Jets of a flavour that exchange the values of a feature, so that its distribution stays as it is; see `marginals`."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.ndimage import median_filter

from kerastag.attacks.base import Attack
from kerastag.attacks.threat_model import Box, ThreatModel
from kerastag.errors import UserError
from kerastag.layers import memory
from kerastag.schema.discovery import SPIKE
from kerastag.statistics import correlations

_BATCH = 8192
_Gradient = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Jets of about the same value, of which one half goes up.
_NEIGHBOURS = 101
# How often moves that left their box are halved before they are given up.
_HALVINGS = 6
# Parts of the way from everybody following the attack to as many going up as down.
_BALANCES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Distance that features may show that follow others, in units of √(2/jets): a tenth of what a test of two samples sees at 5 %.
_OF_FOLLOWERS = 0.136


class Exchange:
    """Jets that may exchange values: their boxes and gradients, which serve any number of attacks on them.

    Args:
        attack: Tells what is increased; its threat model holds for all results.
        tagger: From raw features to logits.
        x: Clean features, float32 `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        apart: Jets of different numbers `(jets,)` exchange nothing; None to keep none apart.
    """

    def __init__(self, attack: Attack, tagger: keras.Model, x: np.ndarray, y: np.ndarray, apart: np.ndarray | None = None):
        gradient, self._x, self._threat_model = _gradient(attack, tagger, x.shape[1], y.shape[1]), x, attack.threat_model
        groups = [np.ones(len(x), bool)] if apart is None else [apart == number for number in np.unique(apart)]
        self._groups = [
            _Jets.of(self._threat_model, gradient, x[rows], y[rows], rows)
            for group in groups
            for rows in (jets[group[jets]] for _, jets in by_flavour(y))
            if len(rows)
        ]

    def __call__(self, attacked: np.ndarray, *, tolerance: float = 0.0, correlation: float | None = None) -> np.ndarray:
        """Attacked features that preserve marginals, float32 `(jets, features)`. Arguments as of `marginal_preserving`.

        Raises:
            UserError: if a tolerance is negative.
        """
        if not tolerance >= 0 or not (correlation is None or correlation >= 0):
            raise UserError(f"`tolerance` and `correlation` must be at least 0. Received: {tolerance}, {correlation}.")
        preserved, leads = self._x.copy(), _leaders(self._threat_model)
        for jets in self._groups:
            cells = jets.cells(attacked[jets.rows], leads)
            preserved[jets.rows] = _attack_flavour(cells, jets.boxes, self._threat_model.default, tolerance, correlation)
        return preserved


@dataclasses.dataclass(frozen=True)
class _Jets:
    """Jets of a flavour; arrays `(jets, features)`.

    Attributes:
        rows: Their numbers, `(jets,)`.
        x: Clean features.
        boxes: The box around each batch of them.
        low: Smallest value.
        high: Largest value.
        gradient: Gradient of the objective at the clean jets.
        may: Whether a cell may take part in an exchange.
        pattern: As of `_Cells`.
    """

    rows: np.ndarray
    x: np.ndarray
    boxes: list[Box]
    low: np.ndarray
    high: np.ndarray
    gradient: np.ndarray
    may: np.ndarray
    pattern: np.ndarray

    @classmethod
    def of(cls, threat_model: ThreatModel, gradient: _Gradient, x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> "_Jets":
        """From clean features and flavours of the jets with these numbers."""
        boxes = [threat_model.box(*part) for part in zip(batches(x), batches(y), strict=True)]
        low, high, budget = (_joined([getattr(box, name) for box in boxes]) for name in ("low", "high", "budget"))
        may = (budget > 0) & ~_repeated(x)
        patterns = np.concatenate([_patterns(box) for box in boxes])
        return cls(rows, x, boxes, low, high, gradient(x, y), may, patterns)

    def cells(self, attacked: np.ndarray, leads: dict[int, set[int]]) -> "_Cells":
        """What these jets may do, where the attack moves them to `attacked` features."""
        moves = attacked - self.x
        gain, active = np.abs(self.gradient) * np.sign(moves), self.may & (moves != 0)
        return _Cells(self.x, self.low, self.high, gain, active, self.pattern, leads)


@dataclasses.dataclass
class _Cells:
    """Jets of a flavour, what each cell may do and what that is good for; arrays `(jets, features)`.

    Attributes:
        x: Clean features.
        low: Smallest value.
        high: Largest value.
        gain: Gradient of the objective, with the sign of the attack's own move.
        active: Whether a cell takes part in the exchange.
        pattern: Cells that lead the same others have the same number; they alone exchange values.
        leads: For each feature that follows others the features that it may follow.
    """

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    gain: np.ndarray
    active: np.ndarray
    pattern: np.ndarray
    leads: dict[int, set[int]]


def by_flavour(y: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Number and rows of each flavour that has jets."""
    label = np.argmax(y, axis=1)
    return ((int(flavour), np.flatnonzero(label == flavour)) for flavour in np.unique(label))


def _joined(parts: Sequence[tf.Tensor]) -> np.ndarray:
    return np.concatenate([np.asarray(part) for part in parts])


def batches(values: np.ndarray) -> Iterator[np.ndarray]:
    """Jets `(jets, …)` in parts that fit into memory."""
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))


def _gradient(attack: Attack, tagger: keras.Model, features: int, classes: int) -> _Gradient:
    """The gradient of the objective at clean jets `(jets, features)`, with what it does to cells that follow."""

    @tf.function(input_signature=[tf.TensorSpec((None, width), tf.float32) for width in (features, classes)])
    def gradient(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return attack.bind(tagger, y, box=attack.threat_model.box(x, y)).gradient(x)[1]

    # Each data set has one of its own, which TensorFlow would take for one that is traced over and over, and warn.
    graph = gradient.get_concrete_function()
    return lambda x, y: np.concatenate([graph(*map(tf.constant, part)).numpy() for part in memory.batches(tagger, x, y)])


def _repeated(x: np.ndarray) -> np.ndarray:
    """Whether a cell holds a value that many jets share, which is not exchanged; bool `(jets, features)`."""
    repeated = np.zeros(x.shape, bool)
    for column, values in enumerate(x.T):
        _, numbers, counts = np.unique(values, return_inverse=True, return_counts=True)
        repeated[:, column] = counts[numbers] > max(SPIKE * len(x), 1)
    return repeated


def _patterns(box: Box) -> np.ndarray:
    """A number for each set of cells that a cell leads, int64 `(jets, features)`."""
    pattern = np.zeros(box.x.shape, np.int64)
    if box.ties is None or box.chosen is None:
        return pattern
    generator = np.random.default_rng(0)
    masks = (mask for block in box.chosen.masks for mask in np.asarray(block))
    for link, mask in zip(box.ties.links, masks, strict=True):
        mark = generator.integers(1, 2**62)
        for sources, follows in zip(link.candidates, mask, strict=False):
            for column, _ in sources:
                pattern[follows, column] ^= mark
    for summary, holds in zip(box.ties.summaries, box.chosen.holds, strict=True):
        pattern[np.ix_(np.asarray(holds), np.unique(summary.sources))] ^= generator.integers(1, 2**62)
    return pattern


def _leaders(threat_model: ThreatModel) -> dict[int, set[int]]:
    """The columns that each following column may follow, also through others."""
    leaders: dict[int, set[int]] = {}
    for link in threat_model.ties.links if threat_model.ties else ():
        sources = {column for content in link.candidates for column, _ in content}
        leaders[link.follower] = sources.union(*(leaders.get(column, set()) for column in sources))
    for summary in threat_model.ties.summaries if threat_model.ties else ():
        sources = set(np.unique(summary.sources).tolist())
        leaders[summary.follower] = sources.union(*(leaders.get(column, set()) for column in sources))
    return leaders


def _attack_flavour(
    cells: _Cells, boxes: Sequence[Box], default: np.ndarray, tolerance: float, correlation: float | None
) -> np.ndarray:
    """Attacked jets of a flavour, `(jets, features)`."""
    allowed = max(tolerance, _OF_FOLLOWERS * np.sqrt(2 / len(cells.x)))
    columns = np.flatnonzero(cells.active.any(axis=0))
    point, gain = cells.x.copy(), np.where(cells.active, cells.gain, 0)
    if correlation is not None:
        gain = _without_trend(cells.x, gain)
    balances = _BALANCES if correlation is None else _BALANCES[-1:]
    while True:
        for column in columns:
            point[:, column] = _exchanged_column(cells, int(column), gain[:, column], tolerance, balances)
        pairs = zip(boxes, batches(point), strict=True)
        features = _joined([box.complete(box.project(batch)) for box, batch in pairs])
        columns = _give_up(cells, features, default, allowed, correlation)
        if not len(columns):
            return features


def _exchanged_column(cells: _Cells, column: int, gain: np.ndarray, tolerance: float, balances: Sequence[float]) -> np.ndarray:
    """Values of a feature after the exchange, `(jets,)`."""
    values = cells.x[:, column].copy()
    active = np.flatnonzero(cells.active[:, column])
    pattern = cells.pattern[active, column]
    for number in np.unique(pattern):
        rows = active[pattern == number]
        x, low, high = (array[rows, column] for array in (cells.x, cells.low, cells.high))
        values[rows] = exchange(x, low, high, gain[rows], int(tolerance * len(rows)), balances)
    return values


def exchange(
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    gain: np.ndarray,
    slack: int = 0,
    balances: Sequence[float] = _BALANCES,
) -> np.ndarray:
    """New values such that Σ gain·change is large; all `(jets,)`.

    Args:
        values: Values of a feature.
        low: Smallest new value of each jet.
        high: Largest new value of each jet.
        gain: What a larger value is good for.
        slack: Largest number by which the jets below any value may change; with 0, jets exchange their values.
        balances: Which parts of the way to as many jets going up as down are tried; without slack the last alone counts.
    """
    middle = _middle(values, gain)
    tried = [
        _fit(values, np.where(gain > balance * middle, high, np.where(gain < balance * middle, low, values)), low, high, slack)
        for balance in (balances if slack else balances[-1:])
    ]
    return max(tried, key=lambda new: float(gain @ (new - values)))


def _middle(values: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Median gain of the jets of about the same value, `(jets,)`."""
    if len(gain) <= _NEIGHBOURS:
        return np.full_like(gain, np.median(gain))
    order, middle = np.argsort(values, kind="stable"), np.empty_like(gain)
    middle[order] = median_filter(gain[order], size=_NEIGHBOURS, mode="nearest")
    return middle


def _fit(values: np.ndarray, target: np.ndarray, low: np.ndarray, high: np.ndarray, slack: int) -> np.ndarray:
    """Values near `target` within their limits, whose k-th smallest is at most `slack` places from that of `values`."""
    new, active, target = values.copy(), np.arange(len(values)), target.copy()
    halvings = 0
    while len(active):
        ordered = np.sort(values[active])
        places = np.arange(len(active))
        lowest, highest = (ordered[np.clip(places + step, 0, len(active) - 1)] for step in (-slack, slack))
        order = active[np.argsort(target[active], kind="stable")]
        new[order] = np.clip(target[order], lowest, highest)
        outside = active[(new[active] < low[active]) | (new[active] > high[active])]
        if not len(outside):
            break
        if halvings < _HALVINGS:
            target[outside] = (values[outside] + target[outside]) / 2
            halvings += 1
        else:
            new[outside], active = values[outside], np.setdiff1d(active, outside, assume_unique=True)
    return new


def _without_trend(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The gain less what is linear in the features, `(jets, features)`, so that changes which follow it correlate with none."""
    sigma = x.std(axis=0)
    design = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0))[:, sigma > 0] / sigma[sigma > 0]]).astype(np.float64)
    matrix = design.T @ design + 1e-6 * len(x) * np.eye(design.shape[1])
    return (gain - design @ np.linalg.solve(matrix, design.T @ gain)).astype(gain.dtype)


def _give_up(cells: _Cells, attacked: np.ndarray, default: np.ndarray, allowed: float, correlation: float | None) -> np.ndarray:
    """Take the less useful half of the cells out of the exchange that lead to something that shows; their columns."""
    distance = distances(cells.x, attacked, default)
    showing = {column for column in cells.leads if distance[column] > allowed}
    columns = {source for column in showing for source in cells.leads[column]}
    if correlation is not None:
        change = np.abs(correlations(attacked, default) - correlations(cells.x, default)).max(axis=0)
        moved = (attacked != cells.x).any(axis=0)
        worst = np.flatnonzero((change > correlation) & moved)
        columns |= {source for column in worst for source in cells.leads.get(int(column), set()) | {int(column)}}
    given_up = []
    for column in sorted(columns):
        active = np.flatnonzero(cells.active[:, column])
        if len(active):
            use = np.abs(cells.gain[active, column])
            useless = np.argsort(use, kind="stable")[: len(active) - len(active) // 2]
            cells.active[active[useless], column] = False
            given_up.append(column)
    return np.array(given_up, int)


def distances(clean: np.ndarray, attacked: np.ndarray, default: np.ndarray) -> np.ndarray:
    """Kolmogorov-Smirnov distance of each feature, without absent cells, `(features,)`."""
    distance = np.zeros(clean.shape[1])
    for column in np.flatnonzero((clean != attacked).any(axis=0)):
        present = clean[:, column] != default[column]
        before, after = np.sort(clean[present, column]), np.sort(attacked[present, column])
        at = np.concatenate([before, after])
        below = (np.searchsorted(values, at, side="right") for values in (before, after))
        distance[column] = np.abs(np.subtract(*below)).max() / len(before)
    return distance
