"""Distributions: of inputs, clean and attacked, with ratios; of outputs and discriminators."""

from collections.abc import Iterator, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, softmax

from kerastag.histograms import counts, edges_of
from kerastag.metrics import discriminant
from kerastag.plots.style import LINES, Drawn, Style, panels, styled, tagger_styles
from kerastag.schema import Schema

# Bins of fewer clean jets have no ratio.
_FEWEST = 20
_GRAY = "#c8c8c8"
# Bins of probabilities and of discriminators.
_UNIT_BINS = np.linspace(0, 1, 41)


@styled
def features(schema: Schema, x: np.ndarray, label: np.ndarray, names: Sequence[str], title: str) -> Drawn:
    """Distributions of some features, a panel each, a line per flavour; absent values are left out, their share is written.

    Args:
        schema: Schema of the columns.
        x: Features `(jets, features)`.
        label: Class indices `(jets,)`.
        names: Features to draw.
        title: Title of the figure.
    """
    columns = min(4, len(names))
    figure, axes = panels(-(-len(names) // columns), columns, title, (7, 6))
    for axis, name in zip(axes.flat, names, strict=False):
        _feature(axis, schema, x[:, schema.index(name)], label, name)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    axes.flat[0].legend(fontsize="small")
    return figure, axes


def _feature(axis: plt.Axes, schema: Schema, values: np.ndarray, label: np.ndarray, name: str) -> None:
    """One feature by flavour, normalised."""
    feature = schema.features[schema.index(name)]
    present = values != np.float32(feature.default)
    edges = edges_of(feature, values[present])
    for number, flavour in enumerate(schema.classes):
        of_flavour = values[present & (label == number)]
        share = _normalised(counts(of_flavour, edges), edges)
        axis.stairs(share, edges, color=flavour.color, linewidth=3, linestyle=LINES[number % len(LINES)], label=flavour.label)
    axis.set(xlabel=feature.axis_label, ylabel="jets, normalised", yscale="log")
    axis.xaxis.label.set_fontsize("small")
    if not present.all():
        absent = [f"{np.mean(~present[label == number]):.0%}" for number in range(len(schema.classes))]
        axis.set_title(f"absent: {', '.join(absent)} ({', '.join(schema.class_names)})")


def _normalised(values: np.ndarray, edges: np.ndarray, total: float | None = None) -> np.ndarray:
    """Counts `(bins,)` per unit of the axis, over their sum or a given total."""
    return values / max(values.sum() if total is None else total, 1e-30) / np.diff(edges)


def _ratio(values: np.ndarray, clean: np.ndarray, shape: Mapping) -> np.ndarray:
    """Sums of weights over those of clean jets, `(bins,)`; NaN where these are of too few jets of a typical weight, Σw²/Σw."""
    typical = np.sum(shape["variance"]) / max(np.sum(list(shape["clean"].values())), 1e-30)
    return values / np.where(clean >= _FEWEST * typical, clean, np.nan)


@styled
def attacked(schema: Schema, shapes: Mapping[str, Mapping], uncertainty: float, title: str) -> Drawn:
    """Inputs clean (filled) and attacked (a line per tagger), each above the ratio to clean.

    The ratio panel shows the statistical uncertainty of the clean jets (band) and the given relative one (dotted). Attacked
    jets are the same jets, so their own statistical error in the ratio is smaller than the band.

    Args:
        schema: Schema with the labels of the axes.
        shapes: By feature, as `kerastag.histograms.histograms` gives them.
        uncertainty: Relative uncertainty of a bin.
        title: Title of the figure.
    """
    columns = min(4, len(shapes))
    rows = -(-len(shapes) // columns)
    figure, axes = panels(2 * rows, columns, title, (7.5, 4.5), gridspec_kw={"height_ratios": [3, 1.2] * rows})
    pairs = [(axes[2 * row, column], axes[2 * row + 1, column]) for row in range(rows) for column in range(columns)]
    for (upper, lower), (name, shape) in zip(pairs, shapes.items(), strict=False):
        _shape(upper, lower, shape)
        for level in (1 - uncertainty, 1 + uncertainty):
            lower.axhline(level, color="black", linestyle=":", linewidth=1.5)
        _finish(upper, lower, schema, name, shape, (1 - 2 * uncertainty, 1 + 2 * uncertainty))
        upper.set(ylabel="sum of weights", title=f"absent: {shape['absent']:.0%}" if shape["absent"] else "")
    for unused in pairs[len(shapes) :]:
        for axis in unused:
            axis.axis("off")
    _legend_outside(figure, axes[0, 0], 3)
    return figure, axes


def _shape(upper: plt.Axes, lower: plt.Axes, shape: Mapping) -> None:
    """A distribution over all flavours, clean and attacked, and its ratio to clean."""
    edges, clean = np.array(shape["edges"]), np.sum(list(shape["clean"].values()), axis=0)
    upper.stairs(clean, edges, fill=True, color=_GRAY, label="clean")
    error = np.sqrt(shape["variance"]) / np.where(clean > 0, clean, np.nan)
    lower.stairs(1 + error, edges, baseline=1 - error, fill=True, color=_GRAY)
    for tagger, style in tagger_styles(shape["attacked"]).items():
        moved = np.sum(list(shape["attacked"][tagger].values()), axis=0)
        upper.stairs(moved, edges, color=style["color"], linewidth=2.5, label=f"attack on {tagger}")
        lower.stairs(_ratio(moved, clean, shape), edges, baseline=None, color=style["color"], linewidth=2.5)


@styled
def attacked_by_flavour(schema: Schema, shapes: Mapping[str, Mapping], title: str) -> Drawn:
    """The same split by flavour, filled clean and lines attacked: a row per feature, a column per tagger, ratios below.

    Args:
        schema: Schema with the colours and labels.
        shapes: By feature, as `kerastag.histograms.histograms` gives them.
        title: Title of the figure.
    """
    taggers = list(next(iter(shapes.values()))["attacked"])
    heights = {"height_ratios": [3, 1.5] * len(shapes)}
    figure, axes = panels(2 * len(shapes), len(taggers), title, (12, 5), gridspec_kw=heights)
    for row, (name, shape) in enumerate(shapes.items()):
        for column, tagger in enumerate(taggers):
            upper, lower = axes[2 * row : 2 * row + 2, column]
            _shape_by_flavour(upper, lower, schema, shape, tagger)
            _finish(upper, lower, schema, name, shape, (0.5, 1.5))
            upper.set_ylabel("jets, normalised")
            upper.set_title(f"attack on {tagger}" + (f"; absent: {shape['absent']:.0%}" if shape["absent"] else ""))
    _legend_outside(figure, axes[0, 0], 3)
    return figure, axes


def _shape_by_flavour(upper: plt.Axes, lower: plt.Axes, schema: Schema, shape: Mapping, tagger: str) -> None:
    """A distribution of each flavour, clean and attacked on a tagger, and its ratio to clean."""
    edges = np.array(shape["edges"])
    for flavour in schema.classes:
        clean, moved = np.array(shape["clean"][flavour.name]), np.array(shape["attacked"][tagger][flavour.name])
        share = _normalised(clean, edges)
        upper.stairs(share, edges, fill=True, color=flavour.color, alpha=0.3, label=f"{flavour.label}, clean")
        share = _normalised(moved, edges, clean.sum())
        upper.stairs(share, edges, color=flavour.color, linewidth=2.5, label=f"{flavour.label}, attacked")
        lower.stairs(_ratio(moved, clean, shape), edges, baseline=None, color=flavour.color, linewidth=2.5)
    lower.axhline(1, color="black", linewidth=1)


def _finish(upper: plt.Axes, lower: plt.Axes, schema: Schema, name: str, shape: Mapping, limits: tuple[float, float]) -> None:
    """Labels and ranges of a distribution and its ratio."""
    edges = shape["edges"]
    upper.set(yscale="log", xlim=(edges[0], edges[-1]), xticklabels=[])
    lower.set(xlim=(edges[0], edges[-1]), ylim=limits, ylabel="attacked\n/ clean")
    # In the middle, where it does not meet the power of ten at the axis' end.
    lower.set_xlabel(schema.features[schema.index(name)].axis_label, fontsize="small", loc="center")
    for axis in (upper, lower):
        axis.yaxis.label.set_fontsize("x-small")
        axis.tick_params(labelsize="x-small")


@styled
def outputs(
    schema: Schema, label: np.ndarray, logits: Mapping[str, Mapping[str, np.ndarray]], weights: np.ndarray, title: str
) -> Drawn:
    """Outputs and discriminators, a row per tagger: filled clean, lines attacked, a colour per flavour.

    Args:
        schema: Schema with the colours of the flavours.
        label: Class indices `(jets,)`.
        logits: `logits[tagger]`, clean first, then attacked; `(jets, classes)` each.
        weights: Weights of the jets, `(jets,)`.
        title: Title of the figure.
    """
    figure, axes = panels(len(logits), len(schema.classes) + len(schema.headline), title, (8, 7))
    for line, (tagger, by_condition) in zip(axes, logits.items(), strict=True):
        clean, moved = by_condition.values()
        _outputs(line, schema, label, clean, weights, "clean", {"fill": True, "alpha": 0.3})
        _outputs(line, schema, label, moved, weights, "attacked", {"linewidth": 2.5})
        for axis in line:
            axis.set(yscale="log", xlim=(0, 1), title=tagger)
        line[0].set_ylabel("jets, normalised")
    _legend_outside(figure, axes[0, 0], 6)
    return figure, axes


def _outputs(
    axes: np.ndarray,
    schema: Schema,
    label: np.ndarray,
    logits: np.ndarray,
    weights: np.ndarray,
    jets: str,
    look: Style,
) -> None:
    """Outputs and discriminators of some jets, a panel each."""
    for axis, (name, values, flavours) in zip(axes, _quantities(schema, logits), strict=True):
        axis.set_xlabel(name)
        for number, flavour in enumerate(schema.classes):
            if flavour.name in flavours:
                share = counts(values[label == number], _UNIT_BINS, weights[label == number])
                share = _normalised(share, _UNIT_BINS)
                axis.stairs(share, _UNIT_BINS, color=flavour.color, label=f"{flavour.label}, {jets}", **look)


def _quantities(schema: Schema, logits: np.ndarray) -> Iterator[tuple[str, np.ndarray, tuple[str, ...]]]:
    """Label of each output and discriminator, its values `(jets,)`, and the flavours that it is drawn for."""
    probabilities = softmax(logits.astype(np.float64), axis=1)
    for flavour, values in zip(schema.class_names, probabilities.T, strict=True):
        yield f"P({flavour})", values, schema.class_names
    for one in schema.in_tables:
        shown = tuple(schema.class_names[column] for side in one.columns for column in side)
        yield one.name, expit(discriminant(logits, one)), shown


def _legend_outside(figure: plt.Figure, axis: plt.Axes, columns: int) -> None:
    """Add one legend for all axes, below them."""
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=columns, fontsize="small")
