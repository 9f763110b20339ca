"""An attack on a whole data set that no one-dimensional check sees.

Jets are attacked together, and moves that would show in the histogram of a feature are taken back, least useful first: what
enters a bin must be balanced by what leaves it, within a tolerance. What is left is mismodelling of the kind that agreement of
all marginals cannot exclude.

Reference: for the aim, CONSERVAttack, arXiv:2603.13970; the way of taking moves back is our own.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from scipy.spatial.distance import jensenshannon

from kerastag.attacks.base import Attack
from kerastag.attacks.threat_model import ThreatModel
from kerastag.errors import UserError
from kerastag.statistics import correlations

MEASURES = ("chi2", "jensen_shannon")
_BATCH = 8192


@dataclasses.dataclass(frozen=True)
class Marginals:
    """How much the histograms of attacked jets differ from those of clean ones.

    Attributes:
        chi2: χ²/ndf of each feature against the uncertainty, `(features,)`.
        jensen_shannon: Divergence of each feature in bits, `(features,)`.
        correlation: Largest change of a linear correlation between two features.
        moved: Share of the cells that may move and did.
    """

    chi2: np.ndarray
    jensen_shannon: np.ndarray
    correlation: float
    moved: float


def compare_marginals(
    x: np.ndarray, attacked: np.ndarray, threat_model: ThreatModel, uncertainty: float = 0.05, bins: int = 50
) -> Marginals:
    """Compare clean and attacked jets, both `(jets, features)`; absent cells and whole numbers do not move and are left out.

    Args:
        x: Clean features.
        attacked: Attacked features.
        threat_model: Says which cells may move.
        uncertainty: Relative uncertainty of a bin, beside its statistical one.
        bins: Number of bins, with the same number of clean jets in each where values allow it.
    """
    width = x.shape[1]
    chi2, divergence = np.zeros(width), np.zeros(width)
    for column in range(width):
        here = x[:, column] != threat_model.default[column]
        if here.any():
            edges = _edges(x[here, column], bins)
            clean, moved = (_counts(values[here, column], edges) for values in (x, attacked))
            chi2[column], divergence[column] = _chi2(clean, moved, uncertainty), _jensen_shannon(clean, moved)
    free = np.asarray(threat_model.budget(x)) > 0
    moved = float((x != attacked)[free].mean()) if free.any() else 0.0
    change = abs(correlations(attacked, threat_model.default) - correlations(x, threat_model.default)).max()
    return Marginals(chi2, divergence, float(change), moved)


def marginal_preserving(
    attack: Attack,
    tagger: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    bound: float = 1.0,
    measure: str = "chi2",
    uncertainty: float = 0.05,
    bins: int = 50,
    correlation: float | None = None,
) -> tuple[np.ndarray, Marginals]:
    """Attack all jets, and take moves back until every marginal stays within a bound.

    Args:
        attack: Makes the moves; its threat model holds for the result.
        tagger: From raw features to logits.
        x: Clean features of the whole data set, float32 `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        bound: Largest χ²/ndf, or Jensen-Shannon divergence in bits, of any feature.
        measure: "chi2" or "jensen_shannon".
        uncertainty: Relative uncertainty of a bin, beside its statistical one, for χ².
        bins: Number of bins of a histogram.
        correlation: Largest change of any linear correlation; None for no such bound.

    Returns:
        Attacked features, float32 `(jets, features)`, and how their marginals compare.

    Raises:
        UserError: if an option is out of range.
    """
    if measure not in MEASURES:
        raise UserError(f"'{measure}' is no value for `measure`; choose {' or '.join(MEASURES)}.")
    if not bound >= 0 or not uncertainty >= 0 or bins < 2:
        raise UserError(f"`bound` and `uncertainty` must be at least 0, `bins` 2. Received: {bound}, {uncertainty}, {bins}.")
    attacked, gain = _attacked_with_gain(attack, tagger, x, y)
    for column in np.flatnonzero((attacked != x).any(axis=0)):
        here = x[:, column] != attack.threat_model.default[column]
        edges = _edges(x[here, column], bins)

        def within(clean: np.ndarray, moved: np.ndarray) -> bool:
            found = _chi2(clean, moved, uncertainty) if measure == "chi2" else _jensen_shannon(clean, moved)
            return found <= bound

        take_back = _unbalanced(x[here, column], attacked[here, column], gain[here, column], edges, uncertainty, within)
        rows = np.flatnonzero(here)[take_back]
        attacked[rows, column] = x[rows, column]
    if correlation is not None:
        _keep_correlations(x, attacked, gain.sum(axis=1), attack.threat_model, correlation)
    return attacked, compare_marginals(x, attacked, attack.threat_model, uncertainty, bins)


def _attacked_with_gain(attack: Attack, tagger: keras.Model, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Attacked jets, and what each move adds to the objective to first order, `(jets, features)` each."""
    attack.restart()

    @tf.function(input_signature=[tf.TensorSpec((None, values.shape[1]), tf.float32) for values in (x, y)])
    def one(x, y):
        attacked = attack(tagger, x, y)
        _, gradient = attack.bind(tagger, y).gradient(x)
        return attacked, gradient * (attacked - x)

    parts = [one(x[i : i + _BATCH], y[i : i + _BATCH]) for i in range(0, len(x), _BATCH)]
    return tuple(np.concatenate([part[place].numpy() for part in parts]) for place in (0, 1))


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Inner edges of bins with equally many values, as far as they differ."""
    return np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))


def _counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).astype(float)


def _sigma(clean: np.ndarray, uncertainty: float) -> np.ndarray:
    return np.sqrt((uncertainty * clean) ** 2 + np.maximum(clean, 1))


def _chi2(clean: np.ndarray, moved: np.ndarray, uncertainty: float) -> float:
    """χ²/ndf; both histograms have the same sum, so a degree of freedom is lost."""
    return float(((moved - clean) ** 2 / _sigma(clean, uncertainty) ** 2).sum() / max(len(clean) - 1, 1))


def _jensen_shannon(clean: np.ndarray, moved: np.ndarray) -> float:
    """Jensen-Shannon divergence of two histograms, bits."""
    return float(jensenshannon(clean, moved, base=2) ** 2)


def _unbalanced(
    clean: np.ndarray, moved: np.ndarray, gain: np.ndarray, edges: np.ndarray, uncertainty: float, within
) -> np.ndarray:
    """Which moves of one feature to take back, bool `(jets,)`, so that its histogram stays within a bound.

    Nothing if it does already; else bins are balanced within their uncertainty, and half of it, until the bound holds.
    """
    source, target = (np.searchsorted(edges, values, side="right") for values in (clean, moved))
    bins = len(edges) + 1
    before = np.bincount(source, minlength=bins).astype(float)
    crossing = np.flatnonzero(source != target)
    crossing = crossing[np.argsort(gain[crossing], kind="stable")]  # the least useful first
    taken = np.zeros(len(clean), bool)
    tolerance = _sigma(before, uncertainty)
    while not within(before, np.bincount(np.where(taken, source, target), minlength=bins).astype(float)):
        if tolerance.max() < 0.5:
            taken[crossing] = True
            break
        _balance(source, target, crossing, tolerance, taken)
        tolerance = tolerance / 2
    return taken


def _balance(source: np.ndarray, target: np.ndarray, crossing: np.ndarray, tolerance: np.ndarray, taken: np.ndarray) -> None:
    """Take crossing moves back, in their order, until no bin gains or loses more than its tolerance; changes `taken`."""
    bins = len(tolerance)
    while True:
        left = crossing[~taken[crossing]]
        net = np.bincount(target[left], minlength=bins) - np.bincount(source[left], minlength=bins)
        worst = int(np.argmax(np.abs(net) - tolerance))
        excess = int(np.ceil(abs(net[worst]) - tolerance[worst]))
        if excess <= 0:
            return
        ends = target if net[worst] > 0 else source
        taken[left[ends[left] == worst][:excess]] = True


def _keep_correlations(x: np.ndarray, attacked: np.ndarray, gain: np.ndarray, threat_model: ThreatModel, bound: float) -> None:
    """Take whole jets back, least useful first, until no correlation changes by more than the bound; changes `attacked`."""
    reference = correlations(x, threat_model.default)
    order = np.argsort(gain, kind="stable")
    full = attacked.copy()
    low, high = 0, len(x)  # jets taken back: too few, enough
    if abs(correlations(attacked, threat_model.default) - reference).max() <= bound:
        return
    while high - low > max(1, len(x) // 200):
        middle = (low + high) // 2
        attacked[:] = full
        attacked[order[:middle]] = x[order[:middle]]
        if abs(correlations(attacked, threat_model.default) - reference).max() <= bound:
            high = middle
        else:
            low = middle
    attacked[:] = full
    attacked[order[:high]] = x[order[:high]]
