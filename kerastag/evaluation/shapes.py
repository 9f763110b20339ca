"""Do the one-dimensional distributions of attacked inputs look normal? An answer in numbers, feature by feature."""

from typing import Any

import numpy as np

from kerastag.evaluation.visibility import Visibility
from kerastag.histograms import difference, edges_of
from kerastag.schema import Schema


def as_drawn(
    schema: Schema, x: np.ndarray, attacked: np.ndarray, weights: np.ndarray, uncertainty: float
) -> tuple[np.ndarray, np.ndarray]:
    """χ²/ndf and Jensen-Shannon divergence in bits of the histograms that figures show, `(features,)` each.

    Args:
        schema: Schema of the features.
        x: Clean features `(jets, features)`.
        attacked: Attacked features `(jets, features)`.
        weights: `(jets,)`.
        uncertainty: Relative uncertainty of a bin, beside its statistical one.

    Returns:
        Zeros for features that do not move; absent cells, which never do, are left out.
    """
    chi2, divergence = np.zeros((2, len(schema.features)))
    for column in np.flatnonzero((x != attacked).any(axis=0)):
        feature = schema.features[column]
        present = x[:, column] != np.float32(feature.default)
        clean, moved = (features[present, column] for features in (x, attacked))
        edges = edges_of(feature, clean)
        chi2[column], divergence[column] = difference(clean, moved, edges, uncertainty, weights[present])
    return chi2, divergence


def normality(schema: Schema, x: np.ndarray, attacked: np.ndarray, weights: np.ndarray, found: Visibility) -> dict[str, Any]:
    """Whether distributions look normal, feature by feature.

    Whether they do, tests against independent jets decide. Beside them stands how much the histograms of figures change, which
    are those of the same jets.

    Args:
        schema: Schema of the features.
        x: Clean features `(jets, features)`.
        attacked: Attacked features `(jets, features)`.
        weights: `(jets,)`.
        found: What tests against independent jets have found.

    Returns:
        `features`, rows of the clearest test of each feature that moves and of χ²/ndf and Jensen-Shannon divergence in bits as
        drawn; and a summary: how many move, how many of them look normal, and the largest numbers.
    """
    chi2, divergence = as_drawn(schema, x, attacked, weights, found.uncertainty)
    moves = (x != attacked).any(axis=0)
    rows = [
        {
            "feature": schema.names[column],
            "group": schema.features[column].group,
            **found.of(schema.names[column]),
            "chi2_per_ndf": float(chi2[column]),
            "jensen_shannon_bits": float(divergence[column]),
        }
        for column in np.flatnonzero(moves)
    ]
    return {
        "features": rows,
        "moving": len(rows),
        "normal": sum(not row["shows"] for row in rows),
        "largest_distance": max((row["distance"] for row in rows), default=0.0),
        "jets": min((row["jets"] for row in rows if row["jets"] is not None), default=None),
        "largest_chi2_per_ndf": float(chi2.max(initial=0)),
        "largest_jensen_shannon_bits": float(divergence.max(initial=0)),
    }


def one_of_each_variable(schema: Schema, importance: np.ndarray, number: int) -> list[str]:
    """Names of the most important features, no more than one slot of each variable.

    Args:
        schema: Schema of the features.
        importance: `(features,)`; features of 0 or less, or NaN, are not taken.
        number: Largest number of names.
    """
    by_variable: dict[str, str] = {}
    for column in np.argsort(-np.nan_to_num(importance, nan=-np.inf), kind="stable"):
        if importance[column] > 0 and len(by_variable) < number:
            by_variable.setdefault(schema.features[column].variable, schema.names[column])
    return list(by_variable.values())
