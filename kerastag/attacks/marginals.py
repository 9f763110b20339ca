"""An attack on a whole data set that no one-dimensional check sees.

Jets are attacked together. Moves that would show in the histogram of a feature are taken back, least useful first: what enters
a bin must be balanced by what leaves it, within a tolerance. What is left is mismodelling that agreement of all marginals
cannot exclude.

Reference: for the aim, CONSERVAttack, arXiv:2603.13970; the way of taking moves back is our own.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from kerastag.attacks.base import Attack
from kerastag.attacks.samples import attacked_features
from kerastag.attacks.threat_model import ThreatModel
from kerastag.errors import UserError
from kerastag.histograms import bin_numbers, chi2_per_ndf, difference, equal_content, jensen_shannon, squared_error
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
    chi2, divergence = np.zeros((2, x.shape[1]))
    present = x != threat_model.default
    for column in np.flatnonzero(((x != attacked) & present).any(axis=0)):
        clean, moved = (features[present[:, column], column] for features in (x, attacked))
        chi2[column], divergence[column] = difference(clean, moved, equal_content(clean, bins), uncertainty, count_empty=True)
    free = np.asarray(threat_model.moves(x))
    share = float((x != attacked)[free].mean()) if free.any() else 0.0
    change = abs(correlations(attacked, threat_model.default) - correlations(x, threat_model.default)).max()
    return Marginals(chi2, divergence, float(change), share)


@dataclasses.dataclass(frozen=True)
class _Bound:
    """How much the histogram of a feature may change.

    Attributes:
        largest: Largest χ²/ndf, or divergence in bits.
        measure: A name in `MEASURES`.
        uncertainty: Relative uncertainty of a bin, beside its statistical one.
    """

    largest: float
    measure: str
    uncertainty: float

    def holds(self, clean: np.ndarray, attacked: np.ndarray) -> bool:
        """Whether two histograms, numbers of jets `(bins,)`, are close enough."""
        if self.measure == "jensen_shannon":
            return jensen_shannon(clean, attacked) <= self.largest
        return chi2_per_ndf(clean, attacked, clean, self.uncertainty, count_empty=True) <= self.largest

    def tolerance(self, clean: np.ndarray) -> np.ndarray:
        """Error of each bin, `(bins,)`."""
        return np.sqrt(squared_error(clean, clean, self.uncertainty))


def marginal_preserving(
    attack: Attack,
    tagger: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    attacked: np.ndarray | None = None,
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
        attacked: Features as the attack leaves them, `(jets, features)`; None to make them.
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
    if attacked is None:
        attacked = attacked_features(tagger, x, y, attack)
    gain = _gradient(attack, tagger, x, y) * (attacked - x)
    default = attack.threat_model.default
    preserved = _preserve_marginals(x, attacked, gain, default, _Bound(bound, measure, uncertainty), bins)
    if correlation is not None:
        preserved = _preserve_correlations(x, preserved, gain.sum(axis=1), default, correlation)
    return preserved, compare_marginals(x, preserved, attack.threat_model, uncertainty, bins)


def _gradient(attack: Attack, tagger: keras.Model, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient of the objective at clean jets, float32 `(jets, features)`."""

    @tf.function(input_signature=[tf.TensorSpec((None, values.shape[1]), tf.float32) for values in (x, y)])
    def gradient(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return attack.bind(tagger, y).gradient(x)[1]

    return np.concatenate([gradient(x[i : i + _BATCH], y[i : i + _BATCH]).numpy() for i in range(0, len(x), _BATCH)])


def _preserve_marginals(
    x: np.ndarray, attacked: np.ndarray, gain: np.ndarray, default: np.ndarray, bound: _Bound, bins: int
) -> np.ndarray:
    """Attacked jets with moves taken back until the histogram of each feature stays within a bound, `(jets, features)`."""
    preserved = attacked.copy()
    for column in np.flatnonzero((attacked != x).any(axis=0)):
        rows = np.flatnonzero(x[:, column] != default[column])
        clean, moved = x[rows, column], attacked[rows, column]
        back = rows[_unbalanced(clean, moved, gain[rows, column], equal_content(clean, bins), bound)]
        preserved[back, column] = x[back, column]
    return preserved


def _unbalanced(clean: np.ndarray, moved: np.ndarray, gain: np.ndarray, edges: np.ndarray, bound: _Bound) -> np.ndarray:
    """Which moves of a feature to take back, bool `(jets,)`, so that its histogram stays within a bound.

    None if it does already. Else bins are balanced within their error, half of it and so on, until the bound holds.
    """
    source, target = (bin_numbers(values, edges) for values in (clean, moved))
    bins = len(edges) - 1

    def content(numbers: np.ndarray) -> np.ndarray:
        # Twice as fast as the library of histograms, which matters in this loop.
        return np.bincount(numbers, minlength=bins).astype(float)

    before = content(source)
    crossing = np.flatnonzero(source != target)
    crossing = crossing[np.argsort(gain[crossing], kind="stable")]  # the least useful first
    back = np.zeros(len(clean), bool)
    tolerance = bound.tolerance(before)
    while not bound.holds(before, content(np.where(back, source, target))):
        if tolerance.max() < 0.5:
            back[crossing] = True
            break
        _balance(source, target, crossing, tolerance, back)
        tolerance = tolerance / 2
    return back


def _balance(source: np.ndarray, target: np.ndarray, crossing: np.ndarray, tolerance: np.ndarray, back: np.ndarray) -> None:
    """Take crossing moves back, in their order, until no bin gains or loses more than its tolerance; changes `back`."""
    bins = len(tolerance)
    while True:
        left = crossing[~back[crossing]]
        net = np.bincount(target[left], minlength=bins) - np.bincount(source[left], minlength=bins)
        worst = int(np.argmax(np.abs(net) - tolerance))
        excess = int(np.ceil(abs(net[worst]) - tolerance[worst]))
        if excess <= 0:
            return
        ends = target if net[worst] > 0 else source
        back[left[ends[left] == worst][:excess]] = True


def _preserve_correlations(
    x: np.ndarray, attacked: np.ndarray, gain: np.ndarray, default: np.ndarray, bound: float
) -> np.ndarray:
    """Attacked jets with whole jets taken back, least useful first, until no correlation changes by more than the bound."""
    reference = correlations(x, default)
    order = np.argsort(gain, kind="stable")

    def without(number: int) -> np.ndarray:
        """Attacked jets but for the least useful ones."""
        features, rows = attacked.copy(), order[:number]
        features[rows] = x[rows]
        return features

    def holds(features: np.ndarray) -> bool:
        return bool(abs(correlations(features, default) - reference).max() <= bound)

    if holds(attacked):
        return attacked
    too_few, enough = 0, len(x)
    while enough - too_few > max(1, len(x) // 200):
        middle = (too_few + enough) // 2
        if holds(without(middle)):
            enough = middle
        else:
            too_few = middle
    return without(enough)
