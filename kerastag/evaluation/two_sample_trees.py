"""Boosted trees that tell attacked jets from clean ones by all inputs at once: a two-sample classifier.

Its area is held against a control: that of the same jets before the attack, in the same resamples of the events. Trees
fluctuate from one training to the next by more than a small attack shows. Where the first trees do not see an attack at once,
others look too: at the other half of the events, and with other folds.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import threadpoolctl
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold

from kerastag.errors import UserError
from kerastag.evaluation.two_samples import LEVEL, halves
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.results import Interval, Resampled, defined
from kerastag.schema import Separation

_FOLDS, _REPLICATES = 3, 100
_AREA = "Area of the two-sample classifier"
_SAMPLES = Separation("first_vs_second", ("first", "second"), ((0, 1.0),), ((1, 1.0),))
_SEEDS = (0, 1)
# One look decides where it sees an attack as clearly as this; it hardly adds to false alarms.
_CLEAR = LEVEL / 50


@dataclasses.dataclass(frozen=True)
class Classifier:
    """How well boosted trees tell attacked from clean jets; they know the flavour of each jet.

    Attributes:
        area: Area under the ROC curve, attacked against clean jets; the mean, where trees looked several times.
        control: The same of the jets before the attack.
        excess: The area minus its control.
        p: Probability of such an excess, were there no difference.
        jets: Number of attacked jets, and of clean ones, at which trees as good as these show; None for never.
        looks: How often trees were trained, on either half of the events and with several seeds.
    """

    area: Interval
    control: Interval
    excess: Interval
    p: float
    jets: float | None
    looks: int

    @classmethod
    def of(cls, areas: Sequence[Resampled], controls: Sequence[Resampled]) -> "Classifier":
        """From the areas of each look, and those of its control, all with the same resamples of the events.

        The error of the excess is that of the events, paired, and that of trees, from the scatter of the looks. A single look
        has no scatter; its area and control then count as independent, which makes the error too large.

        Args:
            areas: Area of each look.
            controls: That of its control.
        """
        area, control = (Resampled.mean(of_looks) for of_looks in (areas, controls))
        paired = area - control
        if len(areas) > 1:
            scatter = np.std([one.value - other.value for one, other in zip(areas, controls, strict=True)], ddof=1)
            error = np.hypot(paired.interval.error, scatter / np.sqrt(len(areas)))
        else:
            error = np.hypot(area.interval.error, control.interval.error)
        jets = jets_for_area(paired.value, LEVEL)
        return cls(
            area.interval,
            control.interval,
            Interval.around(paired.value, error),
            float(norm.sf(paired.value / max(error, np.finfo(float).tiny))),  # an attack that moves nothing has no error
            jets if np.isfinite(jets) else None,
            len(areas),
        )

    @property
    def shows(self) -> bool:
        """Whether the area is not compatible with its control."""
        return self.p < LEVEL


class Halves:
    """Jets in two halves, of which one is attacked and told from the other, clean. Controls are trained once.

    Args:
        features: Clean features, float32 `(jets, features)`.
        label: Class indices `(jets,)`.
        events: Number of the event of each jet, `(jets,)`.
    """

    def __init__(self, features: np.ndarray, label: np.ndarray, events: np.ndarray):
        self._clean, self._label, self._events = features, label, events
        self._half = halves(events)
        self._control = functools.cache(functools.partial(self._look, features))

    def classify(self, attacked: np.ndarray) -> Classifier:
        """How well trees see an attack: once where that is clear, else on both halves and with several seeds.

        Args:
            attacked: Attacked features of all jets, `(jets, features)`, each half attacked by itself.
        """
        looks = [(swap, seed) for seed, swap in itertools.product(_SEEDS, (False, True))]
        areas = [self._look(attacked, *looks[0])]
        first = Classifier.of(areas, [self._control(*looks[0])])
        if first.p < _CLEAR:
            return first
        areas += [self._look(attacked, *look) for look in looks[1:]]
        return Classifier.of(areas, [self._control(*look) for look in looks])

    def _look(self, attacked: np.ndarray, swap: bool, seed: int) -> Resampled:
        """Area for one half, attacked, against the other, clean."""
        half = self._half ^ swap
        first, second = (
            np.column_stack([features[rows], self._label[rows]]) for features, rows in ((attacked, half), (self._clean, ~half))
        )
        return classifier_area(first, second, np.concatenate([self._events[half], self._events[~half]]), seed)


def classifier_area(first: np.ndarray, second: np.ndarray, events: np.ndarray | None = None, seed: int = 0) -> Resampled:
    """Area under the ROC curve of boosted trees that tell two samples apart, mean of cross-validated folds.

    Args:
        first: `(jets, features)`.
        second: `(jets, features)`.
        events: Number of the event of each jet, of the first sample and then of the second; None where none share one.
        seed: Seed of the folds. Resamples are the same for every seed.

    Raises:
        UserError: if there are too few jets.
    """
    if min(len(first), len(second)) < _FOLDS:
        raise UserError(
            f"Trees that tell attacked from clean jets need {_FOLDS} jets in each half of the events; take more jets."
        )
    x, is_first = np.concatenate([first, second]), np.repeat([True, False], [len(first), len(second)])

    # Threads of one training wait for each other at every split, and one that shares its core with something else stops all;
    # trainings do not wait for each other.
    cores = os.cpu_count() or 1

    def fold(rows: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, RankedPair]:
        train, test = rows
        trees = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
        with threadpoolctl.threadpool_limits(max(cores // (2 * _FOLDS), 1), "openmp"):  # holds in this thread alone
            trees.fit(x[train], is_first[train])
            return test, _ranked(is_first[test], trees.decision_function(x[test]))

    splits = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(x, is_first)
    with ThreadPoolExecutor(min(cores, _FOLDS)) as pool:
        folds = list(pool.map(fold, splits))

    def means(weights: np.ndarray) -> np.ndarray:
        return np.mean([pair.aucs(weights[:, test]) for test, pair in folds], axis=0)

    value = float(np.mean([defined(pair.auc(), _AREA) for _, pair in folds]))
    bootstrap = Bootstrap(np.arange(len(x)) if events is None else events, _REPLICATES)
    return Resampled(value, bootstrap.in_blocks(means))


def _ranked(is_first: np.ndarray, scores: np.ndarray) -> RankedPair:
    """Scores of two samples `(jets,)` as those of two classes."""
    return RankedPair(np.where(is_first, 0, 1), np.stack([scores, np.zeros(len(scores))], axis=1), _SAMPLES)


def jets_for_area(excess: float, level: float) -> float:
    """Size of either sample at which an area shows, for a classifier that stays as good as it is.

    Args:
        excess: Area beyond that of its control.
        level: Probability of a false alarm.
    """
    return float((norm.isf(level) / excess) ** 2 / 6) if excess > 0 else np.inf
