"""Do attacked inputs look normal in one dimension?"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kerastag import plots
from kerastag.evaluation.shapes import normality, one_of_each_variable
from kerastag.evaluation.two_samples import LEVEL, halves
from kerastag.evaluation.visibility import HEADER, Side, Visibility, rounded, visibility
from kerastag.histograms import histograms
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
    """What tests against independent jets see of every feature, for each tagger and cap; histograms of those that show most."""
    schema, jets = subject.dataset.schema, subject.jets
    answers = {}
    for name, cap in itertools.product(subject.names, (None, RELATIVE_CAP)):
        attacked = subject.attacked(name, subject.fgsm(cap))
        found = compare(subject, attacked, subject.options.uncertainty)
        answer = normality(schema, jets.features, attacked, jets.weights, found)
        seen = compare(subject, attacked, 0.0).showing
        moving = [row["feature"] for row in answer["features"]]
        answer["normal_without_uncertainty"] = len(set(moving) - set(seen))
        answers[name if cap is None else f"{name}, cap {cap:.0%}"] = answer
    attacked_by = {name: subject.attacked(name, subject.fgsm()) for name in subject.names}
    drawn = _drawn(subject, answers.values())
    return {
        "answers": answers,
        "histograms": {name: histograms(schema, name, jets.features, attacked_by, jets.label, jets.weights) for name in drawn},
    }


def compare(subject: Subject, attacked: np.ndarray, uncertainty: float, *, swap: bool = False) -> Visibility:
    """Attacked jets of one half of the events, compared with clean ones of the other; features alone.

    Args:
        subject: What the report is about.
        attacked: Attacked features of all jets, `(jets, features)`.
        uncertainty: Relative uncertainty of densities.
        swap: Whether the other half is the attacked one.
    """
    jets = subject.jets
    half = halves(jets.events) ^ swap
    before, after, clean = (
        Side(features[rows], jets.label[rows])
        for features, rows in ((jets.features, half), (attacked, half), (jets.features, ~half))
    )
    return visibility(subject.dataset.schema, after, clean, before=before, uncertainty=uncertainty)


def _drawn(subject: Subject, answers: Iterable[Mapping[str, Any]]) -> list[str]:
    """The inputs that matter most, others that show an attack most, and one of whole numbers."""
    schema = subject.dataset.schema
    important = one_of_each_variable(schema, subject.importance, _IMPORTANT)
    variables = _variables(schema, important)
    visible = np.zeros(len(schema.names))
    for row in itertools.chain.from_iterable(answer["features"] for answer in answers):
        column = schema.index(row["feature"])
        if schema.features[column].variable not in variables:
            visible[column] = max(visible[column], row["chi2_per_ndf"] if row["shows"] else 0)
    whole = [feature.name for feature in schema.features if feature.integer]
    return [*important, *one_of_each_variable(schema, visible, _VISIBLE), *whole[:1]]


def _variables(schema: Schema, names: Iterable[str]) -> list[str]:
    """The variables that features are slots of."""
    return [schema.features[schema.index(name)].variable for name in names]


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
    worst = sorted(answer["features"], key=lambda row: (row["corrected"], -row["distance"]))[:_WORST]
    return Section(
        "Do the attacked inputs look normal?",
        [
            f"FGSM of ε = {subject.options.epsilon:g} on {first} leaves {answer['normal']} of {answer['moving']} moving inputs "
            f"such that no test sees the attack beyond an uncertainty of {uncertainty:.0%}, and "
            f"{answer['normal_without_uncertainty']} without any uncertainty. A random half of the events is attacked and "
            "compared with the other half, clean, flavour by flavour: the distribution without bins, the share of each special "
            f"value, and how often single values occur. All tests together give a false alarm in {LEVEL:.0%} of samples. The "
            f"uncertainty lets every density be wrong by {uncertainty:.0%} of itself. All inputs are in shapes.csv.",
            _visible(subject.dataset.schema, answer["features"]),
        ],
        [
            Table("FGSM, moving inputs:", *_answers_table(numbers["answers"], uncertainty)),
            Table(
                f"The {len(worst)} inputs that show the attack on {first} most:",
                [header for header in HEADER if header != "p"],
                [_cells(row) for row in worst],
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


def _cells(row: Row) -> list[str]:
    """A line of the table of inputs."""
    numbers = [f"{row['distance']:.3f}", f"{row['corrected']:.1g}", rounded(row["jets"])]
    return [row["feature"], row["flavour"], row["quantity"], *numbers]


def _answers_table(answers: Mapping[str, Mapping[str, Any]], uncertainty: float) -> tuple[list[str], list[list[str]]]:
    """Header and a line per attack."""
    header = ["attack on", "inputs that move", f"look normal within {uncertainty:.0%}", "without uncertainty"]
    header += ["largest distance", "shows at N jets", "largest χ²/ndf as drawn"]
    rows = [
        [
            name,
            str(answer["moving"]),
            str(answer["normal"]),
            str(answer["normal_without_uncertainty"]),
            f"{answer['largest_distance']:.3f}",
            rounded(answer["jets"]),
            f"{answer['largest_chi2_per_ndf']:.3g}",
        ]
        for name, answer in answers.items()
    ]
    return header, rows


def _visible(schema: Schema, rows: Sequence[Row]) -> str:
    """A sentence on the variables that give the attack away."""
    variables = _variables(schema, (row["feature"] for row in rows if row["shows"]))
    if not variables:
        return "No input gives the attack away."
    counted = ", ".join(f"{name} ({variables.count(name)})" for name in dict.fromkeys(variables))
    return f"What gives it away, with the number of slots: {counted}."
