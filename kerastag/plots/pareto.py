"""Clean against attacked area: which taggers no other exceeds in both."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from kerastag.plots.style import LINES, TAGGERS, Drawn, Style, legend_below, panels, styled, tagger_styles
from kerastag.results import Seeds
from kerastag.tables import Row, unique, where

# Points that can have their strength beside them, and the marker of the smallest strength of more.
_LABELLED = 10
_SMALLEST = 9


@styled
def pareto(rows: Sequence[Row], title: str, main: str) -> Drawn:
    """Clean against attacked area, a panel per attack, a point per tagger, and the front that none exceeds.

    Args:
        rows: `tagger`, `attack`, and the areas of the seeds, `clean` and `attacked`; error bars are their spread.
        title: Title of the figure.
        main: Name of the discriminator.
    """
    attacks = unique(rows, "attack")
    styles = tagger_styles(unique(rows, "tagger"))
    figure, axes = panels(1, len(attacks), title)
    for axis, attack in zip(axes[0], attacks, strict=True):
        _pareto_panel(axis, where(rows, attack=attack), styles)
        _label(axis, attack, main)
    axes[0, 0].legend(fontsize="x-small", loc="best")
    return figure, axes


def _pareto_panel(axis: plt.Axes, rows: Sequence[Row], styles: Mapping[str, Style]) -> None:
    for row in rows:
        clean, attacked = row["clean"], row["attacked"]
        seeds = f", {len(clean.values)} seeds" if len(clean.values) > 1 else ""
        axis.errorbar(
            clean.mean,
            attacked.mean,
            xerr=clean.spread,
            yerr=attacked.spread,
            linestyle="none",
            markersize=14,
            capsize=4,
            label=row["tagger"] + seeds,
            **styles[row["tagger"]],
        )
    points = [(row["clean"].mean, row["attacked"].mean) for row in rows]
    _draw_front(axis, points)


def _label(axis: plt.Axes, attack: str, main: str) -> None:
    axis.set(xlabel=f"clean {main} AUC", ylabel=f"attacked {main} AUC", title=attack)
    axis.grid(alpha=0.3)
    axis.margins(0.15)
    axis.ticklabel_format(useOffset=False)
    axis.tick_params(axis="x", labelrotation=30)


def _draw_front(axis: plt.Axes, points: Sequence[tuple[float, float]]) -> None:
    """A dotted line through the front; a single point that is best in both needs none."""
    front = _front(points)
    if len(front) > 1:
        axis.plot(*zip(*front, strict=True), ":", color="gray", zorder=0, label="front")


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points than which no other is better in one coordinate and as good in the other, from left to right."""
    return sorted({one for one in points if not any(x >= one[0] and y >= one[1] and (x, y) != one for x, y in points)})


@styled
def fronts(rows: Sequence[Row], title: str) -> Drawn:
    """Clean against attacked area, a panel for each group of taggers that met the same jets in the same box.

    Groups of one tagger, which is compared with none, are left out if there are others. A tagger looks the same in all panels.

    Args:
        rows: `group`, `tagger`, `discriminator`, and the areas `clean` and `attacked`, `Interval` each.
        title: Title of the figure.
    """
    groups = unique(rows, "group")
    groups = [group for group in groups if len(where(rows, group=group)) > 1] or groups
    styles = tagger_styles(unique(rows, "tagger"))
    columns = min(len(groups), 2)
    figure, axes = panels(-(-len(groups) // columns), columns, title)
    for axis, group in zip(axes.flat, groups, strict=False):
        of_group = where(rows, group=group)
        for row in of_group:
            style = {"linestyle": "none", "markersize": 14, **styles[row["tagger"]]}
            axis.plot(row["clean"].value, row["attacked"].value, label=row["tagger"], **style)
        points = [(row["clean"].value, row["attacked"].value) for row in of_group]
        _draw_front(axis, points)
        # All met the same jets, so one bar for all says more than many that overlap; no tagger is best in both.
        errors = [np.mean([row[name].error for row in of_group]) for name in ("clean", "attacked")]
        corner = np.max(points, axis=0)
        axis.errorbar(
            *corner, errors[1], errors[0], color="gray", capsize=4, elinewidth=1, zorder=0, label="68 % of the sample"
        )
        _label(axis, group, of_group[0]["discriminator"])
        legend_below(axis, room=0.22)  # taggers of the same jets lie close, and leave no room between them
    for axis in axes.flat[len(groups) :]:
        axis.set_axis_off()
    return figure, axes


@styled
def pareto_curves(rows: Sequence[Row], title: str, main: str) -> Drawn:
    """Clean area against what is left, a panel per attack or certificate, a curve per defence with a point for each strength.

    Strengths stand beside the points; of many points, which lie close, larger markers are larger strengths.

    Args:
        rows: `defence`; `strength`, a pair of a label and a number for whatever varies; `attack`; and the areas of the seeds,
            `clean` and `attacked`. Error bars are their spread.
        title: Title of the figure.
        main: Name of the discriminator.
    """
    attacks = unique(rows, "attack")
    styles = tagger_styles(unique(rows, "defence"))
    many = max(len(where(rows, attack=attack)) for attack in attacks) > _LABELLED
    marks = "larger markers: more strength in training" if many else "numbers: strength in training"
    if any(row["clean"].spread is not None for row in rows):
        marks += "; bars: standard deviation over seeds"
    columns = 2 if len(attacks) == 4 else min(len(attacks), 3)
    figure, axes = panels(-(-len(attacks) // columns), columns, f"{title}; {marks}")
    for axis, attack in zip(axes.flat, attacks, strict=False):
        for place, (defence, style) in enumerate(styles.items()):
            if points := where(rows, attack=attack, defence=defence):
                _curve(axis, points, {**style, "linestyle": LINES[place // len(TAGGERS) % len(LINES)]}, labelled=not many)
        _label(axis, attack, main)
        axis.set_ylabel(f"{main} AUC left")
    for axis in axes.flat[len(attacks) :]:
        axis.set_axis_off()
    if many:
        figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    else:
        axes.flat[0].legend(fontsize="x-small", loc="best")
    return figure, axes


def _curve(axis: plt.Axes, rows: Sequence[Row], style: Style, labelled: bool) -> None:
    """A defence, its points joined and each with what of its strength differs."""
    rows = sorted(rows, key=lambda row: row["strength"])
    clean, attacked = ([row[key] for row in rows] for key in ("clean", "attacked"))
    at = [(row["clean"].mean, row["attacked"].mean) for row in rows]
    axis.errorbar(
        [x for x, _ in at],
        [y for _, y in at],
        xerr=_spreads(clean),
        yerr=_spreads(attacked),
        linewidth=2,
        markersize=12 if labelled else _SMALLEST,
        capsize=4,
        label=rows[0]["defence"],
        **style,
    )
    if not labelled:
        for place, point in enumerate(at[1:], start=1):
            axis.plot(*point, markersize=_SMALLEST * (1 + place / 2), **{**style, "linestyle": "none"})
    elif len(rows) > 1:
        for row, point in zip(rows, at, strict=True):
            varied = [size for size in row["strength"] if any(size not in other["strength"] for other in rows)]
            mark = " ".join(f"{label}{number:g}" for label, number in varied)
            axis.annotate(mark, point, (8, -18), textcoords="offset points", fontsize="xx-small")


def _spreads(areas: Sequence[Seeds]) -> list[float]:
    """Standard deviations over seeds; NaN, which draws nothing, for a single one."""
    return [np.nan if seeds.spread is None else seeds.spread for seeds in areas]
