"""Seconds and memory against the number of jets."""

from collections.abc import Sequence

from kerastag.plots.style import COLORS, MARKERS, Drawn, panels, styled
from kerastag.tables import Row, unique, where

_AXES = {"s": "time (s)", "peak memory, GB": "peak memory (GB)"}


@styled
def growth(rows: Sequence[Row], title: str) -> Drawn:
    """A panel for time and one for memory, a line for each piece of work; dotted is a line of slope 1.

    Args:
        rows: `what`, `jets`, `s`, `peak memory, GB`.
        title: Title of the figure.
    """
    figure, axes = panels(1, 2, title)
    for axis, (quantity, label) in zip(axes[0], _AXES.items(), strict=True):
        for name, color, marker in zip(unique(rows, "what"), COLORS, MARKERS, strict=False):
            of_work = where(rows, what=name)
            jets = [row["jets"] for row in of_work]
            axis.plot(jets, [row[quantity] for row in of_work], color=color, marker=marker, markersize=12, label=name)
            if quantity == "s":
                last = of_work[-1]["s"] / jets[-1]
                axis.plot(jets, [last * one for one in jets], ":", color=color, zorder=0)
        axis.set(xlabel="jets in the data set", ylabel=label, xscale="log", yscale="log" if quantity == "s" else "linear")
        axis.set_ylim(bottom=0 if quantity != "s" else None)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize="x-small", loc="upper left")
    return figure, axes
