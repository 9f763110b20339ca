"""The claims of arXiv:2203.13890, held against these taggers and jets: a verdict, a number and an interval for each.

The first tagger stands for the nominal one, each other that is not an experiment's for one that was trained to be robust.
A claim holds if the whole 68 % interval lies on its side of the limit, fails if it lies on the other, else it is undecided.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from kerastag.evaluation.comparison import RELATIVE_CAP
from kerastag.evaluation.shapes import as_drawn
from kerastag.evaluation.trends import rank_correlation
from kerastag.metrics import Interval
from kerastag.report.page import Section, Table
from kerastag.report.subject import CLEAN, Scenario, Subject

NAME = "claims"
# What "large", "about equal", "much more" and "symmetric" shall mean.
_NEARLY_ALL, _LARGE, _ABOUT_EQUAL, _MUCH_MORE, _SYMMETRIC = 0.95, 0.01, 0.005, 2.0, 0.05
_PARTS = 10
_PUSH = "mean push of b and light jets towards each other, 0 none to 1 all, attack on"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        number: Of the claim in the paper's list: 1 vulnerability, 2 adversarial training, 3 why, 4 next steps.
        text: What is claimed.
        quantity: What was measured.
        interval: Its value; None if it could not be measured.
        low: The claim holds if the interval lies above this.
        high: And below this.
    """

    number: int
    text: str
    quantity: str
    interval: Interval | None
    low: float
    high: float = np.inf

    @property
    def verdict(self) -> str:
        """One of "holds", "fails", "undecided" and "not measured"."""
        if self.interval is None:
            return "not measured"
        if self.low <= self.interval.low and self.interval.high <= self.high:
            return "holds"
        if self.interval.high < self.low or self.interval.low > self.high:
            return "fails"
        return "undecided"

    @property
    def limit(self) -> str:
        """Where the claim holds."""
        if np.isinf(self.high):
            return f"above {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


def numbers(subject: Subject, found: dict) -> dict:
    """All claims as plain data.

    Args:
        subject: What the report is about.
        found: Numbers of all parts.
    """
    claims = [*_of_vulnerability(subject, found), *_of_next_steps(subject, found)]
    trained = [name for name in subject.names[1:] if subject.taggers[name][0].record is None]
    for name in trained:
        claims += [*_of_training(subject, found, name), *_of_reason(subject, found, name)]
    rows = [
        {
            "number": claim.number,
            "claim": claim.text,
            "verdict": claim.verdict,
            "quantity": claim.quantity,
            "limit": claim.limit,
            **(dataclasses.asdict(claim.interval) if claim.interval else dict.fromkeys(("value", "low", "high"))),
        }
        for claim in sorted(claims, key=lambda claim: claim.number)
    ]
    return {"rows": rows}


def _of_vulnerability(subject: Subject, found: dict) -> Iterator[Claim]:
    first, fgsm = subject.names[0], subject.fgsm()
    attack = f"FGSM ε = {subject.options.epsilon:g} on {first}"
    share = f"share of moving inputs with χ²/ndf ≤ 1 at {subject.options.uncertainty:.0%}, {attack}"
    yield Claim(1, "every distribution stays inside its uncertainty", share, _share_normal(subject, None), low=_NEARLY_ALL)
    capped = _share_normal(subject, RELATIVE_CAP)
    yield Claim(1, f"under the {RELATIVE_CAP:.0%} cap it does", f"{share}, cap", capped, low=_NEARLY_ALL)
    yield Claim(1, "and yet the area falls by much", f"loss of BvL area, {attack}", subject.loss(first, fgsm), low=_LARGE)
    capped = subject.loss(first, subject.fgsm(RELATIVE_CAP))
    yield Claim(1, "also under the cap", f"loss of BvL area, {attack}, cap", capped, low=_LARGE)
    held_back = Interval(**{key: found["shapes"]["held_back"][first][key] for key in ("value", "low", "high")})
    quantity = f"loss of BvL area, {attack}, moves taken back until χ²/ndf ≤ 1 for every input"
    yield Claim(1, "also where every distribution is held inside", quantity, held_back, low=_LARGE)
    rise = f"smallest rise of the loss from one ε to the next, FGSM on {first}"
    yield Claim(1, "the larger ε, the larger the loss", rise, _smallest_rise(subject, first), low=0.0)
    for key, text in (("clean", "more epochs, better performance"), ("loss", "more epochs, more susceptible")):
        what = "clean area" if key == "clean" else "loss under FGSM"
        yield Claim(1, text, f"rank correlation of epoch and {what}, {first}", _trend(found, first, key), low=0.0)
    push = Interval(**found["directions"]["summary"][first]["inversion"])
    yield Claim(3, f"FGSM on {first} inverts physics", f"{_PUSH} {first}", push, low=_SYMMETRIC)


def _share_normal(subject: Subject, cap: float | None) -> Interval:
    """Share of the moving inputs that look normal under FGSM on the first tagger.

    The interval is that of a jackknife over ten parts of the events: resampling with replacement repeats jets, and histograms
    of repeated jets differ by more.
    """
    x, attacked = subject.split.features, subject.attacked(subject.names[0], subject.fgsm(cap))
    moves = (x != attacked).any(axis=0)

    def share(rows) -> float:
        uncertainty, weights = subject.options.uncertainty, subject.split.weights[rows]
        chi2, _ = as_drawn(subject.dataset.schema, x[rows], attacked[rows], weights, uncertainty)
        return float((chi2[moves] <= 1).mean())

    value = share(slice(None))
    left_out = np.array([share(subject.split.events % _PARTS != part) for part in range(_PARTS)])
    error = float(np.sqrt((_PARTS - 1) * left_out.var()))
    return Interval(value, max(value - error, 0.0), min(value + error, 1.0))


def _smallest_rise(subject: Subject, name: str) -> Interval:
    before, rises = CLEAN, []
    for epsilon in sorted(subject.options.epsilons):
        now = Scenario("fgsm", epsilon)
        rises.append(subject.difference((name, before), (name, now)))
        before = now
    return min(rises, key=lambda rise: rise.value)


def _trend(found: dict, name: str, what: str) -> Interval | None:
    trend = found["epochs"]["trends"].get(name)
    return Interval(**trend[what]) if trend else None


def _of_training(subject: Subject, found: dict, name: str) -> Iterator[Claim]:
    first, fgsm = subject.names[0], subject.fgsm()
    equal = subject.difference((name, CLEAN), (first, CLEAN))
    text = f"{name} keeps the performance about equal"
    yield Claim(2, text, f"clean BvL area, {name} minus {first}", equal, -_ABOUT_EQUAL, _ABOUT_EQUAL)
    quantity = f"loss of BvL area, {first} over {name}"
    for condition in (fgsm, Scenario("pgd-20", subject.options.epsilon), subject.fgsm(RELATIVE_CAP)):
        ratio = _ratio_of_losses(subject, first, name, condition)
        yield Claim(2, f"{name} is much more robust: {condition.label}", quantity, ratio, low=_MUCH_MORE)
    quantity = f"validation loss of BvL area, last quarter of the epochs, {first} over {name}"
    yield Claim(2, f"{name} is much more robust also late", quantity, _late(found, first, name), low=_MUCH_MORE)


def _ratio_of_losses(subject: Subject, one: str, other: str, condition: Scenario) -> Interval:
    parts = [[subject.area(name, which) for which in (CLEAN, condition)] for name in (one, other)]
    values, resampled = ([clean[place] - attacked[place] for clean, attacked in parts] for place in (0, 1))
    with np.errstate(divide="ignore"):  # a resample of few jets may lose nothing
        return Interval.of(values[0] / values[1], resampled[0] / resampled[1])


def _late(found: dict, one: str, other: str) -> Interval | None:
    """Ratio of mean losses over the last epochs; the error is that of the epochs' scatter alone."""
    trends = [found["epochs"]["trends"].get(name) for name in (one, other)]
    if None in trends:
        return None
    means, spreads = (np.array([trend[key] for trend in trends]) for key in ("loss_late", "loss_late_spread"))
    ratio = means[0] / means[1]
    error = abs(ratio) * float(np.hypot(*(spreads / means)))
    return Interval(float(ratio), float(ratio - error), float(ratio + error))


def _of_reason(subject: Subject, found: dict, name: str) -> Iterator[Claim]:
    first, directions = subject.names[0], found["directions"]["summary"]
    push = Interval(**directions[name]["inversion"])
    yield Claim(3, f"FGSM on {name} has no preferred direction", f"{_PUSH} {name}", push, -_SYMMETRIC, _SYMMETRIC)
    for quantity, words in (("gradient_norm", "gradient norm"), ("curvature", "largest eigenvalue of the Hessian")):
        ratio = Interval(**found["flatness"]["ratios"][name][quantity])
        yield Claim(3, f"the loss of {name} is flatter: {words}", f"ratio of medians, {first} over {name}", ratio, low=1.0)


def _of_next_steps(subject: Subject, found: dict) -> Iterator[Claim]:
    first, pgd = subject.names[0], Scenario("pgd-20", subject.options.epsilon)
    more = subject.difference((first, subject.fgsm()), (first, pgd))
    yield Claim(4, "PGD is the stronger attack", f"BvL area under FGSM minus under PGD-20, {first}", more, low=0.0)
    rows = [row for row in found["inputs"].get("rows", []) if row["training"] == "nominal" and row["condition"] != "clean"]
    rows = [row for row in rows if row["condition"] == rows[0]["condition"]]
    trend = rank_correlation(*(np.array([row[key] for row in rows]) for key in ("features", "loss"))) if len(rows) > 3 else None
    yield Claim(4, "more inputs are more vulnerable", "rank correlation of number of inputs and loss, nominal", trend, low=0.0)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def section(found: dict) -> Section:
    """The table of claims."""
    rows = [
        [
            row["claim"],
            row["verdict"],
            _number(row["value"]),
            f"{_number(row['low'])} to {_number(row['high'])}",
            row["limit"],
            row["quantity"],
        ]
        for row in found["rows"]
    ]
    return Section(
        "Which claims of the method hold here?",
        [
            "Claims of arXiv:2203.13890. A claim holds if the whole 68 % interval lies where it should, fails if it lies "
            f"elsewhere. The limits are ours: every distribution is {_NEARLY_ALL:.0%} of those that move, a large loss is "
            f"{_LARGE:g} of area, about equal within {_ABOUT_EQUAL:g}, much more robust {_MUCH_MORE:g} times less loss, and a "
            f"preferred direction a push beyond {_SYMMETRIC:g}. Intervals of rank correlations take epochs or sets of inputs "
            "for independent, which they are not."
        ],
        [Table("Claims:", ["claim", "verdict", "number", "68 % interval", "holds if", "what was measured"], rows)],
    )
