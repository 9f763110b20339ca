"""Figures of numbers with errors: working points, areas, groups of features, flatness, calibration."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from kerastag.flavours import FLAVOURS
from kerastag.plots.style import LINES, Drawn, legend_below, panels, styled, tagger_styles
from kerastag.schema import Schema


@styled
def areas(rows: Sequence[Mapping], differences: Sequence[Mapping], reference: str, title: str) -> Drawn:
    """Areas with the error of the sample and, beside it, that of the seeds; and paired differences from the first tagger.

    Args:
        rows: `tagger`, `condition`, `value`, `low`, `high` (68 %), `seeds_mean`, `seeds_spread` (None for one seed).
        differences: `tagger`, `condition`, `value`, `low`, `high`.
        reference: Name of the first tagger.
        title: Says what sample this is.
    """
    figure, axes = panels(1, 2 if differences else 1, title, (12, 10), sharey=True)
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    styles = tagger_styles(dict.fromkeys(row["tagger"] for row in rows))
    spacing = 0.8 / max(len(styles), 1)
    for axis, listed in zip(axes[0], (rows, differences), strict=False):
        for place, (tagger, style) in enumerate(styles.items()):
            own = [row for row in listed if row["tagger"] == tagger]
            if not own:
                continue
            at = np.array([conditions.index(row["condition"]) for row in own]) + (place - (len(styles) - 1) / 2) * spacing
            _points(axis, own, at, style, tagger)
            seeds = [(y, row) for y, row in zip(at, own, strict=True) if row.get("seeds_spread")]
            if seeds:
                axis.errorbar(
                    [row["seeds_mean"] for _, row in seeds],
                    [y + 0.25 * spacing for y, _ in seeds],
                    xerr=[row["seeds_spread"] for _, row in seeds],
                    fmt="none",
                    ecolor=style["color"],
                    elinewidth=6,
                    alpha=0.45,
                    label=f"{tagger}, seeds",
                )
        axis.set_yticks(range(len(conditions)), conditions, fontsize="x-small")
        axis.yaxis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0, 0].set_xlabel("BvL AUC (68 % of the test sample's resamples)")
    axes[0, 0].invert_yaxis()
    axes[0, 0].legend(fontsize="x-small", loc="best")
    if differences:
        axes[0, 1].set_xlabel(f"BvL AUC minus that of {reference}, paired")
        axes[0, 1].axvline(0, color="black", linewidth=1)
    return figure, axes


def _points(axis: plt.Axes, rows: Sequence[Mapping], at: np.ndarray, style: Mapping, label: str) -> None:
    """Horizontal points with asymmetric errors."""
    value, low, high = (np.array([row[name] for row in rows]) for name in ("value", "low", "high"))
    errors = np.maximum([value - low, high - value], 0)
    axis.errorbar(value, at, xerr=errors, linestyle="none", markersize=9, capsize=4, label=label, **style)


@styled
def working_points(rows: Sequence[Mapping], bins: Mapping[str, Sequence[str]], flavours: Sequence[str], title: str) -> Drawn:
    """Rates under attack over those on clean jets at a frozen threshold: a row per flavour, a column per binning.

    Args:
        rows: `tagger`, `binning`, `bin`, `flavour`, `ratio`, `ratio_low`, `ratio_high` (None where too few jets are tagged).
        bins: Names of the bins of each binning, in order.
        flavours: Rows of the figure.
        title: Says what working point and sample this is.
    """
    figure, axes = panels(len(flavours), len(bins), title, (9, 6), sharey="row")
    styles = tagger_styles(dict.fromkeys(row["tagger"] for row in rows))
    for (line, column), axis in np.ndenumerate(axes):
        flavour, binning = flavours[line], list(bins)[column]
        names = list(bins[binning])
        for place, (tagger, style) in enumerate(styles.items()):
            wanted = (tagger, binning, flavour)
            own = [
                row for row in rows if (row["tagger"], row["binning"], row["flavour"]) == wanted and row["ratio"] is not None
            ]
            if own:
                at = [names.index(row["bin"]) + 0.15 * (place - (len(styles) - 1) / 2) for row in own]
                ratio, low, high = (np.array([row[name] for row in own]) for name in ("ratio", "ratio_low", "ratio_high"))
                errors = np.maximum([ratio - low, high - ratio], 0)
                axis.errorbar(at, ratio, yerr=errors, linestyle="none", markersize=9, capsize=4, label=tagger, **style)
        axis.axhline(1, color="gray", linewidth=1)
        axis.set_xticks(range(len(names)), names, fontsize="x-small")
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.xaxis.minorticks_off()
        axis.grid(alpha=0.3)
        if column == 0:
            what = "efficiency" if flavour == "b" else "mistag rate"
            axis.set_ylabel(f"{flavour} {what}\nattacked / clean", fontsize="small")
        if line == len(flavours) - 1:
            axis.set_xlabel(binning)
    for axis in axes.flat:
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize="xx-small")
            break
    return figure, axes


@styled
def feature_groups(by_kind: Sequence[Mapping], by_variable: Sequence[Mapping], number: int, title: str) -> Drawn:
    """Loss of area when one group alone is attacked (full) and when all but it are (hollow).

    Args:
        by_kind: `tagger`, `group`, `attacked`, `loss`, `low`, `high`, for kinds of object.
        by_variable: The same for variables; those that matter most are drawn.
        number: How many variables.
        title: Says what sample this is.
    """
    figure, axes = panels(1, 2, title, (13, 13))
    largest: dict[str, float] = {}
    for row in by_variable:
        if row["attacked"] == "only":
            largest[row["group"]] = max(row["loss"], largest.get(row["group"], -1))
    chosen = sorted(largest, key=lambda name: -largest[name])[:number]
    kinds = list(dict.fromkeys(row["group"] for row in by_kind))
    for axis, rows, names in zip(axes[0], (by_kind, by_variable), (kinds, ["all", *chosen]), strict=True):
        styles = tagger_styles(dict.fromkeys(row["tagger"] for row in rows))
        for place, (tagger, style) in enumerate(styles.items()):
            for what, offset, fill in (("only", -0.1, style["color"]), ("all but", 0.1, "white"), ("all", 0, "black")):
                own = [row for row in rows if (row["tagger"], row["attacked"]) == (tagger, what) and row["group"] in names]
                at = np.array([names.index(row["group"]) for row in own]) + 0.4 * (place - (len(styles) - 1) / 2) / len(styles)
                values, low, high = (np.array([row[name] for row in own]) for name in ("loss", "low", "high"))
                axis.errorbar(
                    values,
                    at + offset,
                    xerr=np.maximum([values - low, high - values], 0),
                    linestyle="none",
                    markersize=9,
                    markerfacecolor=fill,
                    capsize=3,
                    label=f"{tagger}, {what}",
                    **style,
                )
        axis.set_yticks(range(len(names)), names, fontsize="x-small")
        axis.yaxis.minorticks_off()
        axis.invert_yaxis()
        axis.set_xlabel("loss of BvL AUC")
        axis.grid(alpha=0.3)
    legend_below(axes[0, 0])
    return figure, axes


@styled
def flatness(
    schema: Schema, quantiles: Sequence[Mapping], labels: Mapping[str, str], linear: Sequence[str], title: str
) -> Drawn:
    """Boxes of local flatness over many jets, a panel per quantity: median, 16 to 84 % and 2.5 to 97.5 %.

    Args:
        schema: Flavours in their order.
        quantiles: `tagger`, `flavour`, `quantity`, `quantiles` (2.5, 16, 50, 84, 97.5 %).
        labels: What each quantity is called.
        linear: Quantities of either sign; the others have a logarithmic axis.
        title: Says what jets these are.
    """
    figure, axes = panels(1, len(labels), title, (9, 8))
    styles = tagger_styles(dict.fromkeys(row["tagger"] for row in quantiles))
    width = 0.8 / len(styles)
    for axis, quantity in zip(axes[0], labels, strict=True):
        smallest = min(abs(row["quantiles"][2]) for row in quantiles if row["quantity"] == quantity)
        for place, (tagger, style) in enumerate(styles.items()):
            for number, flavour in enumerate(schema.class_names):
                wanted = (tagger, flavour, quantity)
                (row,) = (row for row in quantiles if (row["tagger"], row["flavour"], row["quantity"]) == wanted)
                at = number + (place - (len(styles) - 1) / 2) * width
                least, low, middle, high, most = row["quantiles"]
                axis.plot([at, at], [least, most], color=style["color"], linewidth=1.5)
                label = tagger if number == 0 else None
                axis.bar(at, high - low, 0.8 * width, low, color=style["color"], alpha=0.5, label=label)
                axis.plot(at, middle, style["marker"], color=style["color"], markeredgecolor="white", markersize=11)
        if quantity in linear:
            axis.axhline(0, color="gray", linewidth=1)
        else:
            axis.set_yscale("symlog", linthresh=max(smallest / 3, 1e-9))
        axis.set_xticks(range(len(schema.classes)), [flavour.label for flavour in schema.classes], fontsize="small")
        axis.xaxis.minorticks_off()
        axis.set_ylabel(labels[quantity])
        axis.grid(alpha=0.3, axis="y")
    axes[0, 0].legend(fontsize="x-small", loc="lower right")
    return figure, axes


@styled
def reliability(curves: Mapping[str, Mapping[str, Mapping]], title: str) -> Drawn:
    """Observed share of each flavour against its predicted probability: a panel per flavour, a colour per tagger.

    Args:
        curves: `curves[tagger][condition]`, as `kerastag.evaluation.calibration.calibration` gives them.
        title: Says what sample this is.
    """
    figure, axes = panels(1, len(FLAVOURS), title, (10, 10), sharey=True)
    styles = tagger_styles(curves)
    for axis, flavour in zip(axes[0], FLAVOURS, strict=True):
        axis.plot([0, 1], [0, 1], color="gray", linewidth=1)
        for tagger, by_condition in curves.items():
            for dashes, (condition, found) in zip(LINES, by_condition.items(), strict=False):
                rows = found["curves"][flavour]
                predicted, observed, low, high = (
                    np.array([row[name] for row in rows]) for name in ("predicted", "observed", "low", "high")
                )
                label = f"{tagger}, {condition} (ECE {found['error']:.3f})"
                axis.errorbar(
                    predicted,
                    observed,
                    yerr=np.maximum([observed - low, high - observed], 0),
                    linestyle=dashes,
                    markersize=7,
                    label=label,
                    **styles[tagger],
                )
        axis.set(xlabel=f"predicted P({flavour})", xlim=(0, 1), ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("observed share")
    axes[0, 0].legend(fontsize="xx-small", loc="upper left")
    return figure, axes
