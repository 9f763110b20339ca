"""Does an attack push flavours in a direction?"""

import dataclasses

import numpy as np

from kerastag import plots
from kerastag.evaluation.asymmetry import asymmetry
from kerastag.evaluation.histograms import histograms
from kerastag.evaluation.shapes import one_of_each_variable
from kerastag.flavours import FLAVOURS
from kerastag.report.page import Figure, Section, Table, plus_minus
from kerastag.report.subject import Subject

NAME = "directions"
_DRAWN = 3


def numbers(subject: Subject) -> dict:
    """Asymmetries of each tagger, and histograms by flavour of the inputs that are pushed most."""
    schema, split = subject.dataset.schema, subject.split
    attacked = {name: subject.attacked(name, subject.fgsm()) for name in subject.names}
    found = {
        name: asymmetry(split.features, moved, split.label, schema.defaults, subject.bootstrap)
        for name, moved in attacked.items()
    }
    drawn = subject.options.features or _drawn(subject, found[subject.names[0]].by_feature)
    return {
        "summary": {
            name: {
                "magnitude": {flavour: dataclasses.asdict(one) for flavour, one in own.magnitude.items()},
                "inversion": dataclasses.asdict(own.inversion),
            }
            for name, own in found.items()
        },
        "features": [
            {"attack_on": name, "feature": feature, **_of_feature(own, column)}
            for name, own in found.items()
            for column, feature in enumerate(schema.names)
            if np.isfinite(own.by_feature[:, column]).any()
        ],
        "histograms": {name: histograms(schema, name, split.features, attacked, split.label, split.weights) for name in drawn},
    }


def _drawn(subject: Subject, by_feature: np.ndarray) -> list[str]:
    """Inputs that flavours are pushed apart in and that matter; the leading track's impact parameter among them."""
    schema = subject.dataset.schema
    pushed = np.abs(by_feature[FLAVOURS.index("light")] - by_feature[FLAVOURS.index("b")])
    leading = list(schema.helix_features["d0"][:1]) if schema.helix else []
    for name in leading:
        pushed[[feature.variable == schema.features[schema.index(name)].variable for feature in schema.features]] = 0
    return leading + one_of_each_variable(schema, pushed * subject.importance, _DRAWN - len(leading))


def _of_feature(found, column: int) -> dict:
    def number(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    by_flavour = {f"asymmetry_{flavour}": number(found.by_feature[row, column]) for row, flavour in enumerate(FLAVOURS)}
    return by_flavour | {"against_physics": number(found.against_physics[column])}


def draw(subject: Subject, found: dict) -> dict:
    """Inputs by flavour, clean and attacked."""
    if not found["histograms"]:
        return {}
    title = f"{subject.sample}, FGSM ε = {subject.options.epsilon:g}"
    return {"directions": plots.attacked_by_flavour(subject.dataset.schema, found["histograms"], title)}


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    return {"asymmetry": found["features"]}


def section(subject: Subject, found: dict) -> Section:
    """How directed each attack is."""
    rows = [
        [name, *(_cell(own["magnitude"].get(flavour)) for flavour in FLAVOURS), _cell(own["inversion"])]
        for name, own in found["summary"].items()
    ]
    header = ["attack on", *(f"{flavour} jets" for flavour in FLAVOURS), "against physics"]
    caption = f"Filled: clean; lines: attacked, {', '.join(found['histograms'])}. Ratios need 20 clean jets in a bin."
    if not subject.options.features:
        caption += (
            " Chosen: the leading track's impact parameter, where there is one, and the inputs in which b and light jets are "
            "pushed apart most, weighted by how much they matter."
        )
    return Section(
        "Do the attacks push flavours in a direction?",
        [
            "The asymmetry of an input is its mean signed over its mean absolute shift: 0 where as many cells go up as down, "
            "±1 where all go one way. The table has the mean over inputs of its magnitude for each flavour, and how far b "
            "and light jets are pushed towards each other's mean, against what physics says of them: 1 is all of them, 0 no "
            "preference, -1 all apart."
        ],
        [Table(f"FGSM ε = {subject.options.epsilon:g}, 68 % intervals; by input in asymmetry.csv:", header, rows)],
        [Figure("directions", caption)] if found["histograms"] else [],
    )


def _cell(interval: dict | None) -> str:
    return "–" if interval is None else plus_minus(interval, number=".3f")
