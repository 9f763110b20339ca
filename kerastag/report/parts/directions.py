"""Does an attack push flavours in a direction?"""

from collections.abc import Mapping, Sequence

import numpy as np

from kerastag import plots
from kerastag.evaluation.asymmetry import Asymmetry, asymmetry
from kerastag.evaluation.shapes import one_of_each_variable
from kerastag.histograms import histograms
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.results import NotDefined, Number, Resampled, Trained
from kerastag.schema import Schema
from kerastag.tables import Row

NAME = "directions"
_DRAWN = 3


def numbers(subject: Subject) -> Numbers:
    """Asymmetries of each tagger, how far all its seeds push, and histograms by flavour of the inputs that are pushed most."""
    schema, jets = subject.dataset.schema, subject.jets
    of_seeds = {name: [_asymmetry(subject, name, seed) for seed in range(len(subject.taggers[name]))] for name in subject.names}
    asymmetries = {name: of_seed[0] for name, of_seed in of_seeds.items()}
    attacked = {name: subject.attacked(name, subject.fgsm()) for name in subject.names}
    drawn = subject.options.features or _most_pushed(subject, asymmetries[subject.names[0]].by_feature)
    return {
        "summary": {
            name: {
                "magnitude": result.magnitude,
                "inversion": result.inversion.interval,
                "inversion_of_seeds": _of_seeds([seed.inversion for seed in of_seeds[name]]),
            }
            for name, result in asymmetries.items()
        },
        "features": [
            {"attack_on": name, **row} for name, result in asymmetries.items() for row in _feature_rows(result, schema)
        ],
        "histograms": {name: histograms(schema, name, jets.features, attacked, jets.label, jets.weights) for name in drawn},
    }


def _asymmetry(subject: Subject, name: str, seed: int) -> Asymmetry:
    """That of FGSM on a seed of a tagger."""
    jets, attacked = subject.jets, subject.attacked(name, subject.fgsm(), seed)
    return asymmetry(jets.features, attacked, jets.label, subject.dataset.schema.defaults, subject.bootstrap, subject.main)


def _of_seeds(inversions: Sequence[Resampled | NotDefined]) -> Number:
    """Mean over the seeds, with its 95 % interval; not defined where one is not."""
    undefined = [inversion for inversion in inversions if isinstance(inversion, NotDefined)]
    return undefined[0] if undefined else Trained.of([one for one in inversions if isinstance(one, Resampled)]).interval


def _most_pushed(subject: Subject, by_feature: np.ndarray) -> list[str]:
    """Inputs in which the sides of the main discriminator part, and that matter; the leading track's d0 among them."""
    schema = subject.dataset.schema
    found, rejected = (_mean_of_moved(by_feature[list(side)]) for side in subject.main.columns)
    pushed = np.abs(rejected - found)
    leading = list(schema.helix_features["d0"][:1]) if schema.helix else []
    for name in leading:
        variable = schema.features[schema.index(name)].variable
        pushed[[feature.variable == variable for feature in schema.features]] = 0
    return leading + one_of_each_variable(schema, pushed * subject.importance, _DRAWN - len(leading))


def _mean_of_moved(asymmetries: np.ndarray) -> np.ndarray:
    """Mean over classes `(classes, features)` of what is a number, `(features,)`; NaN where none is."""
    numbers = np.isfinite(asymmetries)
    total = np.where(numbers, asymmetries, 0).sum(axis=0)
    return np.divide(total, numbers.sum(axis=0), out=np.full(total.shape, np.nan), where=numbers.any(axis=0))


def _feature_rows(result: Asymmetry, schema: Schema) -> list[Row]:
    """Asymmetries of each feature that moves, by flavour; None where too few cells do."""

    def number(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    rows: list[Row] = []
    for column in np.flatnonzero(np.isfinite(result.by_feature).any(axis=0)).tolist():
        by_flavour = zip(schema.class_names, result.by_feature[:, column], strict=True)
        row = {f"asymmetry_{flavour}": number(value) for flavour, value in by_flavour}
        rows.append({"feature": schema.names[column], **row, "against_physics": number(result.against_physics[column])})
    return rows


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Inputs by flavour, clean and attacked."""
    if not numbers["histograms"]:
        return {}
    title = f"{subject.title}, FGSM ε = {subject.options.epsilon:g}"
    return {"directions": plots.attacked_by_flavour(subject.dataset.schema, numbers["histograms"], title)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Asymmetries by input."""
    return {"asymmetry": numbers["features"]}


def section(subject: Subject, numbers: Numbers) -> Section:
    """How directed each attack is."""
    rows = [
        [
            name,
            *(f"{result['magnitude'].get(flavour, '–')}" for flavour in subject.dataset.schema.class_names),
            f"{result['inversion']}",
        ]
        for name, result in numbers["summary"].items()
    ]
    sides = " and ".join(subject.main.sides)
    header = ["attack on", *(f"{flavour} jets" for flavour in subject.dataset.schema.class_names), "against physics"]
    caption = f"Filled: clean; lines: attacked, {', '.join(numbers['histograms'])}. Ratios need 20 clean jets in a bin."
    if not subject.options.features:
        caption += (
            " Chosen: the leading track's impact parameter, where there is one, and the inputs in which "
            f"{sides} jets are "
            "pushed apart most, weighted by how much they matter."
        )
    return Section(
        "Do the attacks push flavours in a direction?",
        [
            "The asymmetry of an input is its mean signed over its mean absolute shift: 0 where as many cells go up as down, "
            "±1 where all go one way. The table has the mean over inputs of its magnitude for each flavour, and how far "
            f"{sides} jets are pushed towards each other's mean, against what physics says of them: 1 is all of them, 0 no "
            "preference, -1 all apart."
        ],
        [Table(f"FGSM ε = {subject.options.epsilon:g}, 68 % intervals; by input in asymmetry.csv:", header, rows)],
        [Figure("directions", caption)] if numbers["histograms"] else [],
    )
