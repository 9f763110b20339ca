"""Taggers on simulated mismodelling: changes of areas, scale factors at frozen thresholds, shapes, and what predicts them.

A variation of the detector measures the events of the nominal sample again. Its jets are then paired with those of the
nominal file, and each resample holds the same events on both sides. A variation of the physics has events of its own, which
are resampled independently.

The simulation knows jets of b, c and light quarks, and so do these numbers; labels and logits have that order.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from kerastag.data import paired
from kerastag.evaluation.trends import rank_correlation
from kerastag.evaluation.two_samples import compare_shapes
from kerastag.evaluation.working_points import MISTAG_RATE, MISTAG_RATES, threshold
from kerastag.flavours import FLAVOURS
from kerastag.jets import Jets
from kerastag.metrics import DISCRIMINATORS, HEADLINE, MINIMUM_MISTAGGED, Bootstrap, RankedPair, discriminant
from kerastag.request import REPLICATES
from kerastag.results import Interval, NotDefined, Resampled
from kerastag.schema import Separation

_BVL = DISCRIMINATORS["BvL"]
# File of the results in the folder of a run.
RESULT = "systematics.json"
# What a tagger is ranked by: absolute changes, so that the least is best. "Relative" is that of 1 - AUC, since what a better
# tagger has to lose is less.
QUANTITIES = ("area", "relative", "b efficiency", "light mistag rate", "shape")
_PERMUTATIONS = 9_999

# Jets that count without and with a variation, bool `(jets,)` and `(varied jets,)`.
Counted = tuple[np.ndarray, np.ndarray]
# Logits `(jets, classes)`, the same for every discriminator or one by one.
Logits = np.ndarray | Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Sides:
    """Jets without and with a variation, and how often each counts in every resample.

    Attributes:
        reference: Flavours of the jets without the variation, `(jets,)`.
        varied: Flavours of the jets with it, `(varied jets,)`.
        reference_weights: Weights of the jets as they are, then in each resample, `(1 + replicates, jets)`.
        varied_weights: The same of the varied jets.
        rows: Rows of the varied file that `varied` holds.
        paired: Share of the reference jets that have a partner; None if the events differ.
    """

    reference: np.ndarray
    varied: np.ndarray
    reference_weights: np.ndarray
    varied_weights: np.ndarray
    rows: np.ndarray
    paired: float | None

    @classmethod
    def same_events(
        cls, reference: Jets, varied: Jets, replicates: int = REPLICATES, seed: int = 0, counted: Counted | None = None
    ) -> "Sides":
        """Sides of the same events: jets without a partner count nothing, and both sides share their resamples.

        Args:
            reference: Jets of `data.read_simulated`.
            varied: The same of the file with the variation.
            replicates: Bootstrap resamples.
            seed: Seed of the resamples; those of all variations of a reference are the same.
            counted: Jets that count, where not all do; a pair needs both of its jets.
        """
        rows, partners = paired(reference, varied)
        before, after = counted or _all(reference, varied)
        both = before[rows] & after[partners]
        rows, partners = rows[both], partners[both]
        weights = np.zeros(len(reference))
        weights[rows] = reference.weights[rows]
        bootstrap = Bootstrap(reference.events, replicates, seed)
        times = _times(bootstrap, len(reference))
        share = len(rows) / max(int(np.count_nonzero(before)), 1)
        varied_weights = times[:, rows] * varied.weights[partners]
        return cls(reference.label, varied.label[partners], times * weights, varied_weights, partners, share)

    @classmethod
    def other_events(
        cls,
        reference: Jets,
        varied: Jets,
        replicates: int = REPLICATES,
        seed: int = 0,
        varied_seed: int = 1,
        counted: Counted | None = None,
    ) -> "Sides":
        """Sides of independent events: all jets count, and each side is resampled on its own.

        Args:
            reference: Jets without the variation.
            varied: Jets with it.
            replicates: Bootstrap resamples.
            seed: Seed of the resamples of `reference`.
            varied_seed: Seed of those of `varied`, another for each variation.
            counted: Jets that count, where not all do.
        """
        counted = counted or _all(reference, varied)
        before, after = (
            _times(Bootstrap(jets.events, replicates, number), len(jets)) * np.where(counts, jets.weights, 0)
            for jets, number, counts in zip((reference, varied), (seed, varied_seed), counted, strict=True)
        )
        rows = np.flatnonzero(counted[1])
        return cls(reference.label, varied.label[rows], before, after[:, rows], rows, None)


def _all(*samples: Jets) -> Counted:
    """Of two samples all jets."""
    before, after = (np.ones(len(jets), bool) for jets in samples)
    return before, after


def _times(bootstrap: Bootstrap, jets: int) -> np.ndarray:
    """How often each jet counts, `(1 + replicates, jets)`, once in the first row."""
    return np.stack([np.ones(jets, np.float32), *(times.astype(np.float32) for times in bootstrap.times())])


class Factor(NamedTuple):
    """Share of a flavour that is b-tagged at a frozen threshold.

    Attributes:
        working_point: Mistag rate of the nominal light jets that sets the threshold.
        flavour: Name of the flavour.
        reference: Share without the variation.
        varied: Share with it.
        factor: Their ratio, with and without: the scale factor.
    """

    working_point: float
    flavour: str
    reference: Interval | NotDefined
    varied: Interval | NotDefined
    factor: Resampled | NotDefined


@dataclasses.dataclass(frozen=True)
class Change:
    """What a variation does to a tagger.

    Attributes:
        areas: Area of each discriminator with the variation.
        changes: The same minus the area without it.
        factors: b efficiency, c and light mistag rate at each threshold.
        shapes: Kolmogorov-Smirnov distance of the BvL discriminator by flavour.
    """

    areas: dict[str, Resampled | NotDefined]
    changes: dict[str, Resampled | NotDefined]
    factors: list[Factor]
    shapes: dict[str, float]

    def factor(self, flavour: str, rate: float = MISTAG_RATE) -> Resampled | NotDefined:
        """The scale factor of a flavour at a working point."""
        return next(row.factor for row in self.factors if (row.flavour, row.working_point) == (flavour, rate))

    @property
    def sizes(self) -> dict[str, Resampled | NotDefined | float]:
        """How large the change is, by name in `QUANTITIES`.

        In resamples the sign of the change is that of the change as it is, so their mean is not larger than the number.
        """
        return {
            "area": _size(self.changes["BvL"]),
            "relative": _size(_relative(self.areas["BvL"], self.changes["BvL"])),
            "b efficiency": _size(self.factor("b") - 1.0),
            "light mistag rate": _size(self.factor("light") - 1.0),
            "shape": float(np.mean(list(self.shapes.values()))) if self.shapes else NotDefined("no jets"),
        }


def _relative(area: Resampled | NotDefined, change: Resampled | NotDefined) -> Resampled | NotDefined:
    """Change of an area over 1 minus the area without the variation."""
    before = area - change
    return before if isinstance(before, NotDefined) else change / Resampled(1 - before.value, 1 - before.values)


def _size(change: Resampled | NotDefined) -> Resampled | NotDefined:
    if isinstance(change, NotDefined):
        return change
    sign = -1.0 if change.value < 0 else 1.0
    return Resampled(sign * change.value, sign * change.values)


def thresholds(
    label: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None, rates: Sequence[float] = MISTAG_RATES
) -> dict[float, float]:
    """Thresholds of the BvL discriminator that shares of the light jets pass, by share.

    Args:
        label: Flavours of nominal jets, `(jets,)`.
        logits: `(jets, classes)`.
        weights: Weights of the jets, `(jets,)`; None for equal ones.
        rates: The shares.
    """
    light = label == FLAVOURS.index("light")
    values, of_light = discriminant(logits, _BVL)[light], np.ones(light.sum()) if weights is None else weights[light]
    return {rate: threshold(values, of_light, rate) for rate in rates}


def change(
    sides: Sides,
    reference: Logits,
    varied: Logits,
    cuts: Mapping[float, float],
    separations: Sequence[Separation] = HEADLINE,
) -> Change:
    """What a variation does to a tagger, by its logits.

    Args:
        sides: Flavours and resamples of the jets.
        reference: Logits of the jets without the variation, `(jets, classes)`, those of BvL among them.
        varied: Logits of the jets with it, `(varied jets, classes)`, rows as in `sides.rows`.
        cuts: Thresholds, see `thresholds`.
        separations: Discriminators whose areas are compared.
    """
    before, areas = (
        {one.name: _area(label, _of(logits, one.name), weights, one) for one in separations}
        for label, logits, weights in (
            (sides.reference, reference, sides.reference_weights),
            (sides.varied, varied, sides.varied_weights),
        )
    )
    values = [discriminant(logits if isinstance(logits, np.ndarray) else logits["BvL"], _BVL) for logits in (reference, varied)]
    factors = [_factor(sides, values, rate, cut, flavour) for rate, cut in cuts.items() for flavour in FLAVOURS]
    differences = {name: area - before[name] for name, area in areas.items()}
    return Change(areas, differences, factors, _shapes(sides, *values))


def _of(logits: Logits, discriminator: str) -> np.ndarray | None:
    """Logits for a discriminator; None if there are none."""
    return logits if isinstance(logits, np.ndarray) else logits.get(discriminator)


def _area(label: np.ndarray, logits: np.ndarray | None, weights: np.ndarray, separation: Separation) -> Resampled | NotDefined:
    """Area of a discriminator with each row of weights, the first being that of the jets as they are."""
    if logits is None:
        return NotDefined("no stored score")
    pair = RankedPair(label, logits, separation)
    first = pair.auc(weights[0])
    return first if isinstance(first, NotDefined) else Resampled(first, pair.aucs(weights[1:]))


def _factor(sides: Sides, values: Sequence[np.ndarray], rate: float, cut: float, flavour: str) -> Factor:
    number = FLAVOURS.index(flavour)
    shares = [
        _share(label == number, discriminants >= cut, weights)
        for label, discriminants, weights in (
            (sides.reference, values[0], sides.reference_weights),
            (sides.varied, values[1], sides.varied_weights),
        )
    ]
    return Factor(rate, flavour, shares[0].interval, shares[1].interval, shares[1] / shares[0])


def _share(of_flavour: np.ndarray, passed: np.ndarray, weights: np.ndarray) -> Resampled | NotDefined:
    """Share of the jets of a flavour that pass, with each row of weights."""
    if np.count_nonzero(of_flavour & passed & (weights[0] != 0)) < MINIMUM_MISTAGGED:
        return NotDefined(f"fewer than {MINIMUM_MISTAGGED} jets")
    with np.errstate(invalid="ignore"):
        shares = weights[:, of_flavour & passed].sum(axis=1) / weights[:, of_flavour].sum(axis=1)
    return Resampled(float(shares[0]), shares[1:].astype(np.float64))


def _shapes(sides: Sides, reference: np.ndarray, varied: np.ndarray) -> dict[str, float]:
    """Kolmogorov-Smirnov distance by flavour, of the jets that count."""
    counts = sides.reference_weights[0] != 0
    return {
        flavour: compare_shapes(reference[counts & (sides.reference == number)], varied[sides.varied == number]).distance
        for number, flavour in enumerate(FLAVOURS)
        if (counts & (sides.reference == number)).any() and (sides.varied == number).any()
    }


def mean(numbers: Sequence[Resampled | NotDefined | float]) -> Resampled | NotDefined | float:
    """Mean of numbers with the same resamples; those that are not defined are left out."""
    defined = [number for number in numbers if not isinstance(number, NotDefined)]
    if not defined:
        return NotDefined("no variations" if not numbers else str(numbers[0]).removeprefix("not defined: "))
    resampled = [number for number in defined if isinstance(number, Resampled)]
    if not resampled:
        return float(np.mean([float(number) for number in defined if not isinstance(number, Resampled)]))
    return Resampled.mean(resampled)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Whether taggers that lose more under an attack also change more under variations.

    Attributes:
        correlation: Spearman's ρ over taggers, with the interval for so few of them.
        events: The same, with the interval of the jets' resamples for these taggers.
        p: Probability of so large a |ρ| if ranks were random.
        taggers: Number of taggers.
    """

    correlation: Interval
    events: Interval
    p: float
    taggers: int


def predict(
    losses: Sequence[float], changes: Sequence[Resampled | NotDefined | float], seed: int = 0
) -> Prediction | NotDefined:
    """Rank correlation of losses under attack with changes under variations, a pair for each tagger.

    Args:
        losses: Loss of each tagger.
        changes: Mean change of each tagger, with the same resamples.
        seed: Seed of the permutations.
    """
    pairs = [(loss, number) for loss, number in zip(losses, changes, strict=True) if not isinstance(number, NotDefined)]
    if len(pairs) < 4:
        return NotDefined("fewer than 4 taggers")
    x = np.array([loss for loss, _ in pairs])
    y = np.array([number.value if isinstance(number, Resampled) else number for _, number in pairs])
    correlation = rank_correlation(x, y)
    resampled = [number.values for _, number in pairs if isinstance(number, Resampled)]
    values = np.transpose(resampled) if resampled else y[None]
    of_events = np.array([stats.spearmanr(x, row).statistic if np.ptp(row) else 0.0 for row in values])
    return Prediction(correlation, Interval.of(correlation.value, of_events), _permuted_p(x, y, seed), len(pairs))


def _permuted_p(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Share of the permutations whose |ρ| is as large."""
    ranks = [stats.rankdata(values) - (len(x) + 1) / 2 for values in (x, y)]
    generator = np.random.default_rng(seed)
    permuted = generator.permuted(np.tile(ranks[1], (_PERMUTATIONS, 1)), axis=1)
    extreme = np.abs(permuted @ ranks[0]) >= abs(ranks[0] @ ranks[1]) - 1e-9
    return float((1 + extreme.sum()) / (1 + _PERMUTATIONS))
