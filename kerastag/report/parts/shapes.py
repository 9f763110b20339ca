"""Do attacked inputs look normal in one dimension?"""

import dataclasses

import numpy as np

from kerastag import plots
from kerastag.attacks import marginal_preserving
from kerastag.attacks.samples import attacked_logits
from kerastag.evaluation.comparison import RELATIVE_CAP
from kerastag.evaluation.histograms import histograms
from kerastag.evaluation.shapes import normality, one_of_each_variable
from kerastag.metrics import Interval, RankedPair
from kerastag.report.page import Figure, Section, Table, plus_minus
from kerastag.report.subject import Subject
from kerastag.schema import Schema

NAME = "shapes"
_IMPORTANT, _VISIBLE = 4, 3
_WORST = 10


def numbers(subject: Subject) -> dict:
    """χ²/ndf and Jensen-Shannon divergence of every feature for each tagger and cap, and histograms of those that show most."""
    schema, x = subject.dataset.schema, subject.split.features
    answers = {}
    for name in subject.names:
        for cap in (None, RELATIVE_CAP):
            attacked = subject.attacked(name, subject.fgsm(cap))
            threat_model = subject.threat_model(subject.options.epsilon, cap)
            answers[_key(name, cap)] = normality(
                schema, x, attacked, subject.split.weights, threat_model, subject.options.uncertainty
            )
    shows = dict.fromkeys(schema.names, 0.0)
    for answer in answers.values():
        for row in answer["features"]:
            shows[row["feature"]] = max(shows[row["feature"]], row["chi2_per_ndf"])
    drawn = one_of_each_variable(schema, subject.importance, _IMPORTANT)
    rest = np.array(
        [0.0 if schema.features[schema.index(name)].variable in _variables(schema, drawn) else shows[name] for name in shows]
    )
    drawn += one_of_each_variable(schema, rest, _VISIBLE)
    whole = [name for name, integer in zip(schema.names, schema.integer, strict=True) if integer]
    attacked = {name: subject.attacked(name, subject.fgsm()) for name in subject.names}
    label, weights = subject.split.label, subject.split.weights
    return {
        "answers": answers,
        "held_back": {name: _held_back(subject, name) for name in subject.names},
        "histograms": {name: histograms(schema, name, x, attacked, label, weights) for name in drawn + whole[:1]},
    }


def _held_back(subject: Subject, name: str) -> dict:
    """Loss of BvL area under FGSM of which moves are taken back until every distribution looks normal, in fine bins."""
    attack, x, y = subject.attack(subject.fgsm()), subject.split.features, subject.y
    attacked, found = marginal_preserving(attack, subject.model(name), x, y, uncertainty=subject.options.uncertainty)
    pair = RankedPair(y, attacked_logits(subject.model(name), attacked, y, None), "BvL")
    value, areas = subject.area(name)
    loss = Interval.of(value - pair.auc(subject.split.weights), areas - subject.bootstrap.aucs(pair))
    return {**dataclasses.asdict(loss), "moved": found.moved, "largest_chi2_per_ndf": float(found.chi2.max())}


def _variables(schema: Schema, names: list[str]) -> set[str]:
    return {schema.features[schema.index(name)].variable for name in names}


def _key(name: str, cap: float | None) -> str:
    return name if cap is None else f"{name}, cap {cap:.0%}"


def draw(subject: Subject, found: dict) -> dict:
    """Inputs clean and attacked."""
    title = f"{subject.sample}, FGSM ε = {subject.options.epsilon:g}; dotted: ±{subject.options.uncertainty:.0%}"
    return {"shapes": plots.attacked(subject.dataset.schema, found["histograms"], subject.options.uncertainty, title)}


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    return {"shapes": [{"attack_on": name, **row} for name, answer in found["answers"].items() for row in answer["features"]]}


def section(subject: Subject, found: dict) -> Section:
    """Whether they do, counted."""
    uncertainty = subject.options.uncertainty
    first = found["answers"][subject.names[0]]
    held_back = [[name, plus_minus(row), f"{row['moved']:.0%}"] for name, row in found["held_back"].items()]
    worst = sorted(first["features"], key=lambda row: -row["chi2_per_ndf"])[:_WORST]
    return Section(
        "Do the attacked inputs look normal?",
        [
            f"FGSM of ε = {subject.options.epsilon:g} on {subject.names[0]} leaves {first['normal']} of {first['moving']} "
            f"moving inputs within {uncertainty:.0%} of their clean distributions: χ²/ndf at most 1 in 50 bins of equal width "
            "over the central 99 %, as a figure shows them, with the clean sample's statistical uncertainty added. Fine bins "
            "are 50 of equal content; they also see what happens inside a narrow peak, such as values that the simulation "
            "takes from a table. Attacked jets are the same jets, so the statistical part is generous. All inputs are in "
            "shapes.csv.",
            _visible(subject, first),
        ],
        [
            Table(f"FGSM, uncertainty {uncertainty:.0%}:", *_answers(found["answers"])),
            Table(
                "FGSM of which moves are taken back until χ²/ndf is at most 1 for every input, in fine bins:",
                ["attack on", "loss of BvL area", "share of cells that still move"],
                held_back,
            ),
            Table(
                f"The {len(worst)} inputs that show the attack on {subject.names[0]} most:",
                ["input", "χ²/ndf", "Jensen-Shannon divergence [bit]"],
                [[row["feature"], f"{row['chi2_per_ndf']:.3g}", f"{row['jensen_shannon_bits']:.2g}"] for row in worst],
            ),
        ],
        [
            Figure(
                "shapes",
                f"The {_IMPORTANT} inputs that matter most to {subject.names[0]}, the {_VISIBLE} others that show the attacks "
                "most, one slot of each variable, and one of whole numbers, which stay. Filled: clean; band: its statistical "
                "uncertainty. The ends hold what lies beyond; ratios need 20 clean jets in a bin.",
            )
        ],
    )


def _answers(answers: dict) -> tuple[list[str], list[list[str]]]:
    """Header and a line per attack."""
    header = ["attack on", "inputs that move", "of them χ²/ndf ≤ 1", "in fine bins", "largest χ²/ndf", "median"]
    header += ["largest divergence [bit]", "largest change of a correlation"]
    rows = [
        [
            name,
            str(answer["moving"]),
            str(answer["normal"]),
            str(answer["normal_in_fine_bins"]),
            f"{answer['largest_chi2_per_ndf']:.3g}",
            f"{answer['median_chi2_per_ndf']:.2g}",
            f"{answer['largest_jensen_shannon_bits']:.2g}",
            f"{answer['largest_change_of_correlation']:.3f}",
        ]
        for name, answer in answers.items()
    ]
    return header, rows


def _visible(subject: Subject, answer: dict) -> str:
    """Which variables give the attack away."""
    schema = subject.dataset.schema
    shown = [schema.features[schema.index(row["feature"])].variable for row in answer["features"] if row["chi2_per_ndf"] > 1]
    if not shown:
        return "No input gives the attack away."
    named = ", ".join(f"{name} ({shown.count(name)})" for name in dict.fromkeys(shown))
    return f"What gives it away, with the number of slots: {named}."
