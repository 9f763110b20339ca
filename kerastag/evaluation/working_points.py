"""What an attack does to a tagger in use: thresholds frozen on clean jets, efficiencies and mistag rates in bins."""

import itertools
from collections.abc import Mapping

import numpy as np

from kerastag.data import Split
from kerastag.flavours import FLAVOURS
from kerastag.metrics import MINIMUM_MISTAGGED, Bootstrap, Interval, discriminant
from kerastag.schema import Schema

RATES = (0.1, 0.01, 0.001)
# The tightest working point needs so many jets; with fewer it rests on a handful of mistagged ones.
_JETS_FOR_TIGHTEST = 1_000_000
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


def binnings(schema: Schema, split: Split) -> dict[str, tuple[list[str], np.ndarray]]:
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
    group = max(schema.groups, key=lambda one: one.slots or 0)
    if group.slots:
        objects = {feature.slot: [] for feature in schema.features if feature.group == group.name}
        for column, feature in enumerate(schema.features):
            if feature.group == group.name:
                objects[feature.slot].append(column)
        present = split.features != schema.defaults
        number = sum(present[:, columns].any(axis=1).astype(int) for columns in objects.values())
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
    rows: list[dict] = []
    scores = {condition: discriminant(values, "BvL") for condition, values in logits.items()}
    clean = next(iter(scores.values()))
    light = label == FLAVOURS.index("light")
    cells = {("all", "all"): np.zeros(len(label), int)} | {(name, ""): index for name, (_, index) in bins.items()}
    draws = list(bootstrap.draws())
    for rate in rates:
        if rate < 0.01 and len(label) < _JETS_FOR_TIGHTEST:
            continue
        cut = threshold(clean[light], bootstrap.weights[light], rate)
        for (binning, _), index in cells.items():
            names = bins[binning][0] if binning in bins else ["all"]
            key = index * len(FLAVOURS) + label
            size = len(names) * len(FLAVOURS)

            def shares(weights, passed, key=key, size=size):
                total = np.bincount(key, weights, size)
                return np.bincount(key[passed], weights[passed], size) / np.where(total > 0, total, np.nan)

            first = None
            for condition, values in scores.items():
                passed = values >= cut
                number = np.bincount(key[passed], minlength=size)
                value, resampled = shares(bootstrap.weights, passed), np.array([shares(draw, passed) for draw in draws])
                first = first or (number, value, resampled)
                for cell in range(size):
                    where = {
                        "working_point": rate,
                        "condition": condition,
                        "binning": binning,
                        "bin": names[cell // len(FLAVOURS)],
                        "flavour": FLAVOURS[cell % len(FLAVOURS)],
                        "jets": int(number[cell]),
                    }
                    enough = min(number[cell], first[0][cell]) >= MINIMUM_MISTAGGED
                    rows.append(where | (_numbers(value, resampled, first, cell) if enough else _NOTHING))
    return rows


_NOTHING = dict.fromkeys(("value", "low", "high", "ratio", "ratio_low", "ratio_high"))


def _numbers(value: np.ndarray, resampled: np.ndarray, first: tuple, cell: int) -> dict[str, float]:
    own = Interval.of(value[cell], resampled[:, cell])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = Interval.of(value[cell] / first[1][cell], resampled[:, cell] / first[2][:, cell])
    return {
        "value": own.value,
        "low": own.low,
        "high": own.high,
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
    }
