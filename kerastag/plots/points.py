"""Numbers with errors: working points, areas, groups of features, flatness, calibration."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from kerastag.plots.style import LINES, Drawn, Style, legend_below, panels, styled, tagger_styles
from kerastag.results import Interval
from kerastag.schema import Schema, Separation
from kerastag.tables import Row, unique, where


def _values(intervals: Sequence[Interval]) -> np.ndarray:
    return np.array([interval.value for interval in intervals])


def _errors(intervals: Sequence[Interval]) -> np.ndarray:
    """Lengths of asymmetric error bars, `(2, points)`; 0 where a value lies outside its interval."""
    lengths = [(interval.value - interval.low, interval.high - interval.value) for interval in intervals]
    return np.maximum(np.reshape(lengths, (-1, 2)).T, 0)


def _offsets(number: int, spacing: float) -> np.ndarray:
    """Places of several points beside one another, `(number,)`, around 0."""
    return (np.arange(number) - (number - 1) / 2) * spacing


def _name_rows(axis: plt.Axes, names: Sequence[str]) -> None:
    """Name the places 0, 1, … along a vertical axis."""
    axis.set_yticks(range(len(names)), names, fontsize="x-small")
    axis.yaxis.minorticks_off()
    axis.grid(alpha=0.3)


@styled
def areas(rows: Sequence[Row], differences: Sequence[Row], reference: str, title: str, main: str) -> Drawn:
    """Areas with the error of the sample and, beside it, that of the seeds; and paired differences from the first tagger.

    Args:
        rows: `tagger`, `condition`, `area`, and `seeds`, the area of each seed.
        differences: `tagger`, `condition`, `difference`.
        reference: Name of the first tagger.
        title: Title of the figure.
        main: Name of the discriminator.
    """
    figure, axes = panels(1, 2 if differences else 1, title, (12, 10), sharey=True)
    conditions = unique(rows, "condition")
    styles = tagger_styles(unique(rows, "tagger"))
    _areas_panel(axes[0, 0], rows, "area", conditions, styles)
    axes[0, 0].set_xlabel(f"{main} AUC (68 % of the test sample's resamples)")
    axes[0, 0].invert_yaxis()
    axes[0, 0].legend(fontsize="x-small", loc="best")
    if differences:
        _areas_panel(axes[0, 1], differences, "difference", conditions, styles)
        axes[0, 1].set_xlabel(f"{main} AUC minus that of {reference}, paired")
        axes[0, 1].axvline(0, color="black", linewidth=1)
    return figure, axes


def _areas_panel(
    axis: plt.Axes, rows: Sequence[Row], quantity: str, conditions: Sequence[str], styles: Mapping[str, Style]
) -> None:
    spacing = 0.8 / max(len(styles), 1)
    for (tagger, style), offset in zip(styles.items(), _offsets(len(styles), spacing), strict=True):
        tagger_rows = where(rows, tagger=tagger)
        if tagger_rows:
            at = np.array([conditions.index(row["condition"]) for row in tagger_rows]) + offset
            intervals = [row[quantity] for row in tagger_rows]
            axis.errorbar(
                _values(intervals),
                at,
                xerr=_errors(intervals),
                linestyle="none",
                markersize=9,
                capsize=4,
                label=tagger,
                **style,
            )
            _seeds(axis, tagger_rows, at + 0.25 * spacing, style["color"], f"{tagger}, seeds")
    _name_rows(axis, conditions)


def _seeds(axis: plt.Axes, rows: Sequence[Row], at: np.ndarray, color: str, label: str) -> None:
    """Bars of mean and spread of the seeds, where there are several."""
    bars = [(y, row["seeds"]) for y, row in zip(at, rows, strict=True) if "seeds" in row and row["seeds"].spread]
    if bars:
        axis.errorbar(
            [seeds.mean for _, seeds in bars],
            [y for y, _ in bars],
            xerr=[seeds.spread for _, seeds in bars],
            fmt="none",
            ecolor=color,
            elinewidth=6,
            alpha=0.45,
            label=label,
        )


@styled
def working_points(rows: Sequence[Row], bins: Mapping[str, Sequence[str]], separation: Separation, title: str) -> Drawn:
    """Rates under attack over those on clean jets at a frozen threshold: a row per flavour, a column per binning.

    Args:
        rows: `tagger`, `binning`, `bin`, `flavour`, `ratio`, which is not drawn where it is not defined.
        bins: Names of the bins of each binning, in order.
        separation: The discriminator; each of its classes is a row of the figure.
        title: Title of the figure.
    """
    flavours, found = separation.class_names, separation.columns[0]
    figure, axes = panels(len(flavours), len(bins), title, (9, 6), sharey="row")
    styles = tagger_styles(unique(rows, "tagger"))
    for (line, column), axis in np.ndenumerate(axes):
        flavour, binning = flavours[line], list(bins)[column]
        _ratios_panel(axis, where(rows, binning=binning, flavour=flavour), bins[binning], styles)
    for number, (axis, flavour) in enumerate(zip(axes[:, 0], flavours, strict=True)):
        quantity = "efficiency" if number in found else "mistag rate"
        axis.set_ylabel(f"{flavour} {quantity}\nattacked / clean", fontsize="small")
    for axis, binning in zip(axes[-1], bins, strict=True):
        axis.set_xlabel(binning)
    with_points = [axis for axis in axes.flat if axis.get_legend_handles_labels()[1]]
    if with_points:
        with_points[0].legend(fontsize="xx-small")
    return figure, axes


def _ratios_panel(axis: plt.Axes, rows: Sequence[Row], bins: Sequence[str], styles: Mapping[str, Style]) -> None:
    for (tagger, style), offset in zip(styles.items(), _offsets(len(styles), 0.15), strict=True):
        points = [row for row in where(rows, tagger=tagger) if isinstance(row["ratio"], Interval)]
        if points:
            at = [bins.index(row["bin"]) + offset for row in points]
            ratios = [row["ratio"] for row in points]
            axis.errorbar(
                at,
                _values(ratios),
                yerr=_errors(ratios),
                linestyle="none",
                markersize=9,
                capsize=4,
                label=tagger,
                **style,
            )
    axis.axhline(1, color="gray", linewidth=1)
    axis.set_xticks(range(len(bins)), bins, fontsize="x-small")
    axis.set_xlim(-0.5, len(bins) - 0.5)
    axis.xaxis.minorticks_off()
    axis.grid(alpha=0.3)


@styled
def feature_groups(by_kind: Sequence[Row], by_variable: Sequence[Row], number: int, title: str, main: str) -> Drawn:
    """Loss of area when one group alone is attacked (full) and when all but it are (hollow).

    Args:
        by_kind: `tagger`, `group`, `attacked`, `loss`, for kinds of object.
        by_variable: The same for variables; those that matter most are drawn.
        number: Number of variables to draw.
        title: Title of the figure.
        main: Name of the discriminator.
    """
    figure, axes = panels(1, 2, title, (13, 13))
    _groups_panel(axes[0, 0], by_kind, unique(by_kind, "group"))
    _groups_panel(axes[0, 1], by_variable, ["all", *_most_important(by_variable, number)])
    for axis in axes[0]:
        axis.set_xlabel(f"loss of {main} AUC")
    legend_below(axes[0, 0])
    return figure, axes


def _most_important(rows: Sequence[Row], number: int) -> list[str]:
    """The groups of largest loss for any tagger when they alone are attacked."""
    losses: dict[str, float] = {}
    for row in where(rows, attacked="only"):
        losses[row["group"]] = max(row["loss"].value, losses.get(row["group"], -1.0))
    return sorted(losses, key=lambda group: -losses[group])[:number]


def _groups_panel(axis: plt.Axes, rows: Sequence[Row], groups: Sequence[str]) -> None:
    styles = tagger_styles(unique(rows, "tagger"))
    for (tagger, style), offset in zip(styles.items(), _offsets(len(styles), 0.4 / max(len(styles), 1)), strict=True):
        for attacked, shift, fill in (("only", -0.1, style["color"]), ("all but", 0.1, "white"), ("all", 0, "black")):
            points = [row for row in where(rows, tagger=tagger, attacked=attacked) if row["group"] in groups]
            losses = [row["loss"] for row in points]
            axis.errorbar(
                _values(losses),
                np.array([groups.index(row["group"]) for row in points]) + offset + shift,
                xerr=_errors(losses),
                linestyle="none",
                markersize=9,
                markerfacecolor=fill,
                capsize=3,
                label=f"{tagger}, {attacked}",
                **style,
            )
    _name_rows(axis, groups)
    axis.invert_yaxis()


@styled
def flatness(schema: Schema, quantiles: Sequence[Row], labels: Mapping[str, str], linear: Sequence[str], title: str) -> Drawn:
    """Boxes of local flatness over many jets, a panel per quantity: median, 16 to 84 % and 2.5 to 97.5 %.

    Args:
        schema: Schema with the flavours in their order.
        quantiles: `tagger`, `flavour`, `quantity`, `quantiles` (2.5, 16, 50, 84, 97.5 %).
        labels: Label of each quantity.
        linear: Quantities of either sign; the others have a logarithmic axis.
        title: Title of the figure.
    """
    figure, axes = panels(1, len(labels), title, (9, 8))
    for axis, (quantity, label) in zip(axes[0], labels.items(), strict=True):
        rows = where(quantiles, quantity=quantity)
        _boxes(axis, rows, schema.class_names)
        if quantity in linear:
            axis.axhline(0, color="gray", linewidth=1)
        else:
            smallest = min(abs(row["quantiles"][2]) for row in rows)
            axis.set_yscale("symlog", linthresh=max(smallest / 3, 1e-9))
        axis.set_xticks(range(len(schema.classes)), [flavour.label for flavour in schema.classes], fontsize="small")
        axis.xaxis.minorticks_off()
        axis.set_ylabel(label)
        axis.grid(alpha=0.3, axis="y")
    axes[0, 0].legend(fontsize="x-small", loc="lower right")
    return figure, axes


def _boxes(axis: plt.Axes, rows: Sequence[Row], flavours: Sequence[str]) -> None:
    """A box per tagger and flavour, with a line for the outer quantiles and a marker for the median."""
    styles = tagger_styles(unique(rows, "tagger"))
    width = 0.8 / len(styles)
    for (tagger, style), offset in zip(styles.items(), _offsets(len(styles), width), strict=True):
        for place, flavour in enumerate(flavours):
            (row,) = where(rows, tagger=tagger, flavour=flavour)
            least, low, middle, high, most = row["quantiles"]
            at, color = place + offset, style["color"]
            axis.plot([at, at], [least, most], color=color, linewidth=1.5)
            axis.bar(at, high - low, 0.8 * width, low, color=color, alpha=0.5, label=tagger if place == 0 else None)
            axis.plot(at, middle, style["marker"], color=color, markeredgecolor="white", markersize=11)


@styled
def reliability(curves: Mapping[str, Mapping[str, Mapping]], class_names: Sequence[str], title: str) -> Drawn:
    """Observed share of each flavour against its predicted probability: a panel per flavour, a colour per tagger.

    Args:
        curves: `curves[tagger][condition]`, as `kerastag.evaluation.calibration.calibration` gives them.
        class_names: Names of the classes.
        title: Title of the figure.
    """
    figure, axes = panels(1, len(class_names), title, (10, 10), sharey=True)
    styles = tagger_styles(curves)
    for axis, flavour in zip(axes[0], class_names, strict=True):
        axis.plot([0, 1], [0, 1], color="gray", linewidth=1)
        for tagger, by_condition in curves.items():
            _reliability_curves(axis, by_condition, flavour, styles[tagger], tagger)
        axis.set(xlabel=f"predicted P({flavour})", xlim=(0, 1), ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("observed share")
    axes[0, 0].legend(fontsize="xx-small", loc="upper left")
    return figure, axes


def _reliability_curves(axis: plt.Axes, by_condition: Mapping[str, Mapping], flavour: str, style: Style, tagger: str) -> None:
    """The curves of a tagger, a line style per condition."""
    for dashes, (condition, result) in zip(LINES, by_condition.items(), strict=False):
        rows = result["curves"][flavour]
        observed = [row["observed"] for row in rows]
        axis.errorbar(
            [row["predicted"] for row in rows],
            _values(observed),
            yerr=_errors(observed),
            linestyle=dashes,
            markersize=7,
            label=f"{tagger}, {condition} (ECE {result['error'].value:.3f})",
            **style,
        )
