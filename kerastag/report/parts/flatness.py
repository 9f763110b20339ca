"""How flat the loss is: around one jet to look at, and around many to know."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerastag import plots
from kerastag.evaluation.flatness import QUANTITIES, flatness, surface
from kerastag.evaluation.shapes import one_of_each_variable
from kerastag.metrics import Bootstrap
from kerastag.plots.style import Drawn
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.results import Interval, Resampled, Trained
from kerastag.tables import Row

NAME = "flatness"
LABELS = {
    "gradient_norm": "gradient norm ‖∂J/∂u‖",
    "curvature": "largest eigenvalue of ∂²J/∂u²",
    "rise_random": "ΔJ, random corner of the box",
    "rise_adversarial": "ΔJ, FGSM",
}
# Rises may be negative, so figures show them on a linear axis and tables their mean.
_RISES = ("rise_random", "rise_adversarial")
_RATIOS = ("gradient_norm", "curvature", "rise_adversarial")
_JETS = 3000
_SHARES = (0.025, 0.16, 0.5, 0.84, 0.975)
_REACH, _STEPS = 0.5, 41


def numbers(subject: Subject) -> Numbers:
    """Flatness around the first jets of the split, of all seeds compared, and the surface around one of the jets."""
    jets = subject.jets.take(slice(_JETS))
    threat_model = subject.fgsm().threat_model(subject.dataset)
    of_seeds = {
        name: [flatness(seed.model, jets.features, jets.y, threat_model) for seed in seeds]
        for name, seeds in subject.taggers.items()
    }
    bootstrap = Bootstrap(subject.jets.events[: len(jets)], subject.options.replicates)
    by_tagger = {name: of_seed[0] for name, of_seed in of_seeds.items()}
    first = subject.names[0]
    flavours = subject.dataset.schema.class_names
    return {
        "jets": len(jets),
        "quantiles": [
            {"tagger": name, **row} for name, values in by_tagger.items() for row in _quantiles(values, jets.label, flavours)
        ],
        "typical": {
            name: {quantity: _typical(quantity, values[quantity], bootstrap) for quantity in QUANTITIES}
            for name, values in by_tagger.items()
        },
        "ratios": {
            name: {quantity: _ratio_of_medians(of_seeds[first], of_seeds[name], quantity, bootstrap) for quantity in _RATIOS}
            for name in subject.names[1:]
        },
        "surface": _surface(subject, by_tagger[first]["gradient_norm"], jets.label),
    }


def _quantiles(by_quantity: Mapping[str, np.ndarray], label: np.ndarray, flavours: Sequence[str]) -> list[Row]:
    """Quantiles of each quantity `(jets,)` over the jets of each flavour."""
    return [
        {"flavour": flavour, "quantity": quantity, "quantiles": _quantiles_of(values[label == number])}
        for quantity, values in by_quantity.items()
        for number, flavour in enumerate(flavours)
    ]


def _quantiles_of(values: np.ndarray) -> list[float]:
    return np.quantile(values, _SHARES).tolist() if len(values) else [0.0] * len(_SHARES)


def _resample(values: np.ndarray, statistic: Any, bootstrap: Bootstrap) -> Resampled:
    """A statistic of jets `(jets,)`, each as often as it is drawn."""
    resampled = [statistic(np.repeat(values, times)) for times in bootstrap.times()]
    return Resampled(statistic(values), np.array(resampled))


def _typical(quantity: str, values: np.ndarray, bootstrap: Bootstrap) -> Interval:
    """Median over jets, of rises the mean."""
    return _resample(values, np.mean if quantity in _RISES else np.median, bootstrap).interval


def _ratio_of_medians(
    first: Sequence[Mapping[str, np.ndarray]], other: Sequence[Mapping[str, np.ndarray]], quantity: str, bootstrap: Bootstrap
) -> Interval:
    """Median of the first tagger over that of another, paired, the mean over seeds of each; 95 %."""
    medians = (Trained.of([_resample(values[quantity], np.median, bootstrap) for values in seeds]) for seeds in (first, other))
    return operator.truediv(*medians).interval


def _surface(subject: Subject, steepness: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """The loss over two inputs around the jet to reject, such as light, of median gradient norm; empty without two inputs."""
    schema, scale = subject.dataset.schema, subject.scale
    rejected = np.flatnonzero(np.isin(label, subject.main.columns[1]))
    jet = int(rejected[np.argsort(steepness[rejected])[len(rejected) // 2]]) if len(rejected) else 0
    steepest = one_of_each_variable(schema, subject.steepness(slice(jet, jet + 1))[0], 3)
    names = list(dict.fromkeys([*subject.options.features, *steepest]))[:2]
    if len(names) < 2:
        return {}
    first, second = (schema.index(name) for name in names)
    x, y, steps = subject.jets.features[jet], subject.jets.y[jet], np.linspace(-_REACH, _REACH, _STEPS)
    budget = np.asarray(subject.fgsm().threat_model(subject.dataset).budget(x[None], y[None]))[0]
    return {
        "jet": jet,
        "features": names,
        "steps": steps.tolist(),
        "box": [float(budget[column] / scale[column]) for column in (first, second)],
        "surfaces": {
            name: surface(subject.model(name), x, y, (first, second), scale, steps).tolist() for name in subject.names
        },
    }


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """Boxes for many jets, the surface of one."""
    schema, epsilon = subject.dataset.schema, subject.options.epsilon
    split = f"{schema.name}, {subject.sample.of_split}"
    title = f"{numbers['jets']:,} jets of {split}, ε = {epsilon:g}; u = Δx/{subject.options.unit}"
    figures = {"flatness": plots.flatness(schema, numbers["quantiles"], LABELS, ["rise_random"], title)}
    if numbers["surface"]:
        first, second = (schema.features[schema.index(name)].label for name in numbers["surface"]["features"])
        surfaces = {name: np.array(values) for name, values in numbers["surface"]["surfaces"].items()}
        steps = np.array(numbers["surface"]["steps"])
        title = f"a {subject.main.sides[1]} jet of {split}; box: ε = {epsilon:g}"
        unit, box = subject.options.unit_of_moves, numbers["surface"]["box"]
        figures["loss_surface"] = plots.loss_surface(surfaces, steps, (first, second), box, title, unit)
    return figures


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Quantiles."""
    names = [f"q{share:g}" for share in _SHARES]
    return {
        "flatness": [
            {key: row[key] for key in ("tagger", "flavour", "quantity")} | dict(zip(names, row["quantiles"], strict=True))
            for row in numbers["quantiles"]
        ]
    }


def section(subject: Subject, numbers: Numbers) -> Section:
    """How much flatter."""
    caption = f"Median over jets, of the rises ΔJ the mean; ε = {subject.options.epsilon:g}, 68 %:"
    tables = [_table(caption, QUANTITIES, numbers["typical"])]
    if numbers["ratios"]:
        caption = f"Ratio of medians, {subject.names[0]} over the tagger, all seeds and 95 %; above 1 the tagger is flatter:"
        tables.append(_table(caption, _RATIOS, numbers["ratios"]))
    text = [
        f"Around {numbers['jets']:,} jets, over the inputs that may move, in units of {subject.options.unit}. The gradient "
        "says what a small step can do, the largest eigenvalue of the Hessian (power iteration with Hessian-vector products) "
        "how it bends, and the two rises what steps of ε do, random (10 corners of the box) and adversarial (FGSM). One jet's "
        "surface proves nothing; it is here to be looked at."
    ]
    figures = [Figure("flatness", "Median (marker), 16 to 84 % (box) and 2.5 to 97.5 % (line) of the jets of each flavour.")]
    if numbers["surface"]:
        reach = f"±{_REACH:g} {subject.options.unit_of_moves} of two inputs"
        words = f"Cross-entropy of the {subject.main.sides[1]} jet that is median in steepness, {reach}."
        figures.append(Figure("loss_surface", words))
    return Section("Is the loss flat around the jets?", text, tables, figures)


def _table(caption: str, quantities: Sequence[str], by_tagger: Mapping[str, Mapping[str, Interval]]) -> Table:
    """A line per tagger; intervals in brackets."""
    rows = [[name, *(f"{values[quantity]:[]}" for quantity in quantities)] for name, values in by_tagger.items()]
    return Table(caption, ["tagger", *(LABELS[quantity] for quantity in quantities)], rows)
