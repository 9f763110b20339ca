"""Defences side by side, quantity by quantity."""

from collections.abc import Sequence

import numpy as np

from kerastag.plots.style import COLORS, Drawn, panels, styled
from kerastag.tables import Row

# Height of a row, width of a panel, and what titles take, in inches.
_ROW, _WIDTH, _TITLES = 0.6, 5.0, 3.0
# From here on, an axis of ratios is logarithmic.
_WIDE = 5


@styled
def defenses(rows: Sequence[Row], quantities: Sequence[str], order: str, title: str) -> Drawn:
    """A panel per quantity, a line per defence, the largest of one quantity on top.

    Args:
        rows: `defence`, and the values of the seeds of each quantity that it has.
        quantities: Names of the quantities.
        order: The quantity by which lines are ordered; all rows have it.
        title: Title of the figure.
    """
    rows = sorted(rows, key=lambda row: row[order].mean)
    lines = np.arange(len(rows))
    figure, axes = panels(1, len(quantities), title, (_WIDTH, _ROW * len(rows) + _TITLES), sharey=True)
    for axis, quantity in zip(axes[0], quantities, strict=True):
        known = [(line, row[quantity]) for line, row in zip(lines, rows, strict=True) if quantity in row]
        means = np.array([seeds.mean for _, seeds in known])
        spreads = [np.nan if seeds.spread is None else seeds.spread for _, seeds in known]
        axis.errorbar(means, [line for line, _ in known], xerr=spreads, fmt="o", markersize=9, capsize=4, color=COLORS[0])
        if min(means) > 0 and max(means) > _WIDE * min(means):
            axis.set_xscale("log")
        else:
            axis.ticklabel_format(axis="x", useOffset=False)
        axis.set_xlabel(quantity)
        axis.set_yticks(lines, [row["defence"] for row in rows], minor=False)
        axis.minorticks_off()
        axis.tick_params(axis="x", labelrotation=40)
        axis.grid(alpha=0.4)
    return figure, axes
