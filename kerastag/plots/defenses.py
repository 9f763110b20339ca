"""Defences side by side, quantity by quantity."""

import textwrap
from collections.abc import Sequence

import matplotlib.ticker
import numpy as np

from kerastag.plots.style import COLORS, Drawn, panels, styled
from kerastag.tables import Row

# Height of a line, width of a panel, and what titles take, in inches.
_LINE, _WIDTH, _TITLES = 0.5, 5.0, 1.5
# Panels side by side, so that labels can be read on a page.
_COLUMNS = 4
# Letters of the title over a panel.
_LETTERS = 24
# From here on, an axis of ratios is logarithmic.
_WIDE = 5
# Numbers along an axis that fit beside each other.
_TICKS = 3


@styled
def defenses(rows: Sequence[Row], quantities: Sequence[str], order: str, title: str) -> Drawn:
    """A panel per quantity, at most four side by side, and a line per defence, the largest of one quantity on top.

    Args:
        rows: `defence`, and the values of the seeds of each quantity that it has.
        quantities: Names of the quantities.
        order: The quantity by which lines are ordered; all rows have it.
        title: Title of the figure.
    """
    rows = sorted(rows, key=lambda row: row[order].mean)
    lines = np.arange(len(rows))
    columns = min(len(quantities), _COLUMNS)
    above = -(-len(quantities) // columns)
    size = (_WIDTH, _LINE * len(rows) + _TITLES)
    figure, axes = panels(above, columns, textwrap.fill(title, _LETTERS * columns), size, sharey=True)
    figure.set_layout_engine("constrained", w_pad=0.15)
    for axis in axes.flat[len(quantities) :]:
        axis.set_visible(False)
    for axis, quantity in zip(axes.flat, quantities, strict=False):
        known = [(line, row[quantity]) for line, row in zip(lines, rows, strict=True) if quantity in row]
        means = np.array([seeds.mean for _, seeds in known])
        spreads = [np.nan if seeds.spread is None else seeds.spread for _, seeds in known]
        axis.errorbar(means, [line for line, _ in known], xerr=spreads, fmt="o", markersize=9, capsize=4, color=COLORS[0])
        if min(means) > 0 and max(means) > _WIDE * min(means):
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:g}")
        else:
            axis.locator_params(axis="x", nbins=_TICKS)
            axis.ticklabel_format(axis="x", useOffset=False)
        axis.set_xlabel(quantity)
        axis.set_yticks(lines, [row["defence"] for row in rows], minor=False)
        axis.minorticks_off()
        axis.grid(alpha=0.8)
    return figure, axes
