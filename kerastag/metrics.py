"""Discriminators between classes, their ROC curves, and areas with uncertainties. NumPy alone."""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from kerastag.errors import UserError
from kerastag.flavours import FLAVOURS
from kerastag.results import NotDefined, Resampled
from kerastag.schema import discriminators
from kerastag.schema.discriminators import Separation

# Those of scores whose columns are b, c, light; those of a data set are in its schema.
DISCRIMINATORS = {one.name: Separation.of(one, FLAVOURS) for one in discriminators.default(FLAVOURS)}
HEADLINE = tuple(DISCRIMINATORS.values())[:3]
# Fewer mistagged jets than this and a point of a ROC curve says nothing.
MINIMUM_MISTAGGED = 20
# Weights of jets in memory at once, of as many resamples; more would not fit into a cache.
_AT_ONCE = 2**19


def discriminant(scores: np.ndarray, separation: Separation) -> np.ndarray:
    """A score that orders jets as the ratio of weighted sums of probabilities does, float64 `(jets,)`.

    From logits it is the logarithm of the ratio, between two classes the difference of their logits: no two jets tie at a
    probability of 1. Probabilities are recognised by lying in [0, 1] and adding up to 1.

    Args:
        scores: Logits (preferred) or probabilities, `(jets, classes)`; or values of the discriminator, `(jets,)`, as they are.
        separation: Which columns are found and which rejected.

    Raises:
        UserError: if the scores have another number of columns.
    """
    if scores.ndim == 1:
        return scores.astype(np.float64)
    if scores.shape[-1] != len(separation.class_names):
        raise UserError(
            f"{separation.name} needs scores of {', '.join(separation.class_names)}, not {scores.shape[-1]} columns; "
            "take a discriminator from the schema of the data set."
        )
    if not _are_probabilities(scores):
        with np.errstate(invalid="ignore"):  # of infinite logits; whoever takes them asks for NaN
            return _log_sum(scores, separation.over) - _log_sum(scores, separation.against)
    over, against = (_sum(scores, side) for side in (separation.over, separation.against))
    total = over + against
    return np.divide(over, total, out=np.full_like(total, 0.5), where=total > 0)


def _sum(probabilities: np.ndarray, side: tuple[tuple[int, float], ...]) -> np.ndarray:
    """Weighted sum of some columns, float64 `(jets,)`."""
    return np.sum([weight * probabilities[:, column].astype(np.float64) for column, weight in side], axis=0)


def _log_sum(logits: np.ndarray, side: tuple[tuple[int, float], ...]) -> np.ndarray:
    """Logarithm of the weighted sum of the exponentials of some columns, float64 `(jets,)`."""
    return np.logaddexp.reduce([logits[:, column].astype(np.float64) + np.log(weight) for column, weight in side], axis=0)


def _are_probabilities(scores: np.ndarray) -> bool:
    return bool((scores >= 0).all() and (scores <= 1).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3))


def mean_cross_entropy(y: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Weighted mean of the cross-entropy of jets; NaN where there is no weight.

    Args:
        y: True flavours, one-hot `(jets, classes)`.
        logits: `(jets, classes)`.
        weights: `(jets,)`; None for equal ones.
    """
    from scipy.special import logsumexp  # takes long to import, and this module is imported everywhere

    logits = logits.astype(np.float64)
    weights = np.ones(len(y)) if weights is None else weights
    losses = logsumexp(logits, axis=1) - (y * logits).sum(axis=1) if len(y) else np.zeros(0)
    return float(np.average(losses, weights=weights)) if weights.sum() > 0 else float("nan")


def discriminator_auc(
    y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None, separations: Iterable[Separation] = HEADLINE
) -> dict[str, float | NotDefined]:
    """Area under the ROC curve of each discriminator, over the jets of its classes.

    Args:
        y: True flavours, one-hot `(jets, classes)` or indices `(jets,)`.
        scores: Logits (preferred) or probabilities, `(jets, classes)`.
        weights: `(jets,)`; negative ones are allowed as long as each side's sum is positive.
        separations: Which discriminators, such as `schema.in_tables`; by default those of the columns b, c, light.

    Returns:
        A number per name, or `NotDefined` where a side has no jets.
    """
    return {one.name: RankedPair(y, scores, one).auc(weights) for one in separations}


class RankedPair:
    """The jets on both sides of a discriminator, sorted once by it; areas for many sets of weights are then cheap.

    Args:
        y: One-hot `(jets, classes)` or indices `(jets,)`.
        scores: `(jets, classes)`, or values of the discriminator `(jets,)`.
        separation: The discriminator.

    Raises:
        UserError: if labels and scores are of another number of jets or classes.
    """

    def __init__(self, y: np.ndarray, scores: np.ndarray, separation: Separation):
        y, scores = np.asarray(y), np.asarray(scores)
        if len(y) != len(scores) or (y.ndim == scores.ndim == 2 and y.shape[1] != scores.shape[-1]):
            raise UserError(f"Labels of shape {y.shape} do not go with scores of shape {scores.shape}.")
        label = np.argmax(y, axis=1) if y.ndim == 2 else y
        over, against = (np.isin(label, columns) for columns in separation.columns)
        self._number = len(label)
        missing = [name for name, side in zip(separation.sides, (over, against), strict=True) if not side.any()]
        jets = np.flatnonzero(over | against)
        value = discriminant(scores[jets], separation)
        self.undefined = NotDefined(f"no {' and no '.join(missing)} jets") if missing else None
        if nans := np.count_nonzero(np.isnan(value)):
            self.undefined = NotDefined(f"the outputs of {nans:,} jets are not finite")
        order = np.argsort(value, kind="stable")
        self._jets = jets[order]
        self._is_over = over[self._jets]
        value = value[order]
        # A group of tied jets ends where the next value differs.
        self._ends = np.flatnonzero(np.append(value[1:] != value[:-1], True)) if len(value) else np.zeros(0, int)

    def _weights(self, weights: np.ndarray | None) -> np.ndarray:
        """Weights of the sorted jets, float64.

        Raises:
            UserError: if there are weights of another number of jets.
        """
        if weights is None:
            return np.ones(len(self._jets))
        if np.shape(weights) != (self._number,):
            raise UserError(f"Weights of shape {np.shape(weights)} do not go with {self._number:,} jets.")
        return np.asarray(weights, np.float64)[self._jets]

    def auc(self, weights: np.ndarray | None = None) -> float | NotDefined:
        """Probability that a jet to find scores above one to reject; ties count half.

        Args:
            weights: `(jets,)`, of all jets; None for equal ones.
        """
        if self.undefined:
            return self.undefined
        w = self._weights(weights)
        flags = (self._is_over, ~self._is_over)
        if not all(0 < w[flag].sum() < np.inf for flag in flags):
            return NotDefined("the weights of a flavour do not add up to a finite number above 0")
        over, against = (np.diff(np.cumsum(np.where(flag, w, 0))[self._ends], prepend=0) for flag in flags)
        below = np.cumsum(against) - against / 2
        return float((over * below).sum() / (over.sum() * against.sum()))

    def aucs(self, weights: np.ndarray) -> np.ndarray:
        """`auc` for many sets of weights `(sets, jets)` at once, `(sets,)`; NaN where it is not defined."""
        if self.undefined:
            return np.full(len(weights), np.nan)
        w = np.asarray(weights)[:, self._jets].astype(np.float64)
        against = np.where(self._is_over, 0, w)
        over = w - against
        if len(self._ends) < len(self._jets):
            starts = np.append(0, self._ends[:-1] + 1)
            over, against = np.add.reduceat(over, starts, axis=1), np.add.reduceat(against, starts, axis=1)
        below = np.cumsum(against, axis=1)
        totals = over.sum(axis=1), below[:, -1].copy()
        below -= against / 2
        defined = (totals[0] > 0) & (totals[1] > 0)
        return np.einsum("ij,ij->i", over, below) / np.where(defined, totals[0] * totals[1], np.nan)

    def roc(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Efficiency, mistag rate and number of mistagged jets, loosest cut last, `(thresholds,)` each."""
        w = self._weights(weights)
        starts = np.append(0, self._ends[:-1] + 1)
        tail = [np.cumsum(np.where(flag, w, 0)[::-1])[::-1][starts] for flag in (self._is_over, ~self._is_over)]
        mistagged = np.cumsum(~self._is_over[::-1])[::-1][starts]
        return tail[0][::-1] / tail[0][0], tail[1][::-1] / tail[1][0], mistagged[::-1]

    def mistag(self, efficiency: float, weights: np.ndarray | None = None) -> float | NotDefined:
        """Mistag rate at an efficiency, between the two nearest thresholds.

        Args:
            efficiency: Efficiency for the jets to find.
            weights: `(jets,)`, of all jets; None for equal ones.

        Returns:
            The rate, or `NotDefined` where a flavour has no jets or fewer than `MINIMUM_MISTAGGED` are mistagged.
        """
        if self.undefined:
            return self.undefined
        efficiencies, mistags, mistagged = self.roc(weights)
        if np.interp(efficiency, efficiencies, mistagged) < MINIMUM_MISTAGGED:
            return NotDefined(f"fewer than {MINIMUM_MISTAGGED} mistagged jets")
        return float(np.interp(efficiency, efficiencies, mistags))


class Bootstrap:
    """Resamples events with replacement, so that jets of one event stay together.

    The same resamples serve all taggers and attacks, which makes differences between them paired.

    Args:
        events: Index of each jet's event, int `(jets,)`.
        replicates: Number of resamples.
        seed: Seed of the resampling.
        weights: Weights of the jets, `(jets,)`; None for equal ones.
    """

    def __init__(self, events: np.ndarray, replicates: int = 200, seed: int = 0, weights: np.ndarray | None = None):
        self._events = np.asarray(events)
        self._number = int(self._events.max()) + 1
        self.replicates = replicates
        self.weights = np.ones(len(self._events)) if weights is None else np.asarray(weights, np.float64)
        self._seed = seed

    def of(self, rows: np.ndarray) -> "Bootstrap":
        """The same resamples of the same events, of some jets alone; differences from all jets stay paired.

        Args:
            rows: Numbers or a mask of the jets.
        """
        part = copy.copy(self)
        part._events, part.weights = self._events[rows], self.weights[rows]
        return part

    def times(self) -> Iterator[np.ndarray]:
        """How often each jet is in each resample, int `(jets,)`; the same at each call."""
        generator = np.random.default_rng(self._seed)
        for _ in range(self.replicates):
            yield np.bincount(generator.integers(0, self._number, self._number), minlength=self._number)[self._events]

    def draws(self) -> Iterator[np.ndarray]:
        """Weights of the jets in each resample, `(jets,)`."""
        return (times * self.weights for times in self.times())

    def values(self, statistic: Callable[[np.ndarray], float | NotDefined | np.ndarray]) -> np.ndarray:
        """A function of the jets' weights for each resample, `(replicates, …)`; NaN where it is not defined."""
        values = (statistic(weights) for weights in self.draws())
        return np.array([np.nan if isinstance(value, NotDefined) else value for value in values], np.float64)

    def in_blocks(self, statistic: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """A function of the jets' weights of many resamples at once, `(resamples, jets)`, for all; `(replicates, …)`."""
        draws, size = self.draws(), max(_AT_ONCE // max(len(self._events), 1), 1)
        blocks = iter(lambda: list(itertools.islice(draws, size)), [])
        return np.concatenate([statistic(np.stack(block)) for block in blocks])

    def area(self, pair: RankedPair) -> Resampled | NotDefined:
        """Area of a pair for the jets as they are and for each resample; faster than `resample` of `pair.auc`."""
        value = pair.auc(self.weights)
        return value if isinstance(value, NotDefined) else Resampled(value, self.in_blocks(pair.aucs))

    def resample(self, statistic: Callable[[np.ndarray], float | NotDefined]) -> Resampled | NotDefined:
        """A function of the jets' weights, for the jets as they are and for each resample."""
        value = statistic(self.weights)
        return value if isinstance(value, NotDefined) else Resampled(value, self.values(statistic))
