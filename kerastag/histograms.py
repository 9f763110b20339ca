"""Histograms of features, clean and attacked, as figures draw them. NumPy alone."""

from collections.abc import Mapping

import numpy as np

from kerastag.schema import Schema
from kerastag.schema.structure import Feature

_BINS = 50


def edges_of(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Bin edges: unit bins for whole numbers, else 50 over the central 99 % of present values `(jets,)`."""
    low, high = np.percentile(values, (0.5, 99.5)) if len(values) else (0.0, 1.0)
    if feature.integer:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1)


def counts(values: np.ndarray, edges: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of weights in each bin, `(bins,)`; the first and the last bin hold what lies beyond."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges, weights=weights)[0]


def histograms(
    schema: Schema, name: str, x: np.ndarray, attacked: Mapping[str, np.ndarray], label: np.ndarray, weights: np.ndarray
) -> dict:
    """Histograms of one feature by flavour, without absent cells.

    Args:
        schema: Says what the columns are.
        name: The feature.
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
    here = x[:, column] != np.float32(feature.default)
    edges = edges_of(feature, x[here, column])

    def by_flavour(values: np.ndarray) -> dict[str, list[float]]:
        return {
            flavour: counts(values[own, column], edges, weights[own]).tolist()
            for number, flavour in enumerate(schema.class_names)
            for own in [here & (label == number)]
        }

    return {
        "edges": edges.tolist(),
        "clean": by_flavour(x),
        "attacked": {tagger: by_flavour(values) for tagger, values in attacked.items()},
        "variance": counts(x[here, column], edges, weights[here] ** 2).tolist(),
        "absent": float(weights[~here].sum() / weights.sum()),
    }


def chi2_per_ndf(clean: np.ndarray, attacked: np.ndarray, variance: np.ndarray, uncertainty: float) -> float:
    """χ²/ndf of two histograms of the same sum, `(bins,)` each, against a relative uncertainty and the statistical one.

    Both are made of the same jets, so the statistical part is generous. An empty bin has the variance of one jet.

    Args:
        clean: Sums of weights.
        attacked: Sums of weights.
        variance: Sums of squared weights of clean jets.
        uncertainty: Relative uncertainty of a bin.
    """
    filled = (clean > 0) | (attacked > 0)
    one_jet = variance.sum() / max(clean.sum(), 1e-30)  # Σw²/Σw, the weight of a typical jet
    sigma2 = (uncertainty * clean) ** 2 + np.maximum(variance, one_jet**2)
    return float(((attacked - clean)[filled] ** 2 / sigma2[filled]).sum() / max(filled.sum() - 1, 1))
