"""What an attack does to a tagger in use: thresholds frozen on clean jets, efficiencies and mistag rates in bins."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from kerastag.flavours import FLAVOURS
from kerastag.jets import Jets
from kerastag.metrics import MINIMUM_MISTAGGED, Bootstrap, Interval, discriminant
from kerastag.schema import Schema

RATES = (0.1, 0.01, 0.001)
# Working points below this need so many jets; with fewer it rests on a handful of mistagged ones.
_TIGHTEST, _JETS_FOR_TIGHTEST = 0.01, 1_000_000
_PT_BINS, _ETA_BINS, _COUNT_BINS = 4, 3, 4


def threshold(values: np.ndarray, weights: np.ndarray, rate: float) -> float:
    """The value above which the share `rate` of the weights lies.

    Args:
        values: Discriminant of the light jets, `(jets,)`.
        weights: `(jets,)`.
        rate: Mistag rate.
    """
    order = np.argsort(-values, kind="stable")
    above = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(above, rate * above[-1])])


def binnings(schema: Schema, split: Jets) -> dict[str, tuple[list[str], np.ndarray]]:
    """Bins of pT, |η| and number of objects among the inputs; names of the bins, and the bin of each jet `(jets,)`.

    Edges are quantiles, rounded. The objects are tracks, or those of the group with most slots.
    """
    pt = split.features[:, schema.index(schema.pt)]
    eta = np.abs(split.features[:, schema.index(schema.eta)])
    unit = schema.features[schema.index(schema.pt)].unit
    found = {
        f"$p_T$ [{unit}]": _binned(pt, _PT_BINS, 2),
        r"$|\eta|$": _binned(eta, _ETA_BINS, 2),
    }
    if group := schema.largest_group:
        present = split.features != schema.defaults
        slots = [feature.slot if feature.group == group.name else None for feature in schema.features]
        columns = [[column for column, own in enumerate(slots) if own == slot] for slot in range(group.slots)]
        number = np.sum([present[:, own].any(axis=1) for own in columns], axis=0)
        found[f"{group.name}s among the inputs"] = _counted(number)
    return found


def _binned(values: np.ndarray, bins: int, digits: int) -> tuple[list[str], np.ndarray]:
    inner = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    edges = np.unique([float(f"{edge:.{digits}g}") for edge in inner])
    edges = edges[edges > values.min()]
    if not len(edges):
        return ["all"], np.zeros(len(values), int)
    names = [f"< {edges[0]:g}", *(f"{low:g}-{high:g}" for low, high in itertools.pairwise(edges)), f"≥ {edges[-1]:g}"]
    return names, np.searchsorted(edges, values, side="right")


def _counted(number: np.ndarray) -> tuple[list[str], np.ndarray]:
    edges = np.unique(np.quantile(number, np.linspace(0, 1, _COUNT_BINS + 1)[1:-1], method="higher"))
    edges = edges[edges > number.min()]
    if not len(edges):
        return [f"{number.min()}"], np.zeros(len(number), int)
    lows, highs = [number.min(), *edges], [*(edges - 1), number.max()]
    names = [f"{low}" if low == high else f"{low}-{high}" for low, high in zip(lows, highs, strict=True)]
    return names, np.searchsorted(edges, number, side="right")


def working_points(
    label: np.ndarray,
    logits: Mapping[str, np.ndarray],
    bins: Mapping[str, tuple[list[str], np.ndarray]],
    bootstrap: Bootstrap,
    rates: tuple[float, ...] = RATES,
) -> list[dict]:
    """Efficiencies and mistag rates of b-tagging at fixed thresholds.

    Args:
        label: Class indices b, c, light, `(jets,)`.
        logits: By condition, `(jets, classes)` each; the first must be that of clean jets, on which thresholds are set.
        bins: As `binnings` gives them.
        bootstrap: Resamples for the errors, and the weights.
        rates: Mistag rates of light jets on clean jets.

    Returns:
        Tidy rows: working_point, condition, binning, bin, flavour, jets (number that is tagged), value, low, high (68 %), and
        ratio, ratio_low, ratio_high to the clean ones, paired. A rate of which fewer than 20 jets are tagged, here or on clean
        jets, has None for numbers.
    """
    scores = {condition: discriminant(values, "BvL") for condition, values in logits.items()}
    clean = next(iter(scores.values()))
    light = label == FLAVOURS.index("light")
    everywhere = {"all": (["all"], np.zeros(len(label), int))} | dict(bins)
    rows: list[dict] = []
    for rate in rates:
        if rate < _TIGHTEST and len(label) < _JETS_FOR_TIGHTEST:
            continue
        cut = threshold(clean[light], bootstrap.weights[light], rate)
        tagged = {condition: values >= cut for condition, values in scores.items()}
        for binning, (names, index) in everywhere.items():
            found = _rates(label, tagged, names, index, bootstrap)
            rows += [{"working_point": rate, "binning": binning, **row} for row in found]
    return rows


def _rates(
    label: np.ndarray, tagged: Mapping[str, np.ndarray], names: list[str], index: np.ndarray, bootstrap: Bootstrap
) -> Iterator[dict]:
    """Rows of each condition, bin and flavour; the first condition is that of clean jets."""
    key = index * len(FLAVOURS) + label
    size = len(names) * len(FLAVOURS)
    first = None
    for condition, passed in tagged.items():

        def shares(weights: np.ndarray, passed=passed) -> np.ndarray:
            total = np.bincount(key, weights, size)
            return np.bincount(key[passed], weights[passed], size) / np.where(total > 0, total, np.nan)

        now = np.bincount(key[passed], minlength=size), shares(bootstrap.weights), bootstrap.values(shares)
        first = first or now
        for cell in range(size):
            where = {"bin": names[cell // len(FLAVOURS)], "flavour": FLAVOURS[cell % len(FLAVOURS)]}
            enough = min(now[0][cell], first[0][cell]) >= MINIMUM_MISTAGGED
            numbers = _numbers(now, first, cell) if enough else _NOTHING
            yield {"condition": condition, **where, "jets": int(now[0][cell]), **numbers}


_NOTHING = dict.fromkeys(("value", "low", "high", "ratio", "ratio_low", "ratio_high"))


def _numbers(now: tuple, first: tuple, cell: int) -> dict[str, float]:
    """A rate and its ratio to that of clean jets; `now` and `first` are counts, rates and resampled rates by cell."""
    own = Interval.of(now[1][cell], now[2][:, cell])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = Interval.of(now[1][cell] / first[1][cell], now[2][:, cell] / first[2][:, cell])
    return dataclasses.asdict(own) | ratio.named("ratio")
