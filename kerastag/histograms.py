"""Histograms of features: their bins, what is in them, and how much clean and attacked ones differ. Without TensorFlow.

The first and the last bin of every histogram also hold what lies beyond.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import hist
import numpy as np
from scipy.spatial.distance import jensenshannon

from kerastag.schema import Schema
from kerastag.schema.variables import Feature

_BINS = 50


class Histogram(NamedTuple):
    """What is in the bins.

    Attributes:
        sums: Sums of weights, `(bins,)`.
        variances: Sums of squared weights, `(bins,)`.
    """

    sums: np.ndarray
    variances: np.ndarray


class Difference(NamedTuple):
    """How much two histograms differ.

    Attributes:
        chi2_per_ndf: χ² per degree of freedom, against an uncertainty.
        jensen_shannon: Jensen-Shannon divergence, bits.
    """

    chi2_per_ndf: float
    jensen_shannon: float


def edges_of(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Bin edges of figures: unit bins for whole numbers, else 50 of equal width over the central 99 %.

    Args:
        feature: The feature.
        values: Its present values, `(jets,)`.

    Returns:
        `(bins + 1,)`.
    """
    low, high = np.percentile(values, (0.5, 99.5)) if len(values) else (0.0, 1.0)
    if feature.integer:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1)


def histogram(values: np.ndarray, edges: np.ndarray, weights: np.ndarray | None = None) -> Histogram:
    """Fill a histogram.

    Args:
        values: `(jets,)`.
        edges: `(bins + 1,)`.
        weights: `(jets,)`; None for equal ones.
    """
    axis = hist.axis.Variable([-np.inf, *edges[1:-1], np.inf], flow=False)
    view = hist.Hist(axis, storage=hist.storage.Weight()).fill(values, weight=weights).view()
    return Histogram(view["value"], view["variance"])


def counts(values: np.ndarray, edges: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Sum of weights in each bin, `(bins,)`; arguments as of `histogram`."""
    return histogram(values, edges, weights).sums


def histograms(
    schema: Schema, name: str, x: np.ndarray, attacked: Mapping[str, np.ndarray], label: np.ndarray, weights: np.ndarray
) -> dict[str, Any]:
    """Histograms of a feature by flavour, without absent cells.

    Args:
        schema: Schema of the features.
        name: Name of the feature.
        x: Clean features `(jets, features)`.
        attacked: Attacked features by tagger.
        label: Class indices `(jets,)`.
        weights: `(jets,)`.

    Returns:
        `edges`; `clean[flavour]` and `attacked[tagger][flavour]`, sums of weights; `variance`, sum of squared weights of all
        clean jets in each bin; and `absent`, the share of jets that are left out. Lists, for JSON.
    """
    column = schema.index(name)
    feature = schema.features[column]
    present = x[:, column] != np.float32(feature.default)
    edges = edges_of(feature, x[present, column])
    of_flavour = {flavour: present & (label == number) for number, flavour in enumerate(schema.class_names)}

    def by_flavour(features: np.ndarray) -> dict[str, list[float]]:
        return {flavour: counts(features[jets, column], edges, weights[jets]).tolist() for flavour, jets in of_flavour.items()}

    return {
        "edges": edges.tolist(),
        "clean": by_flavour(x),
        "attacked": {tagger: by_flavour(features) for tagger, features in attacked.items()},
        "variance": histogram(x[present, column], edges, weights[present]).variances.tolist(),
        "absent": float(weights[~present].sum() / weights.sum()),
    }


def squared_error(clean: np.ndarray, variance: np.ndarray, uncertainty: float) -> np.ndarray:
    """Squared error of each bin, `(bins,)`: a relative uncertainty and the statistical one.

    A bin has at least the variance of one typical jet, whose weight is Σw²/Σw.

    Args:
        clean: Sums of weights, `(bins,)`.
        variance: Sums of squared weights, `(bins,)`.
        uncertainty: Relative uncertainty of a bin.
    """
    typical_weight = variance.sum() / max(clean.sum(), 1e-30)
    return (uncertainty * clean) ** 2 + np.maximum(variance, typical_weight**2)


def chi2_per_ndf(clean: np.ndarray, attacked: np.ndarray, variance: np.ndarray, uncertainty: float) -> float:
    """χ² per degree of freedom of two histograms of the same sum, which costs a degree of freedom.

    Both are made of the same jets, so the statistical part is generous: a number for figures, no test of whether an attack
    can be seen.

    Args:
        clean: Sums of weights, `(bins,)`.
        attacked: Sums of weights, `(bins,)`.
        variance: Sums of squared weights of clean jets, `(bins,)`.
        uncertainty: Relative uncertainty of a bin.
    """
    filled = (clean > 0) | (attacked > 0)
    error2 = squared_error(clean, variance, uncertainty)
    return float(((attacked - clean)[filled] ** 2 / error2[filled]).sum() / max(np.count_nonzero(filled) - 1, 1))


def jensen_shannon(clean: np.ndarray, attacked: np.ndarray) -> float:
    """Jensen-Shannon divergence of two histograms `(bins,)`, bits."""
    return float(jensenshannon(clean, attacked, base=2) ** 2)


def difference(
    clean: np.ndarray,
    attacked: np.ndarray,
    edges: np.ndarray,
    uncertainty: float,
    weights: np.ndarray | None = None,
) -> Difference:
    """Difference of the histograms of clean and of attacked values of a feature.

    Args:
        clean: Clean values, `(jets,)`.
        attacked: Attacked values, `(jets,)`.
        edges: `(bins + 1,)`.
        uncertainty: Relative uncertainty of a bin, beside its statistical one.
        weights: `(jets,)`; None for equal ones.
    """
    before, after = (histogram(values, edges, weights) for values in (clean, attacked))
    chi2 = chi2_per_ndf(before.sums, after.sums, before.variances, uncertainty)
    return Difference(chi2, jensen_shannon(before.sums, after.sums))
