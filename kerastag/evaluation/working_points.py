"""What an attack does to a tagger in use: thresholds frozen on clean jets, efficiencies and mistag rates in bins."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerastag.jets import Jets
from kerastag.metrics import MINIMUM_MISTAGGED, Bootstrap, discriminant
from kerastag.results import NotDefined, Number, Resampled
from kerastag.schema import Schema, Separation
from kerastag.schema.variables import Group

# Mistag rates of the clean jets to reject, light ones with b, c and light, that set the threshold of tagging: the one that
# tables show, those of tables that have several, and those of the report.
MISTAG_RATE = 0.01
MISTAG_RATES = (0.1, MISTAG_RATE)
RATES = (*MISTAG_RATES, 0.001)
# Working points below this need so many jets; with fewer it rests on a handful of mistagged ones.
_TIGHTEST, _JETS_FOR_TIGHTEST = 0.01, 1_000_000
_PT_BINS, _ETA_BINS, _COUNT_BINS = 4, 3, 4


class Binning(NamedTuple):
    """Jets in bins of a quantity.

    Attributes:
        names: Name of each bin.
        numbers: Number of the bin of each jet, `(jets,)`.
    """

    names: list[str]
    numbers: np.ndarray


def threshold(values: np.ndarray, weights: np.ndarray, rate: float) -> float:
    """The value above which the share `rate` of the weights lies; NaN, which no jet passes, where they add up to nothing.

    Args:
        values: Discriminant of the jets to reject, `(jets,)`.
        weights: `(jets,)`.
        rate: Mistag rate.
    """
    order = np.argsort(-values, kind="stable")
    above = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(above, rate * above[-1])]) if above[-1] > 0 else float("nan")


def binnings(schema: Schema, jets: Jets) -> dict[str, Binning]:
    """Bins of pT and |η|, where the schema has them, and of the number of objects among the inputs, by the label of an axis.

    Edges are quantiles, rounded. The objects are tracks, or those of the group with most slots.
    """
    by_quantity = {}
    if schema.pt:
        column = schema.index(schema.pt)
        label = f"$p_T$ [{schema.features[column].unit}]"
        by_quantity[label] = _bin_by_value(jets.features[:, column], _PT_BINS, 2)
    if schema.eta:
        eta = np.abs(jets.features[:, schema.index(schema.eta)])
        by_quantity[r"$|\eta|$"] = _bin_by_value(eta, _ETA_BINS, 2)
    if group := schema.largest_group:
        by_quantity[f"{group.name}s among the inputs"] = _bin_by_count(_number_of_objects(schema, group, jets))
    return by_quantity


def _number_of_objects(schema: Schema, group: Group, jets: Jets) -> np.ndarray:
    """Slots of a group in which a jet has any value, int64 `(jets,)`."""
    present = jets.features != schema.defaults
    slots = np.array([feature.slot if feature.group == group.name else -1 for feature in schema.features])
    return np.sum([present[:, slots == slot].any(axis=1) for slot in range(group.slots or 0)], axis=0)


def _bin_by_value(values: np.ndarray, bins: int, digits: int) -> Binning:
    """Bins between quantiles, rounded to some digits."""
    inner = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    edges = np.unique([float(f"{edge:.{digits}g}") for edge in inner])
    edges = edges[edges > values.min()]
    if not len(edges):
        return Binning(["all"], np.zeros(len(values), int))
    names = [f"< {edges[0]:g}", *(f"{low:g}-{high:g}" for low, high in itertools.pairwise(edges)), f"≥ {edges[-1]:g}"]
    return Binning(names, np.searchsorted(edges, values, side="right"))


def _bin_by_count(numbers: np.ndarray) -> Binning:
    """Bins between quantiles of whole numbers."""
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _COUNT_BINS + 1)[1:-1], method="higher"))
    edges = edges[edges > numbers.min()]
    if not len(edges):
        return Binning([f"{numbers.min()}"], np.zeros(len(numbers), int))
    lows, highs = [numbers.min(), *edges], [*(edges - 1), numbers.max()]
    names = [f"{low}" if low == high else f"{low}-{high}" for low, high in zip(lows, highs, strict=True)]
    return Binning(names, np.searchsorted(edges, numbers, side="right"))


def working_points(
    label: np.ndarray,
    logits: Mapping[str, np.ndarray],
    bins: Mapping[str, Binning],
    bootstrap: Bootstrap,
    separation: Separation,
    rates: tuple[float, ...] = RATES,
) -> list[dict[str, Any]]:
    """Efficiencies and mistag rates of a discriminator at fixed thresholds.

    Args:
        label: Class indices, `(jets,)`.
        logits: By condition, `(jets, classes)` each; the first must be that of clean jets, on which thresholds are set.
        bins: As `binnings` gives them.
        bootstrap: Resamples for the errors, and the weights.
        separation: The discriminator, usually the main one of the schema.
        rates: Mistag rates of the jets to reject, all its classes together, on clean jets.

    Returns:
        Tidy rows: `working_point`, `condition`, `binning`, `bin`, `flavour`, number of `jets` that are tagged, their `rate`,
        and its `ratio` to that of clean jets, paired. Rate and ratio are not defined where fewer than 20 jets are tagged, in
        the row or among clean jets.
        Nor are they where outputs are not numbers: such a jet is on neither side of a threshold.
    """
    scores = {condition: discriminant(values, separation) for condition, values in logits.items()}
    clean = next(iter(scores.values()))
    rejected = np.isin(label, separation.columns[1])
    with_inclusive = {"all": Binning(["all"], np.zeros(len(label), int))} | dict(bins)
    rows: list[dict[str, Any]] = []
    for rate in rates:
        if rate < _TIGHTEST and len(label) < _JETS_FOR_TIGHTEST:
            continue
        cut = threshold(clean[rejected], bootstrap.weights[rejected], rate)
        for name, binning in with_inclusive.items():
            cells = _cells(label, scores, cut, binning, bootstrap, separation.class_names)
            rows += [{"working_point": rate, "condition": condition, "binning": name, **cell} for condition, cell in cells]
    return rows


@dataclasses.dataclass(frozen=True)
class _Rates:
    """Jets above a threshold, by cell: a bin and a flavour.

    Attributes:
        jets: Number of the jets that are tagged, `(cells,)`.
        values: Share of the jets that are tagged, `(cells,)`.
        resampled: The same for each resample, `(replicates, cells)`.
        undefined: Why there are no rates; None where there are.
    """

    jets: np.ndarray
    values: np.ndarray
    resampled: np.ndarray
    undefined: NotDefined | None

    @classmethod
    def of(cls, cells: np.ndarray, size: int, scores: np.ndarray, cut: float, bootstrap: Bootstrap) -> "_Rates":
        """Rates of jets in some cells, int `(jets,)`, whose scores `(jets,)` may be above a threshold."""
        passed = scores >= cut
        nans = np.count_nonzero(np.isnan(scores))
        undefined = NotDefined(f"the outputs of {nans:,} jets are not finite") if nans else None

        def shares(weights: np.ndarray) -> np.ndarray:
            total = np.bincount(cells, weights, size)
            return np.bincount(cells[passed], weights[passed], size) / np.where(total > 0, total, np.nan)

        jets = np.bincount(cells[passed], minlength=size)
        return cls(jets, shares(bootstrap.weights), bootstrap.values(shares), undefined)

    def rate(self, cell: int) -> Resampled:
        """Share of the jets of a cell that are tagged."""
        return Resampled(float(self.values[cell]), self.resampled[:, cell])


def _cells(
    label: np.ndarray,
    scores: Mapping[str, np.ndarray],
    cut: float,
    binning: Binning,
    bootstrap: Bootstrap,
    classes: Sequence[str],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Condition and numbers of each bin and flavour; the first condition is that of clean jets."""
    cells, size = binning.numbers * len(classes) + label, len(binning.names) * len(classes)
    rates = {condition: _Rates.of(cells, size, values, cut, bootstrap) for condition, values in scores.items()}
    clean = next(iter(rates.values()))
    for condition, attacked in rates.items():
        for cell, (name, flavour) in enumerate(itertools.product(binning.names, classes)):
            rate, ratio = _rate_and_ratio(attacked, clean, cell)
            jets = int(attacked.jets[cell])
            yield condition, {"bin": name, "flavour": flavour, "jets": jets, "rate": rate, "ratio": ratio}


def _rate_and_ratio(attacked: _Rates, clean: _Rates, cell: int) -> tuple[Number, Number]:
    for rates in (attacked, clean):
        if rates.undefined is not None:
            return rates.undefined, rates.undefined
    if min(attacked.jets[cell], clean.jets[cell]) < MINIMUM_MISTAGGED:
        few = NotDefined(f"fewer than {MINIMUM_MISTAGGED} jets")
        return few, few
    rate = attacked.rate(cell)
    return rate.interval, (rate / clean.rate(cell)).interval
