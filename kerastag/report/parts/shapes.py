"""Do attacked inputs look normal in one dimension?"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kerastag import plots
from kerastag.attacks import attacked_logits, marginal_preserving
from kerastag.evaluation.shapes import normality, one_of_each_variable
from kerastag.histograms import histograms
from kerastag.metrics import RankedPair
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.request import RELATIVE_CAP
from kerastag.schema import Schema
from kerastag.tables import Row

NAME = "shapes"
_IMPORTANT, _VISIBLE = 4, 3
_WORST = 10


def numbers(subject: Subject) -> Numbers:
    """χ²/ndf and Jensen-Shannon divergence of every feature for each tagger and cap, and histograms of those that show most."""
    schema, jets = subject.dataset.schema, subject.jets
    answers = {}
    for name, cap in itertools.product(subject.names, (None, RELATIVE_CAP)):
        condition = subject.fgsm(cap)
        answers[name if cap is None else f"{name}, cap {cap:.0%}"] = normality(
            schema,
            jets.features,
            subject.attacked(name, condition),
            jets.weights,
            condition.threat_model(subject.dataset),
            subject.options.uncertainty,
        )
    attacked = {name: subject.attacked(name, subject.fgsm()) for name in subject.names}
    drawn = _drawn(subject, answers.values())
    return {
        "answers": answers,
        "held_back": {name: _held_back(subject, name) for name in subject.names},
        "histograms": {name: histograms(schema, name, jets.features, attacked, jets.label, jets.weights) for name in drawn},
    }


def _drawn(subject: Subject, answers: Iterable[Mapping[str, Any]]) -> list[str]:
    """The inputs that matter most, others that show an attack most, and one of whole numbers."""
    schema = subject.dataset.schema
    important = one_of_each_variable(schema, subject.importance, _IMPORTANT)
    variables = _variables(schema, important)
    visible = np.zeros(len(schema.names))
    for row in itertools.chain.from_iterable(answer["features"] for answer in answers):
        column = schema.index(row["feature"])
        if schema.features[column].variable not in variables:
            visible[column] = max(visible[column], row["chi2_per_ndf"])
    whole = [feature.name for feature in schema.features if feature.integer]
    return [*important, *one_of_each_variable(schema, visible, _VISIBLE), *whole[:1]]


def _variables(schema: Schema, names: Iterable[str]) -> list[str]:
    """The variables that features are slots of."""
    return [schema.features[schema.index(name)].variable for name in names]


def _held_back(subject: Subject, name: str) -> dict[str, Any]:
    """Loss of BvL area under FGSM of which moves are taken back until every distribution looks normal, in fine bins."""
    attack, model, jets = subject.attack(subject.fgsm()), subject.model(name), subject.jets
    assert attack is not None
    held_back, marginals = marginal_preserving(
        attack,
        model,
        jets.features,
        jets.y,
        attacked=subject.attacked(name, subject.fgsm()),
        uncertainty=subject.options.uncertainty,
    )
    pair = RankedPair(jets.y, attacked_logits(model, held_back, jets.y, None), "BvL")
    loss = subject.area(name) - subject.bootstrap.resample(pair.auc)
    return {"loss": loss.interval, "moved": marginals.moved, "largest_chi2_per_ndf": float(marginals.chi2.max())}


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Inputs clean and attacked."""
    title = f"{subject.title}, FGSM ε = {subject.options.epsilon:g}; dotted: ±{subject.options.uncertainty:.0%}"
    return {"shapes": plots.attacked(subject.dataset.schema, numbers["histograms"], subject.options.uncertainty, title)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Answers by input."""
    return {"shapes": [{"attack_on": name, **row} for name, answer in numbers["answers"].items() for row in answer["features"]]}


def section(subject: Subject, numbers: Numbers) -> Section:
    """Whether they do, counted."""
    uncertainty, first = subject.options.uncertainty, subject.names[0]
    answer = numbers["answers"][first]
    worst = sorted(answer["features"], key=lambda row: -row["chi2_per_ndf"])[:_WORST]
    return Section(
        "Do the attacked inputs look normal?",
        [
            f"FGSM of ε = {subject.options.epsilon:g} on {first} leaves {answer['normal']} of {answer['moving']} moving inputs "
            f"within {uncertainty:.0%} of their clean distributions: χ²/ndf is at most 1 in 50 bins of equal width over the "
            "central 99 %, as a figure shows them. The clean sample's statistical uncertainty is added; attacked jets are the "
            "same jets, so this part is generous. Fine bins are 50 of equal content, which also see what happens inside a "
            "narrow peak, such as values that the simulation takes from a table. All inputs are in shapes.csv.",
            _visible(subject.dataset.schema, answer["features"]),
        ],
        [
            Table(f"FGSM, uncertainty {uncertainty:.0%}:", *_answers_table(numbers["answers"])),
            Table(
                "FGSM of which moves are taken back until χ²/ndf is at most 1 for every input, in fine bins:",
                ["attack on", "loss of BvL area", "share of cells that still move"],
                [[name, f"{row['loss']}", f"{row['moved']:.0%}"] for name, row in numbers["held_back"].items()],
            ),
            Table(
                f"The {len(worst)} inputs that show the attack on {first} most:",
                ["input", "χ²/ndf", "Jensen-Shannon divergence [bit]"],
                [[row["feature"], f"{row['chi2_per_ndf']:.3g}", f"{row['jensen_shannon_bits']:.2g}"] for row in worst],
            ),
        ],
        [
            Figure(
                "shapes",
                f"The {_IMPORTANT} inputs that matter most to {first}, the {_VISIBLE} others that show the attacks "
                "most, one slot of each variable, and one of whole numbers, which stay. Filled: clean; band: its statistical "
                "uncertainty. The ends hold what lies beyond; ratios need 20 clean jets in a bin.",
            )
        ],
    )


def _answers_table(answers: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
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


def _visible(schema: Schema, rows: Sequence[Row]) -> str:
    """A sentence on the variables that give the attack away."""
    variables = _variables(schema, (row["feature"] for row in rows if row["chi2_per_ndf"] > 1))
    if not variables:
        return "No input gives the attack away."
    counted = ", ".join(f"{name} ({variables.count(name)})" for name in dict.fromkeys(variables))
    return f"What gives it away, with the number of slots: {counted}."
