"""Distributions: of inputs, clean and attacked, with ratios; of outputs and discriminators."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, softmax

from kerastag.evaluation.histograms import counts, edges_of
from kerastag.flavours import FLAVOURS
from kerastag.metrics import DISCRIMINATORS, HEADLINE, discriminant
from kerastag.plots.style import LINES, Drawn, panels, styled, tagger_styles
from kerastag.schema import Schema

# Bins of fewer clean jets have no ratio.
_FEWEST = 20


@styled
def features(schema: Schema, x: np.ndarray, label: np.ndarray, names: Sequence[str], title: str) -> Drawn:
    """Distributions of some features, one panel each, a line per flavour; absent values are left out and their share is told.

    Args:
        schema: Says what the columns are.
        x: Features `(jets, features)`.
        label: Class indices `(jets,)`.
        names: Features to draw.
        title: Says what sample this is.
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
        own = counts(values[present & (label == number)], edges, np.ones((present & (label == number)).sum()))
        share = own / max(own.sum(), 1) / np.diff(edges)
        axis.stairs(share, edges, color=flavour.color, linewidth=3, linestyle=LINES[number % len(LINES)], label=flavour.label)
    axis.set(xlabel=feature.axis_label, ylabel="jets, normalised", yscale="log")
    axis.xaxis.label.set_size("small")
    if not present.all():
        absent = [f"{np.mean(~present[label == number]):.0%}" for number in range(len(schema.classes))]
        axis.set_title(f"absent: {', '.join(absent)} ({', '.join(schema.class_names)})")


@styled
def attacked(schema: Schema, shapes: Mapping[str, Mapping], uncertainty: float, title: str) -> Drawn:
    """Inputs clean (filled) and attacked (a line per tagger), each above the ratio to clean.

    The ratio panel shows the statistical uncertainty of the clean jets (band) and the given relative one (dotted). Attacked
    jets are the same jets, so their own statistical error in the ratio is smaller than the band.

    Args:
        schema: Labels the axes.
        shapes: By feature, as `kerastag.histograms.histograms` gives them.
        uncertainty: Relative uncertainty of a bin.
        title: Says what sample this is.
    """
    columns = min(4, len(shapes))
    rows = -(-len(shapes) // columns)
    figure, axes = panels(2 * rows, columns, title, (7.5, 4.5), gridspec_kw={"height_ratios": [3, 1.2] * rows})
    for place, (name, shape) in enumerate(shapes.items()):
        upper, lower = axes[2 * (place // columns) : 2 * (place // columns) + 2, place % columns]
        edges, clean = np.array(shape["edges"]), np.sum(list(shape["clean"].values()), axis=0)
        upper.stairs(clean, edges, fill=True, color="#c8c8c8", label="clean")
        some = clean > 0
        enough = clean >= _FEWEST
        error = np.sqrt(shape["variance"]) / np.where(some, clean, np.nan)
        lower.stairs(1 + error, edges, baseline=1 - error, fill=True, color="#c8c8c8")
        for tagger, style in tagger_styles(shape["attacked"]).items():
            moved = np.sum(list(shape["attacked"][tagger].values()), axis=0)
            upper.stairs(moved, edges, color=style["color"], linewidth=2.5, label=f"attack on {tagger}")
            lower.stairs(moved / np.where(enough, clean, np.nan), edges, baseline=None, color=style["color"], linewidth=2.5)
        for level in (1 - uncertainty, 1 + uncertainty):
            lower.axhline(level, color="black", linestyle=":", linewidth=1.5)
        _finish(upper, lower, schema, name, shape, (1 - 2 * uncertainty, 1 + 2 * uncertainty))
        upper.set(ylabel="sum of weights", title=f"absent: {shape['absent']:.0%}" if shape["absent"] else "")
    for place in range(len(shapes), rows * columns):
        for axis in axes[2 * (place // columns) : 2 * (place // columns) + 2, place % columns]:
            axis.axis("off")
    _legend_outside(figure, axes[0, 0], 3)
    return figure, axes


@styled
def attacked_by_flavour(schema: Schema, shapes: Mapping[str, Mapping], title: str) -> Drawn:
    """The same split by flavour, filled clean and lines attacked: a row per feature, a column per tagger, ratios below.

    Args:
        schema: Colours and labels.
        shapes: By feature, as `kerastag.histograms.histograms` gives them.
        title: Says what sample this is.
    """
    taggers = list(next(iter(shapes.values()))["attacked"])
    heights = {"height_ratios": [3, 1.5] * len(shapes)}
    figure, axes = panels(2 * len(shapes), len(taggers), title, (12, 5), gridspec_kw=heights)
    for row, (name, shape) in enumerate(shapes.items()):
        edges = np.array(shape["edges"])
        for column, tagger in enumerate(taggers):
            upper, lower = axes[2 * row : 2 * row + 2, column]
            for flavour in schema.classes:
                clean, moved = (np.array(counted[flavour.name]) for counted in (shape["clean"], shape["attacked"][tagger]))
                total = max(clean.sum(), 1e-30) * np.diff(edges)
                upper.stairs(clean / total, edges, fill=True, color=flavour.color, alpha=0.3, label=f"{flavour.label}, clean")
                upper.stairs(moved / total, edges, color=flavour.color, linewidth=2.5, label=f"{flavour.label}, attacked")
                enough = clean >= _FEWEST
                ratio = np.where(enough, moved / np.where(enough, clean, 1), np.nan)
                lower.stairs(ratio, edges, baseline=None, color=flavour.color, linewidth=2.5)
            lower.axhline(1, color="black", linewidth=1)
            _finish(upper, lower, schema, name, shape, (0.5, 1.5))
            upper.set_ylabel("jets, normalised")
            upper.set_title(f"attack on {tagger}" + (f"; absent: {shape['absent']:.0%}" if shape["absent"] else ""))
    _legend_outside(figure, axes[0, 0], 3)
    return figure, axes


def _finish(upper: plt.Axes, lower: plt.Axes, schema: Schema, name: str, shape: Mapping, limits: tuple[float, float]) -> None:
    """Labels and ranges of a distribution and its ratio."""
    edges = shape["edges"]
    upper.set(yscale="log", xlim=(edges[0], edges[-1]), xticklabels=[])
    lower.set(xlim=(edges[0], edges[-1]), ylim=limits, ylabel="attacked\n/ clean")
    # In the middle, where it does not meet the power of ten at the axis' end.
    lower.set_xlabel(schema.features[schema.index(name)].axis_label, fontsize="small", loc="center")
    for axis in (upper, lower):
        axis.yaxis.label.set_size("x-small")
        axis.tick_params(labelsize="x-small")


@styled
def outputs(
    schema: Schema, label: np.ndarray, logits: Mapping[str, Mapping[str, np.ndarray]], weights: np.ndarray, title: str
) -> Drawn:
    """Outputs and discriminators, a row per tagger: filled clean, lines attacked, a colour per flavour.

    Args:
        schema: Colours of the flavours.
        label: Class indices `(jets,)`.
        logits: `logits[tagger]`, clean first, then attacked; `(jets, classes)`.
        weights: Of the jets, `(jets,)`.
        title: Says what sample this is.
    """
    columns = [f"P({name})" for name in FLAVOURS] + list(HEADLINE)
    figure, axes = panels(len(logits), len(columns), title, (8, 7))
    edges = np.linspace(0, 1, 41)
    for line, (tagger, by_condition) in zip(axes, logits.items(), strict=True):
        for place, scores in enumerate(by_condition.values()):
            probabilities = softmax(scores.astype(np.float64), axis=1)
            values = [*probabilities.T, *(expit(discriminant(scores, name)) for name in HEADLINE)]
            for axis, name, value in zip(line, columns, values, strict=True):
                shown = [FLAVOURS[number] for number in DISCRIMINATORS.get(name, range(len(FLAVOURS)))]
                for number, flavour in enumerate(schema.classes):
                    if flavour.name not in shown:
                        continue
                    share = counts(value[label == number], edges, weights[label == number])
                    share = share / max(share.sum(), 1e-30) / np.diff(edges)
                    look = {"fill": True, "alpha": 0.3} if place == 0 else {"linewidth": 2.5}
                    when = "clean" if place == 0 else "attacked"
                    axis.stairs(share, edges, color=flavour.color, label=f"{flavour.label}, {when}", **look)
                axis.set(xlabel=name, yscale="log", xlim=(0, 1), title=tagger)
        line[0].set_ylabel("jets, normalised")
    _legend_outside(figure, axes[0, 0], 6)
    return figure, axes


def _legend_outside(figure: plt.Figure, axis: plt.Axes, columns: int) -> None:
    """One legend for all axes, below them."""
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=columns, fontsize="small")
