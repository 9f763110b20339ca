"""Loss under attack against change under variations, a point for each tagger."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from kerastag.plots.style import MARKERS, TAGGERS, Drawn, Style, panels, styled
from kerastag.results import Interval
from kerastag.tables import Row, unique, where


@styled
def attack_against_variations(rows: Sequence[Row], correlations: Sequence[Row], title: str) -> Drawn:
    """A panel for each attack (columns) and group of variations (rows), with Spearman's ρ.

    A tagger that loses nothing has no place on the logarithmic axis and is left out.

    Args:
        rows: `tagger`, `attack`, `variations`, `loss`, `change`.
        correlations: `attack`, `variations`, `correlation`, `p`.
        title: Title of the figure.
    """
    attacks, groups = unique(rows, "attack"), unique(rows, "variations")
    figure, axes = panels(len(groups), len(attacks), title, (10, 8), sharex="col", sharey="row")
    styles = _styles(unique(rows, "tagger"))
    for (line, column), axis in np.ndenumerate(axes):
        attack, group = attacks[column], groups[line]
        for row in where(rows, attack=attack, variations=group):
            _point(axis, row, styles[row["tagger"]])
        for row in where(correlations, attack=attack, variations=group):
            axis.set_title(_title(row), fontsize="small")
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=0)
    for axis, attack in zip(axes[-1], attacks, strict=True):
        axis.set_xlabel(f"loss of BvL AUC under {attack}", fontsize="small")
    for axis, group in zip(axes[:, 0], groups, strict=True):
        axis.set_ylabel(f"mean |change of BvL AUC|\nover variations: {group}", fontsize="small")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="x-small")
    return figure, axes


def _styles(names: Sequence[str]) -> dict[str, Style]:
    """Colour and marker of each tagger; where colours begin anew, markers do not, and are hollow."""
    return {
        name: {
            "color": TAGGERS[place % len(TAGGERS)],
            "marker": MARKERS[place % len(MARKERS)],
            "markerfacecolor": "white" if place >= len(TAGGERS) else None,
        }
        for place, name in enumerate(names)
    }


def _point(axis: plt.Axes, row: Row, style: Style) -> None:
    if not (isinstance(row["loss"], Interval) and isinstance(row["change"], Interval) and row["loss"].value > 0):
        return
    errors = [_lengths(row[name]) for name in ("loss", "change")]
    axis.errorbar(
        row["loss"].value,
        row["change"].value,
        xerr=errors[0],
        yerr=errors[1],
        linestyle="none",
        markersize=11,
        capsize=3,
        elinewidth=1.2,
        label=row["tagger"],
        **style,
    )


def _lengths(interval: Interval) -> np.ndarray:
    """Lengths of the error bars, `(2, 1)`."""
    lengths = [[interval.value - interval.low], [interval.high - interval.value]]
    return np.maximum(np.nan_to_num(lengths), 0)


def _title(row: Row) -> str:
    if not isinstance(row["correlation"], Interval):
        return str(row["correlation"])
    return f"Spearman's ρ = {row['correlation']:+[]}, p = {row['p']:.2g}"
