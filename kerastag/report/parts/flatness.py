"""How flat the loss is: around one jet to look at, and around many to know."""

import dataclasses

import numpy as np

from kerastag import plots
from kerastag.evaluation.flatness import QUANTITIES, flatness, surface
from kerastag.evaluation.shapes import one_of_each_variable
from kerastag.metrics import Bootstrap, Interval
from kerastag.report.page import Figure, Section, Table
from kerastag.report.subject import Subject

NAME = "flatness"
LABELS = {
    "gradient_norm": "gradient norm ‖∂J/∂u‖",
    "curvature": "largest eigenvalue of ∂²J/∂u²",
    "rise_random": "ΔJ, random corner of the box",
    "rise_adversarial": "ΔJ, FGSM",
}
_RATIOS = ("gradient_norm", "curvature", "rise_adversarial")
_JETS = 3000
_SHARES = (0.025, 0.16, 0.5, 0.84, 0.975)
_REACH, _STEPS = 0.5, 41


def numbers(subject: Subject) -> dict:
    """Flatness around the first jets of the split, and the surface around one of them."""
    few = slice(_JETS)
    x, y, label = subject.split.features[few], subject.y[few], subject.split.label[few]
    threat_model = subject.threat_model(subject.options.epsilon)
    found = {name: flatness(subject.model(name), x, y, threat_model) for name in subject.names}
    bootstrap = Bootstrap(subject.split.events[few], subject.options.replicates)
    first = found[subject.names[0]]
    return {
        "jets": len(x),
        "quantiles": [
            {"tagger": name, "flavour": flavour, "quantity": quantity, "quantiles": _quantiles(values[label == number])}
            for name, own in found.items()
            for quantity, values in own.items()
            for number, flavour in enumerate(subject.dataset.schema.class_names)
        ],
        "typical": {
            name: {quantity: _typical(quantity, own[quantity], bootstrap) for quantity in QUANTITIES}
            for name, own in found.items()
        },
        "ratios": {
            name: {quantity: _ratio_of_medians(first[quantity], own[quantity], bootstrap) for quantity in _RATIOS}
            for name, own in found.items()
            if name != subject.names[0]
        },
        "surface": _surface(subject, first["gradient_norm"], label),
    }


def _quantiles(values: np.ndarray) -> list[float]:
    return np.quantile(values, _SHARES).tolist() if len(values) else [0.0] * len(_SHARES)


def _typical(quantity: str, values: np.ndarray, bootstrap: Bootstrap) -> dict:
    """Median over jets, of rises the mean, with its interval."""
    statistic = np.mean if quantity.startswith("rise") else np.median
    resampled = np.array([statistic(np.repeat(values, times)) for times in bootstrap.times()])
    return dataclasses.asdict(Interval.of(statistic(values), resampled))


def _ratio_of_medians(first: np.ndarray, other: np.ndarray, bootstrap: Bootstrap) -> dict:
    """Median of the first tagger over that of another, with its interval, paired."""
    ratios = [np.median(np.repeat(first, times)) / np.median(np.repeat(other, times)) for times in bootstrap.times()]
    return dataclasses.asdict(Interval.of(np.median(first) / np.median(other), np.array(ratios)))


def _surface(subject: Subject, steepness: np.ndarray, label: np.ndarray) -> dict:
    """The loss over two inputs around a typical light jet, that of median gradient norm."""
    schema = subject.dataset.schema
    light = np.flatnonzero(label == schema.class_names.index("light"))
    jet = int(light[np.argsort(steepness[light])[len(light) // 2]]) if len(light) else 0
    x, y = subject.split.features[jet], subject.y[jet]
    steepest = one_of_each_variable(schema, subject.steepness(slice(jet, jet + 1))[0], 3)
    named = list(subject.options.features)
    names = [*named, *(name for name in steepest if name not in named)][:2]
    steps = np.linspace(-_REACH, _REACH, _STEPS)
    columns = tuple(schema.index(name) for name in names)
    sigma = subject.dataset.statistics.sigma
    if len(columns) < 2:
        return {}
    return {
        "jet": jet,
        "features": names,
        "steps": steps.tolist(),
        "surfaces": {name: surface(subject.model(name), x, y, columns, sigma, steps).tolist() for name in subject.names},
    }


def draw(subject: Subject, found: dict) -> dict:
    """Boxes for many jets, the surface of one."""
    schema, epsilon = subject.dataset.schema, subject.options.epsilon
    title = f"{found['jets']:,} jets of {schema.name}, {subject.options.split} split, ε = {epsilon:g}; u = Δx/σ"
    drawn = {"flatness": plots.flatness(schema, found["quantiles"], LABELS, ["rise_random"], title)}
    if found["surface"]:
        own = found["surface"]
        names = tuple(schema.features[schema.index(name)].label for name in own["features"])
        surfaces = {name: np.array(values) for name, values in own["surfaces"].items()}
        title = f"a light jet of {schema.name}, {subject.options.split} split; box: ε = {epsilon:g}"
        drawn["loss_surface"] = plots.loss_surface(surfaces, np.array(own["steps"]), names, epsilon, title)
    return drawn


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    names = [f"q{share:g}" for share in _SHARES]
    return {
        "flatness": [
            {**{key: row[key] for key in ("tagger", "flavour", "quantity")}, **dict(zip(names, row["quantiles"], strict=True))}
            for row in found["quantiles"]
        ]
    }


def section(subject: Subject, found: dict) -> Section:
    """How much flatter."""
    first = subject.names[0]
    tables = [
        _table(f"Median over jets, of the rises ΔJ the mean; ε = {subject.options.epsilon:g}:", QUANTITIES, found["typical"])
    ]
    if found["ratios"]:
        caption = f"Ratio of medians, {first} over the tagger; above 1 the tagger is flatter:"
        tables.append(_table(caption, _RATIOS, found["ratios"]))
    text = [
        f"Around {found['jets']:,} jets, over the inputs that may move, in units of σ. The gradient says what a small step "
        "can do, the largest eigenvalue of the Hessian (power iteration with Hessian-vector products) how it bends, and the "
        "two rises what steps of ε do, random (10 corners of the box) and adversarial (FGSM). One jet's surface proves "
        "nothing; it is here to be looked at."
    ]
    figures = [Figure("flatness", "Median (marker), 16 to 84 % (box) and 2.5 to 97.5 % (line) of the jets of each flavour.")]
    if found["surface"]:
        figures.append(
            Figure("loss_surface", f"Cross-entropy of the light jet that is median in steepness, ±{_REACH:g} σ of two inputs.")
        )
    return Section("Is the loss flat around the jets?", text, tables, figures)


def _table(caption: str, quantities: tuple[str, ...], found: dict) -> Table:
    """A line per tagger; 68 % intervals in brackets."""
    rows = [[name, *(_cell(own[quantity]) for quantity in quantities)] for name, own in found.items()]
    return Table(caption, ["tagger", *(LABELS[quantity] for quantity in quantities)], rows)


def _cell(interval: dict) -> str:
    return f"{interval['value']:.3g} [{interval['low']:.3g}, {interval['high']:.3g}]"
