"""Do the one-dimensional distributions of attacked inputs look normal? An answer in numbers, feature by feature."""

from typing import Any

import numpy as np

from kerastag.attacks import ThreatModel
from kerastag.attacks.marginals import compare_marginals
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


def normality(
    schema: Schema,
    x: np.ndarray,
    attacked: np.ndarray,
    weights: np.ndarray,
    threat_model: ThreatModel,
    uncertainty: float,
) -> dict[str, Any]:
    """Whether distributions look normal, feature by feature.

    Twice: in the bins that figures show, 50 of equal width over the central 99 %, and in 50 of equal content, which also
    see what happens inside a narrow peak.

    Args:
        schema: Schema of the features.
        x: Clean features `(jets, features)`.
        attacked: Attacked features `(jets, features)`.
        weights: `(jets,)`.
        threat_model: Says which cells may move.
        uncertainty: Relative uncertainty of a bin, beside its statistical one.

    Returns:
        `features`, rows of χ²/ndf and Jensen-Shannon divergence in bits in both binnings, without features that never move;
        and a summary: how many move, how many of them look normal (χ²/ndf at most 1) in either binning, the largest and
        median numbers, and the largest change of a linear correlation.
    """
    fine = compare_marginals(x, attacked, threat_model, uncertainty)
    chi2, divergence = as_drawn(schema, x, attacked, weights, uncertainty)
    moves = (x != attacked).any(axis=0)
    rows = [
        {
            "feature": schema.names[column],
            "group": schema.features[column].group,
            "chi2_per_ndf": float(chi2[column]),
            "jensen_shannon_bits": float(divergence[column]),
            "fine_chi2_per_ndf": float(fine.chi2[column]),
            "fine_jensen_shannon_bits": float(fine.jensen_shannon[column]),
        }
        for column in np.flatnonzero(moves)
    ]
    return {
        "features": rows,
        "moving": int(moves.sum()),
        "normal": int((chi2[moves] <= 1).sum()),
        "normal_in_fine_bins": int((fine.chi2[moves] <= 1).sum()),
        "largest_chi2_per_ndf": float(chi2.max(initial=0)),
        "median_chi2_per_ndf": float(np.median(chi2[moves])) if moves.any() else 0.0,
        "largest_jensen_shannon_bits": float(divergence.max(initial=0)),
        "largest_change_of_correlation": fine.correlation,
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
