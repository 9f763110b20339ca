"""An attack on a whole data set that no one-dimensional distribution of any flavour shows.

Jets are attacked together: jets of a flavour exchange the values of a feature. Of jets with about the same value, the half that
gains most by a larger one goes up, the other goes down, each as far as its box lets it. As the values stay the same, so does
every marginal, whatever its binning, at any number of jets; a tolerance lets some of them differ. Values that many jets share,
as those of a table, take no part. Whether the result can be told from independent clean jets,
`kerastag.evaluation.visibility` decides.

Reference: for the aim, CONSERVAttack, arXiv:2603.13970; the exchange is our own.
"""

import dataclasses

import keras
import numpy as np

from kerastag.attacks.base import Attack
from kerastag.attacks.exchange import Exchange, batches, by_flavour, distances
from kerastag.attacks.samples import attacked_features
from kerastag.attacks.threat_model import ThreatModel
from kerastag.statistics import correlations


@dataclasses.dataclass(frozen=True)
class Marginals:
    """How much the distributions of attacked jets differ from those of the same jets, clean.

    Attributes:
        distance: Kolmogorov-Smirnov distance by flavour and feature, without absent cells, `(classes, features)`.
        correlation: Largest change of a linear correlation between two features in a flavour.
        moved: Share of the cells that may move and did.
    """

    distance: np.ndarray
    correlation: float
    moved: float


def compare_marginals(x: np.ndarray, attacked: np.ndarray, y: np.ndarray, threat_model: ThreatModel) -> Marginals:
    """Compare attacked jets with the same jets, clean.

    Args:
        x: Clean features, float32 `(jets, features)`.
        attacked: Attacked features, `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        threat_model: Says which cells may move.
    """
    distance, change = np.zeros((y.shape[1], x.shape[1])), 0.0
    for flavour, rows in by_flavour(y):
        clean, moved = x[rows], attacked[rows]
        distance[flavour] = distances(clean, moved, threat_model.default)
        change = max(change, _change_of_correlation(clean, moved, threat_model.default))
    moves = np.concatenate([np.asarray(threat_model.moves(batch)) for batch in batches(x)])
    share = float((x != attacked)[moves].mean()) if moves.any() else 0.0
    return Marginals(distance, change, share)


def marginal_preserving(
    attack: Attack,
    tagger: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    attacked: np.ndarray | None = None,
    tolerance: float = 0.0,
    correlation: float | None = None,
) -> tuple[np.ndarray, Marginals]:
    """Attack all jets such that the distribution of every feature in every flavour stays as it is.

    Features that follow others, which no exchange of their own preserves, may show a distance well below the fluctuations of as
    many jets; what shows more is given up, the less useful half of it first.

    Args:
        attack: Tells where each cell should go; its threat model holds for the result.
        tagger: From raw features to logits.
        x: Clean features of the whole data set, float32 `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        attacked: Features as the attack leaves them, `(jets, features)`; None to make them.
        tolerance: Largest Kolmogorov-Smirnov distance of a feature in a flavour.
        correlation: Largest change of a linear correlation in a flavour; None for no such bound.

    Returns:
        Attacked features, float32 `(jets, features)`, and how their marginals compare.

    Raises:
        UserError: if a tolerance is negative.
    """
    if attacked is None:
        attacked = attacked_features(tagger, x, y, attack)
    preserved = Exchange(attack, tagger, x, y)(attacked, tolerance=tolerance, correlation=correlation)
    return preserved, compare_marginals(x, preserved, y, attack.threat_model)


def _change_of_correlation(clean: np.ndarray, attacked: np.ndarray, default: np.ndarray) -> float:
    return float(np.abs(correlations(attacked, default) - correlations(clean, default)).max())
