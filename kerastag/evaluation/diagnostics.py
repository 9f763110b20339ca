"""Is the robustness real? Signs that an attack failed rather than the tagger withstood.

A tagger whose gradients are useless looks robust against gradient attacks and is not.

Reference: Athalye, Carlini and Wagner, arXiv:1802.00420, section 3.1; Carlini et al., arXiv:1902.06705; for leaking labels
Kurakin, Goodfellow and Bengio, arXiv:1611.01236, section 4.3.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from kerastag import tables
from kerastag.attacks import APGD, FGSM, PGD, Attack, ThreatModel, Transfer
from kerastag.attacks.objectives import find_objective
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.bounds import margin_bounds, worst_logits
from kerastag.errors import UserError
from kerastag.layers.memory import batches
from kerastag.layers.mending import beyond_ranges
from kerastag.schema import Separation

# Mean losses that differ by less than this, relative to the larger, count as equal.
_TOLERANCE = 1e-3
_STEPS = 20
_RANDOM_CORNERS = 10
_CERTIFIED_JETS = 500
# Times ε at which any tagger should fail.
_VERY_LARGE = 1000.0
_LARGEST_ZERO_SHARE, _LARGEST_SATURATED_SHARE = 0.01, 0.05
_SATURATED = 1 - 1e-6
# What names of checks of our own limits begin with.
_CERTIFICATE = "certificate"


@dataclasses.dataclass(frozen=True)
class Check:
    """A sign of useless gradients, or that there is none.

    Attributes:
        name: Name of the check.
        passed: Whether it looks as it should; None if it could not be looked at.
        value: Measured number.
        limit: Number that it is held against.
        meaning: What passing says, with the number and the limit.
    """

    name: str
    passed: bool | None
    value: float
    limit: float
    meaning: str


def check_robustness(
    tagger: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    threat_model: ThreatModel,
    sources: Mapping[str, keras.Model] | None = None,
    growth: Sequence[float] = (0.5, 1.0, 2.0, 5.0),
    separation: Separation | None = None,
) -> list[Check]:
    """Look for signs of useless gradients, on the mean cross-entropy of attacked jets.

    Args:
        tagger: From raw features to logits.
        x: Clean features, float32 `(jets, features)`; some thousand will do.
        y: True flavours, one-hot `(jets, classes)`.
        threat_model: The box, best without a cap.
        sources: Other taggers on the same features, for transfer.
        growth: Rising factors on ε.
        separation: A discriminator of the threat model, whose margin must stay within its limits too; None for none.

    Returns:
        The checks, in the order of the table that `markdown` makes.
    """
    losses, aims = Losses(tagger, x, y), [None] if separation is None else [None, separation]
    clean = losses.clean()
    fgsm = losses.under(FGSM(threat_model))
    pgd = losses.under(PGD(threat_model, steps=_STEPS, try_corner=False))
    return [
        _many_steps(pgd, fgsm),
        _adaptive_steps(losses.under(APGD(threat_model, steps=_STEPS)), pgd),
        _growth(losses, threat_model, growth, clean),
        _random(losses, threat_model, pgd),
        *_transfer(losses, threat_model, sources or {}, pgd),
        _unlimited(losses, threat_model),
        zero_gradients(losses, threat_model),
        _saturation(losses),
        Check("attacked", _at_least(fgsm, clean), fgsm, clean, "loss under FGSM is at least that of clean jets"),
        _leaking(losses, threat_model, fgsm),
        *(_certificate(losses.first(_CERTIFIED_JETS, aim), threat_model) for aim in aims),
    ]


def markdown(checks: Mapping[str, Sequence[Check]]) -> str:
    """A table of the checks of several taggers."""
    rows = [
        [tagger, check.name, _verdict(check), *_compared(check), check.meaning]
        for tagger, tagger_checks in checks.items()
        for check in tagger_checks
    ]
    return tables.markdown(["tagger", "check", "", "number", "held against", "meaning"], rows)


def beyond_limits(checks: Mapping[str, Sequence[Check]]) -> list[str]:
    """Taggers of which attacks have exceeded a certificate, which is a defect of kerastag and says nothing of them."""
    return [
        tagger
        for tagger, of_tagger in checks.items()
        if any(check.passed is False and check.name.startswith(_CERTIFICATE) for check in of_tagger)
    ]


def _verdict(check: Check) -> str:
    return "not looked at" if check.passed is None else "pass" if check.passed else "FAIL"


def _compared(check: Check) -> tuple[str, str]:
    """A number and what it is held against; nothing where it was not looked at."""
    return ("", "") if check.passed is None else (f"{check.value:.4g}", f"{check.limit:.4g}")


def _at_least(larger: float, smaller: float) -> bool:
    return larger >= smaller - _TOLERANCE * abs(smaller)


def _scaled(threat_model: ThreatModel, factor: float) -> ThreatModel:
    """The threat model with another ε and no cap."""
    config = threat_model.get_config()
    return ThreatModel.from_config(config | {"epsilon": config["epsilon"] * factor, "relative_cap": None})


def _entropy(y: np.ndarray) -> float:
    """Cross-entropy of the best constant answer."""
    shares = y.mean(axis=0)
    return float(-(shares * np.log(np.where(shares > 0, shares, 1))).sum())


def _many_steps(pgd: float, fgsm: float) -> Check:
    return Check("many steps", _at_least(pgd, fgsm), pgd, fgsm, f"loss under PGD-{_STEPS} is at least that under FGSM")


def _adaptive_steps(apgd: float, pgd: float) -> Check:
    meaning = f"loss under APGD-{_STEPS} is at least that under PGD-{_STEPS}"
    return Check("adaptive steps", _at_least(apgd, pgd), apgd, pgd, meaning)


def _growth(losses: "Losses", threat_model: ThreatModel, growth: Sequence[float], clean: float) -> Check:
    """PGD at rising ε, each started where the smaller one ended; a loss that stops rising was not maximised."""
    points, before, smallest = losses.x, clean, np.inf
    climb = losses.climber(PGD(_scaled(threat_model, 1.0), steps=_STEPS, random_start=False, try_corner=False))
    for factor in growth:
        points = climb(points, factor)
        after = losses.mean(points)
        smallest, before = min(smallest, after - before), after
    meaning = f"smallest rise of the loss from one ε to the next, PGD-{_STEPS} from where the smaller one ended"
    return Check("growth", smallest > _TOLERANCE * clean, smallest, _TOLERANCE * clean, meaning)


def _random(losses: "Losses", threat_model: ThreatModel, pgd: float) -> Check:
    loss = losses.at_random_corners(threat_model)
    meaning = f"loss at the worst of {_RANDOM_CORNERS} random corners is at most that under PGD-{_STEPS}"
    return Check("random", _at_least(pgd, loss), loss, pgd, meaning)


def _transfer(losses: "Losses", threat_model: ThreatModel, sources: Mapping[str, keras.Model], pgd: float) -> list[Check]:
    """A check for each source; one that says so if there is none."""
    meaning = f"loss under PGD-{_STEPS} on another tagger is at most that of white-box"
    if not sources:
        return [Check("transfer", None, np.nan, pgd, f"{meaning}: no other tagger of these inputs was given")]
    checks = []
    for name, source in sources.items():
        loss = losses.under(Transfer(PGD(threat_model, steps=_STEPS), source))
        checks.append(Check(f"transfer from {name}", _at_least(pgd, loss), loss, pgd, meaning))
    return checks


def _unlimited(losses: "Losses", threat_model: ThreatModel) -> Check:
    loss, constant = losses.under(PGD(_scaled(threat_model, _VERY_LARGE), steps=_STEPS)), _entropy(losses.y)
    return Check("unlimited", loss > constant, loss, constant, f"loss at {_VERY_LARGE:g} ε exceeds that of a constant answer")


def zero_gradients(losses: "Losses", threat_model: ThreatModel) -> Check:
    """The check that all jets but a small share have a gradient."""
    share = losses.zero_gradients(threat_model)
    passed = share <= _LARGEST_ZERO_SHARE
    return Check("zero gradients", passed, share, _LARGEST_ZERO_SHARE, "share of jets without any gradient")


def _saturation(losses: "Losses") -> Check:
    share = losses.saturated()
    passed = share <= _LARGEST_SATURATED_SHARE
    return Check("saturation", passed, share, _LARGEST_SATURATED_SHARE, "share of jets with a probability of 1 within 1e-6")


def _leaking(losses: "Losses", threat_model: ThreatModel, fgsm: float) -> Check:
    loss = losses.under(FGSM(threat_model, labels="predicted"))
    meaning = "loss under FGSM on predicted labels is at most that on true ones"
    return Check("leaking", _at_least(fgsm, loss), loss, fgsm, meaning)


def _certificate(losses: "Losses", threat_model: ThreatModel) -> Check:
    """No attack may exceed what limits allow; if one does the limits are wrong, not the tagger."""
    name, what = (
        (_CERTIFICATE, "loss") if (of := losses.separation) is None else (f"{_CERTIFICATE} of {of.name}", "wrong margin")
    )
    meaning = (
        f"largest excess of a jet's {what} over what limits allow, inputs untied, of {len(losses.x)} jets: clean, under FGSM, "
        f"PGD-{_STEPS} and APGD-{_STEPS}; above 0 is a bug of kerastag"
    )
    untied = ThreatModel.from_config(threat_model.get_config() | {"ties": [], "summaries": []})
    try:
        allowed = losses.certified(untied)
    except UserError as error:
        return Check(name, None, np.nan, 0.0, f"{meaning}: {error}")
    aim = losses.objective
    attacks = [FGSM(untied, aim), PGD(untied, aim, steps=_STEPS), APGD(untied, aim, steps=_STEPS)]
    points = [losses.x, *(attacked_features(losses.tagger, losses.x, losses.y, attack) for attack in attacks)]
    excess = max(float((losses.each(reached) - allowed).max()) for reached in points)
    return Check(name, excess <= _TOLERANCE, excess, 0.0, meaning)


class Losses:
    """Losses of a tagger on some jets: cross-entropies, or margins of a discriminator on the wrong side.

    Args:
        tagger: From raw features to logits.
        x: Clean features `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        separation: The discriminator; None for cross-entropy.
    """

    def __init__(self, tagger: keras.Model, x: np.ndarray, y: np.ndarray, separation: Separation | None = None):
        self.tagger, self.x, self.y = tagger, np.asarray(x, np.float32), np.asarray(y, np.float32)
        self.separation = separation

    @property
    def objective(self) -> str:
        """Name of what attacks on it increase."""
        return self.separation.name if self.separation else "cross_entropy"

    def first(self, jets: int, separation: Separation | None) -> "Losses":
        """Those of the first jets alone, cross-entropies or margins."""
        return Losses(self.tagger, self.x[:jets], self.y[:jets], separation)

    def certified(self, threat_model: ThreatModel) -> np.ndarray:
        """Largest loss that each jet can have anywhere in its box, `(jets,)`.

        Raises:
            UserError: if there is no rule for a layer of the tagger.
        """
        with beyond_ranges(threat_model.lower is None):
            low, high = threat_model.box(self.x, self.y).ends
            if self.separation is None:
                worst = worst_logits(self.tagger, low, high, tf.constant(self.y))
                return tf.nn.softmax_cross_entropy_with_logits(self.y, worst).numpy()
            lowest, highest = margin_bounds(self.tagger, low, high, self.separation)
        found, rejected = (self.y[:, columns].sum(axis=1) for columns in self.separation.columns)
        return rejected * highest.numpy() - found * lowest.numpy()

    def each(self, points: np.ndarray) -> np.ndarray:
        """Loss of each jet, `(jets,)`, with other features `(jets, features)`."""
        logits = attacked_logits(self.tagger, points, self.y, None)
        loss = find_objective(self.objective, [self.separation] if self.separation else [])
        return loss(tf.constant(self.y), tf.constant(logits)).numpy()

    def mean(self, points: np.ndarray) -> float:
        """Mean over jets, with other features `(jets, features)`."""
        return float(self.each(points).mean())

    def clean(self) -> float:
        """Mean over clean jets."""
        return self.mean(self.x)

    def under(self, attack: Attack) -> float:
        """Mean over attacked jets."""
        return self.mean(attacked_features(self.tagger, self.x, self.y, attack))

    def climber(self, attack: PGD) -> Callable[[np.ndarray, float], np.ndarray]:
        """A function from points `(jets, features)`, and a factor on ε, to those that PGD reaches from there.

        They lie in the box around the clean jets. One graph serves all factors, since making it takes longest.
        """
        specs = [tf.TensorSpec((None, values.shape[1]), tf.float32) for values in (self.x, self.y, self.x)]

        @tf.function(input_signature=[*specs, tf.TensorSpec((), tf.float32)])
        def climb(x: tf.Tensor, y: tf.Tensor, start: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
            box = attack.threat_model.box(x, y, strength)
            return box.complete(attack.climb(box, attack.bind(self.tagger, y, box=box), start)[0])

        def climbed(points: np.ndarray, factor: float) -> np.ndarray:
            parts = batches(self.tagger, self.x, self.y, points)
            return np.concatenate([climb(*part, np.float32(factor)).numpy() for part in parts])

        return climbed

    def at_random_corners(self, threat_model: ThreatModel, seed: int = 0) -> float:
        """Mean over jets at the worst of some random corners of the box around each."""
        generator = np.random.default_rng(seed)
        budget = np.asarray(threat_model.budget(self.x, self.y))
        worst = np.full(len(self.x), -np.inf)
        for _ in range(_RANDOM_CORNERS):
            signs = generator.choice(np.array([-1, 1], np.float32), self.x.shape)
            corner = np.asarray(threat_model.project(self.x, self.x + budget * signs, self.y))
            worst = np.maximum(worst, self.each(corner))
        return float(worst.mean())

    def zero_gradients(self, threat_model: ThreatModel) -> float:
        """Share of the jets with free cells whose gradient is exactly 0 in all of them."""
        fgsm, zero = FGSM(threat_model), []
        for x, y in batches(self.tagger, self.x, self.y):
            box = threat_model.box(tf.constant(x), tf.constant(y))
            free = np.asarray(box.budget) > 0
            _, gradient = fgsm.bind(self.tagger, tf.constant(y), box=box).gradient(box.x)
            zero.append((np.where(free, gradient, 0) == 0).all(axis=1)[free.any(axis=1)])
        of_movable = np.concatenate(zero)
        return float(of_movable.mean()) if of_movable.size else 0.0

    def saturated(self) -> float:
        """Share of jets for which the softmax is 1 as far as float32 can tell."""
        logits = attacked_logits(self.tagger, self.x, self.y, None)
        return float((tf.nn.softmax(logits).numpy().max(axis=1) > _SATURATED).mean())
