"""Figures, in mplhep's style: clean solid, attacked dashed or dash-dotted."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import mplhep
import numpy as np

from kerastag.files import replaced
from kerastag.flavours import FLAVOURS
from kerastag.metrics import DISCRIMINATORS, MINIMUM_MISTAGGED, RankedPair
from kerastag.schema import Schema

_STYLES = ("-", "--", "-.", ":")
# mplhep's style, without its search for a calligraphic font that few machines have.
STYLE = [mplhep.style.ROOT, {"mathtext.cal": "sans"}]
# Okabe and Ito's palette, told apart with any colour vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def roc(y: np.ndarray, logits: dict[str, dict[str, np.ndarray]], discriminators: Iterable[str], title: str) -> plt.Figure:
    """ROC curves: a panel per discriminator, a colour per tagger, a line style per condition.

    Args:
        y: One-hot `(jets, classes)`.
        logits: `logits[tagger][condition]`, `(jets, classes)`.
        discriminators: Names in `DISCRIMINATORS`.
        title: Says what sample this is.
    """
    names = list(discriminators)
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(1, len(names), figsize=(10 * len(names), 12), squeeze=False, layout="constrained")
        for axis, name in zip(axes[0], names, strict=True):
            for color, (tagger, by_condition) in zip(COLORS, logits.items(), strict=False):
                for style, (condition, scores) in zip(_STYLES, by_condition.items(), strict=False):
                    _roc_curve(axis, RankedPair(y, scores, name), color, style, f"{tagger}, {condition}")
            over, against = (FLAVOURS[number] for number in DISCRIMINATORS[name])
            axis.set(
                xlabel=f"{over} tagging efficiency",
                ylabel=f"mistag rate of {against} jets",
                yscale="log",
                xlim=(0, 1),
                ylim=(_lowest_mistag(y, name), 1),
                title=name,
            )
            axis.grid(alpha=0.3, which="both")
            if axis.lines:
                axis.legend(fontsize="xx-small", loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
            else:
                axis.text(0.5, 0.5, RankedPair(y, np.zeros(y.shape), name).auc(), transform=axis.transAxes, ha="center")
        figure.suptitle(title, fontsize="small")
    return figure


def _lowest_mistag(y: np.ndarray, name: str) -> float:
    """Lower end of the axis: 1e-3, or where too few mistagged jets are left."""
    rejected = max(y[:, DISCRIMINATORS[name][1]].sum(), 1)
    return max(1e-3, 0.5 * MINIMUM_MISTAGGED / rejected)


def _roc_curve(axis: plt.Axes, pair: RankedPair, color: str, style: str, label: str) -> None:
    if pair.missing:
        return
    efficiency, mistag, mistagged = pair.roc()
    shown = mistagged >= MINIMUM_MISTAGGED
    axis.plot(efficiency[shown], mistag[shown], style, color=color, label=f"{label} ({pair.auc():.3f})")


def transfer(names: Sequence[str], losses: dict[str, np.ndarray], title: str) -> plt.Figure:
    """Loss of BvL AUC, a panel per attack: rows are the taggers attacked, columns those evaluated on the attacked jets.

    Args:
        names: Of the taggers.
        losses: `(taggers, taggers)` per condition; NaN where there is none, as between taggers of other inputs.
        title: Says what sample this is.
    """
    columns = min(2, len(losses))
    rows = -(-len(losses) // columns)
    size = 2.5 * len(names) + 5
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(size * columns, size * rows), squeeze=False, layout="constrained")
        for axis, (condition, values) in zip(axes.flat, losses.items(), strict=False):
            _transfer_panel(axis, names, values)
            axis.set_title(condition, fontsize="small")
        for axis in axes.flat[len(losses) :]:
            axis.axis("off")
        undefined = "" if all(np.isfinite(values).all() for values in losses.values()) else " (–: other inputs, or not defined)"
        figure.suptitle(f"Loss of BvL AUC{undefined}; {title}", fontsize="small")
    return figure


def _transfer_panel(axis: plt.Axes, names: Sequence[str], values: np.ndarray) -> None:
    largest = np.nanmax(np.append(values, 1e-3))
    axis.imshow(values, cmap="cividis", vmin=0, vmax=largest)
    axis.set(xlabel="evaluated on", ylabel="attacked on")
    axis.set_xticks(range(len(names)), names, rotation=20, ha="right", fontsize="x-small")
    axis.set_yticks(range(len(names)), names, fontsize="x-small")
    axis.minorticks_off()
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.4f}"
        color = "black" if np.isnan(value) or value > 0.6 * largest else "white"
        axis.text(column, row, text, ha="center", va="center", color=color, fontsize="small")


def history(rows: list[dict[str, float]], attack: str, epsilon: float) -> plt.Figure:
    """AUC and cross-entropy of the validation jets against the epoch, clean and attacked, and the loss ratio.

    Args:
        rows: Logs of each epoch, as `AttackedAUC` makes them.
        attack: Name of the attack in the logs.
        epsilon: Its size.
    """
    epochs = np.arange(1, len(rows) + 1)

    def series(name: str) -> np.ndarray:
        return np.array([row.get(name, np.nan) for row in rows])

    with plt.style.context(STYLE):
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(27, 8), layout="constrained")
        for color, name in zip(COLORS, ("BvL", "CvB", "CvL"), strict=False):
            left.plot(epochs, series(f"val_{name}_auc"), color=color, label=f"{name}, clean")
            left.plot(epochs, series(f"val_{name}_auc_{attack}"), "--", color=color, label=f"{name}, attacked")
        left.set(xlabel="epoch", ylabel="validation AUC")
        clean, attacked = series("val_cross_entropy"), series(f"val_cross_entropy_{attack}")
        middle.plot(epochs, clean, color=COLORS[0], label="clean")
        middle.plot(epochs, attacked, "--", color=COLORS[0], label="attacked")
        middle.set(xlabel="epoch", ylabel="validation cross-entropy")
        right.plot(epochs, attacked / clean, color=COLORS[1], label="attacked / clean")
        right.set(xlabel="epoch", ylabel="ratio of cross-entropies")
        for axis in (left, middle, right):
            axis.grid(alpha=0.3)
            axis.legend(fontsize="xx-small")
        figure.suptitle(f"{attack.upper()}, ε = {epsilon:g}", fontsize="small")
    return figure


def features(schema: Schema, x: np.ndarray, label: np.ndarray, names: Sequence[str], title: str) -> plt.Figure:
    """Distributions of some features, one panel each, a line per flavour; absent values are left out and their share is told.

    Args:
        schema: Says what the columns are.
        x: Features `(jets, features)`.
        label: Class indices `(jets,)`.
        names: Features to draw.
        title: Says what sample this is.
    """
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(7 * columns, 6 * rows), squeeze=False, layout="constrained")
        for axis, name in zip(axes.flat, names, strict=False):
            _feature(axis, schema, x[:, schema.index(name)], label, name)
        for axis in axes.flat[len(names) :]:
            axis.axis("off")
        axes.flat[0].legend(fontsize="small")
        figure.suptitle(title)
    return figure


def _feature(axis: plt.Axes, schema: Schema, values: np.ndarray, label: np.ndarray, name: str) -> None:
    """One feature by flavour: unit bins for whole numbers, else 50 over the central 99 %; the ends hold what lies beyond."""
    feature = schema.features[schema.index(name)]
    present = values != np.float32(feature.default)
    low, high = np.percentile(values[present], (0.5, 99.5))
    edges = np.arange(np.floor(low), np.ceil(high) + 2) - 0.5 if feature.integer else np.linspace(low, high, 51)
    for number, flavour in enumerate(schema.classes):
        own = np.clip(values[present & (label == number)], edges[0], edges[-1])
        counts, _ = np.histogram(own, edges)
        share = counts / max(counts.sum(), 1) / np.diff(edges)
        axis.stairs(
            share, edges, color=flavour.color, linewidth=3, linestyle=_STYLES[number % len(_STYLES)], label=flavour.label
        )
    axis.set(xlabel=feature.axis_label, ylabel="jets, normalised", yscale="log")
    axis.xaxis.label.set_size("small")
    if not present.all():
        absent = [f"{np.mean(~present[label == number]):.0%}" for number in range(len(schema.classes))]
        axis.set_title(f"absent: {', '.join(absent)} ({', '.join(schema.class_names)})", fontsize="small")


def save(figure: plt.Figure, path: Path, dpi: int = 100) -> None:
    """Write a figure whole and release it."""
    with replaced(path) as new, plt.style.context(STYLE):  # fonts are looked up while drawing
        figure.savefig(new, dpi=dpi)
    plt.close(figure)
