"""The claims of arXiv:2203.13890, held against these taggers and jets: a verdict, a number and an interval for each.

The first tagger stands for the nominal one, each other that is not an experiment's for one that was trained to be robust.
A claim holds if the whole 95 % interval lies on its side of the limit, fails if it lies on the other, else it is undecided.
Where a tagger has several seeds, numbers are means over them and their spread is part of the interval.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kerastag.attacks import CLEAN, Condition
from kerastag.evaluation.trends import correlation_at_95, rank_correlation
from kerastag.report.page import Section, Table
from kerastag.report.part import Numbers
from kerastag.report.parts import directions, epochs, flatness, hidden, inputs, shapes
from kerastag.report.subject import Subject
from kerastag.request import RELATIVE_CAP
from kerastag.results import Interval, NotDefined, Number
from kerastag.tables import Row, where

NAME = "claims"
# What "large", "about equal", "much more" and "symmetric" shall mean.
_NEARLY_ALL, _LARGE, _ABOUT_EQUAL, _MUCH_MORE, _SYMMETRIC = 0.95, 0.01, 0.005, 2.0, 0.05
# Sets of inputs that a trend needs.
_FEWEST_SETS = 4


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        number: Number in the paper's list: 1 vulnerability, 2 adversarial training, 3 why, 4 next steps.
        text: What is claimed.
        quantity: What was measured.
        interval: Its value with the 95 % interval; not defined if it could not be measured.
        low: The claim holds if the interval lies above this.
        high: And below this.
    """

    number: int
    text: str
    quantity: str
    interval: Number
    low: float
    high: float = np.inf

    @property
    def verdict(self) -> str:
        """One of "holds", "fails", "undecided" and "not measured"."""
        if isinstance(self.interval, NotDefined):
            return "not measured"
        # An attack that takes nothing more than another is not the stronger one: the limit itself does not count.
        if self.low < self.interval.low and self.interval.high < self.high:
            return "holds"
        if self.interval.high < self.low or self.interval.low > self.high:
            return "fails"
        return "undecided"

    @property
    def limit(self) -> str:
        """Where the claim holds."""
        return f"above {self.low:g}" if np.isinf(self.high) else f"{self.low:g} to {self.high:g}"


def numbers(subject: Subject, parts: Mapping[str, Numbers]) -> Numbers:
    """All claims, in the order of the paper.

    Args:
        subject: What the report is about.
        parts: Numbers of all parts by name.
    """
    first, *others = subject.names
    claims = [
        *_vulnerability(subject, parts[hidden.NAME]["preserving"]),
        *_progress(first, parts[epochs.NAME]["trends_of_seeds"]),
        _inversion(subject, first, parts[directions.NAME]["summary"][first]["inversion_of_seeds"]),
        *_next_steps(subject, parts[inputs.NAME].get("rows", [])),
    ]
    for name in others:
        if subject.taggers[name][0].record is None:
            claims += _adversarial_training(subject, name)
            claims.append(_late_robustness(subject, name, parts[epochs.NAME]))
            claims.append(_no_direction(subject, name, parts[directions.NAME]["summary"][name]["inversion_of_seeds"]))
            claims += _flatter_loss(first, name, parts[flatness.NAME]["ratios"][name])
    return {
        "rows": [
            {
                "number": claim.number,
                "claim": claim.text,
                "verdict": claim.verdict,
                "quantity": claim.quantity,
                "limit": claim.limit,
                "interval": claim.interval,
            }
            for claim in sorted(claims, key=lambda claim: claim.number)
        ]
    }


def _vulnerability(subject: Subject, preserving: Interval) -> Iterator[Claim]:
    """Small moves that do not show take much of the area.

    Args:
        subject: What the report is about.
        preserving: Loss of area where the distribution of every input is preserved.
    """
    first, fgsm, capped = subject.names[0], subject.fgsm(), subject.fgsm(RELATIVE_CAP)
    with_cap = f"with the {RELATIVE_CAP:.0%} cap"
    attack = f"FGSM ε = {subject.options.epsilon:g} on {first}"
    share = f"share of moving inputs that no test tells from clean ones beyond {subject.options.uncertainty:.0%}, {attack}"
    loss = f"loss of {subject.main.name} area, {attack}"
    hidden = "every distribution stays inside its uncertainty"
    yield Claim(1, hidden, share, _share_normal(subject, fgsm), low=_NEARLY_ALL)
    yield Claim(1, f"{hidden}, {with_cap}", f"{share}, cap", _share_normal(subject, capped), low=_NEARLY_ALL)
    yield Claim(1, "the attack takes much of the area", loss, subject.trained_loss(first, fgsm).interval, low=_LARGE)
    text = f"the attack takes much of the area, {with_cap}"
    yield Claim(1, text, f"{loss}, cap", subject.trained_loss(first, capped).interval, low=_LARGE)
    text = "the attack takes much of the area where every distribution is preserved"
    yield Claim(1, text, f"{loss}, that preserves every input in every flavour", preserving, low=_LARGE)
    rise = f"smallest rise of the loss from one ε to the next, FGSM on {first}"
    yield Claim(1, "the larger ε, the larger the loss", rise, _smallest_rise(subject, first), low=0.0)


def _share_normal(subject: Subject, condition: Condition) -> Interval:
    """Share of the moving inputs that look normal under an attack on the first tagger.

    The interval, of no stated level, lies between the halves of the events, each attacked and compared with the other.
    """
    attacked = subject.attacked(subject.names[0], condition)
    moves = (subject.jets.features != attacked).any(axis=0)
    moving = {name for name, moved in zip(subject.dataset.schema.names, moves, strict=True) if moved}
    found = [shapes.compare(subject, attacked, subject.options.uncertainty, swap=swap) for swap in (False, True)]
    shares = [len(moving.difference(half.showing)) / max(len(moving), 1) for half in found]
    return Interval(float(np.mean(shares)), min(shares), max(shares))


def _smallest_rise(subject: Subject, name: str) -> Interval:
    """Smallest rise of the loss under FGSM from one ε to the next."""
    conditions = [CLEAN, *(subject.condition("fgsm", epsilon) for epsilon in sorted(subject.options.epsilons))]
    rises = [subject.trained_loss(name, stronger, milder).interval for milder, stronger in itertools.pairwise(conditions)]
    return min(rises, key=lambda rise: rise.value)


def _progress(name: str, trends: Mapping[str, Mapping[str, Interval]]) -> Iterator[Claim]:
    """While a training gets better it gets more vulnerable."""
    unknown = NotDefined("no epochs are known")
    clean, loss = (trends[name][key] if name in trends else unknown for key in ("clean", "loss"))
    correlation = "rank correlation of epoch and"
    yield Claim(1, "more epochs, larger clean area", f"{correlation} clean area, {name}", clean, low=0.0)
    yield Claim(1, "more epochs, larger loss", f"{correlation} loss under FGSM, {name}", loss, low=0.0)


def _adversarial_training(subject: Subject, name: str) -> Iterator[Claim]:
    """Adversarial training costs little and helps much."""
    first = subject.names[0]
    clean = (subject.trained(name) - subject.trained(first)).interval
    quantity = f"clean {subject.main.name} area, {name} minus {first}"
    yield Claim(2, f"{name} is about as good on clean jets", quantity, clean, -_ABOUT_EQUAL, _ABOUT_EQUAL)
    quantity = f"loss of {subject.main.name} area, {first} over {name}"
    for condition in (subject.fgsm(), subject.condition("pgd-20"), subject.fgsm(RELATIVE_CAP)):
        ratio = (subject.trained_loss(first, condition) / subject.trained_loss(name, condition)).interval
        yield Claim(2, f"{name} is much more robust: {condition.label}", quantity, ratio, low=_MUCH_MORE)


def _late_robustness(subject: Subject, name: str, of_epochs: Numbers) -> Claim:
    """Adversarial training still helps in the last epochs; the error of a single seed is the scatter of its epochs."""
    first, main = subject.names[0], subject.main.name
    quantity = f"validation loss of {main} area, last quarter of the epochs, {first} over {name}"
    trends, samples = of_epochs["trends_of_seeds"], of_epochs["samples"]
    ratio: Number = NotDefined("no epochs are known")
    if first in trends and name in trends and samples[first] != samples[name]:
        ratio = NotDefined("their validation jets or attacks differ")
    elif first in trends and name in trends:
        above, below = trends[first]["loss_late"], trends[name]["loss_late"]
        value = above.value / below.value
        ratio = Interval.around(value, abs(value) * np.hypot(above.error / above.value, below.error / below.value))
    return Claim(2, f"{name} is much more robust in the last epochs", quantity, ratio, low=_MUCH_MORE)


def _inversion(subject: Subject, name: str, push: Number) -> Claim:
    text = f"FGSM on {name} pushes {' and '.join(subject.main.sides)} jets towards each other"
    return Claim(3, text, _push(subject, name), push, low=_SYMMETRIC)


def _no_direction(subject: Subject, name: str, push: Number) -> Claim:
    return Claim(3, f"FGSM on {name} has no preferred direction", _push(subject, name), push, -_SYMMETRIC, _SYMMETRIC)


def _push(subject: Subject, name: str) -> str:
    return f"mean push of {' and '.join(subject.main.sides)} jets towards each other, 0 none to 1 all, attack on {name}"


def _flatter_loss(first: str, name: str, ratios: Mapping[str, Interval]) -> Iterator[Claim]:
    """The loss changes less around the jets."""
    for quantity, words in (("gradient_norm", "gradient norm"), ("curvature", "largest eigenvalue of the Hessian")):
        text = f"the loss of {name} is flatter: {words}"
        yield Claim(3, text, f"ratio of medians, {first} over {name}", ratios[quantity], low=1.0)


def _next_steps(subject: Subject, rows: Sequence[Row]) -> Iterator[Claim]:
    """What is worth a look next.

    Args:
        subject: What the report is about.
        rows: Rows of a scan of inputs; empty if there is none.
    """
    first, pgd = subject.names[0], subject.condition("pgd-20")
    more = subject.trained_loss(first, pgd, milder=subject.fgsm()).interval
    yield Claim(
        4, "PGD is the stronger attack", f"{subject.main.name} area under FGSM minus under PGD-20, {first}", more, low=0.0
    )
    quantity = "rank correlation of number of inputs and loss, trainings without defence"
    yield Claim(4, "taggers of more inputs are more vulnerable", quantity, _trend_with_inputs(rows), low=0.0)


def _trend_with_inputs(rows: Sequence[Row]) -> Number:
    """Rank correlation of number of inputs and loss under the first attack; the first training is that without defence."""
    attacks = [row["condition"] for row in rows if row["condition"] != CLEAN.label]
    attacked = where(rows, condition=attacks[0], training=rows[0]["training"]) if attacks else []
    if len(attacked) < _FEWEST_SETS:
        return NotDefined("no scan of inputs")
    features, losses = np.array([(row["features"], row["loss"].value) for row in attacked]).T
    return correlation_at_95(rank_correlation(features, losses))


def section(numbers: Numbers) -> Section:
    """The table of claims."""
    rows = [[row["claim"], row["verdict"], f"{row['interval']:[]}", row["limit"], row["quantity"]] for row in numbers["rows"]]
    return Section(
        "Which claims of the method hold here?",
        [
            "Claims of arXiv:2203.13890. A claim holds if the whole 95 % interval lies where it should, fails if it lies "
            "elsewhere. Numbers are means over seeds; their intervals then say where one more seed may lie. A share is that of "
            "the first seed, and lies between two halves of the events.",
            f"The limits are ours: every distribution is {_NEARLY_ALL:.0%} of those that move, much of the area is {_LARGE:g}, "
            f"about as good within {_ABOUT_EQUAL:g}, much more robust {_MUCH_MORE:g} times less loss. A preferred direction is "
            f"a push beyond {_SYMMETRIC:g}. "
            "Intervals of rank correlations of a single seed, or of sets of inputs, take these for independent, which they are "
            "not.",
        ],
        [Table("Claims:", ["claim", "verdict", "number [95 % interval]", "holds if", "what was measured"], rows)],
    )
