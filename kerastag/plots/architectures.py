"""Architectures by what they can do and what they lose."""

from collections.abc import Sequence

import matplotlib.pyplot as plt

from kerastag.plots.style import Drawn, Style, panels, styled, tagger_styles
from kerastag.tables import Row, unique, where

_COLUMNS = 3


@styled
def architectures(rows: Sequence[Row], main: str) -> Drawn:
    """Clean area against what is lost, a panel per attack; a model's nominal training is open, its adversarial one filled.

    What was measured of one model alone has no panel.

    Args:
        rows: `model`, `training`, `loss`, the name of what is lost, and over seeds `clean` and `value`; error bars are their
            spread.
        main: Name of the discriminator.
    """
    losses = [loss for loss in unique(rows, "loss") if len(unique(where(rows, loss=loss), "model")) > 1]
    losses = losses or unique(rows, "loss")
    styles = tagger_styles(unique(rows, "model"))
    columns = min(len(losses), _COLUMNS)
    title = "Architectures: open nominal, filled adversarial training; bars: standard deviation over seeds"
    figure, axes = panels(-(-len(losses) // columns), columns, title)
    for axis, loss in zip(axes.flat, losses, strict=False):
        for model, style in styles.items():
            _model(axis, where(rows, loss=loss, model=model), style)
        axis.set(xlabel=f"clean {main} AUC", ylabel=f"{main} AUC: {loss}")
        if all(row["value"].mean > 0 for row in where(rows, loss=loss)):
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
        axis.margins(0.12)
        axis.ticklabel_format(axis="x", useOffset=False)
        axis.tick_params(axis="x", labelrotation=30)
    for axis in axes.flat[len(losses) :]:
        axis.set_axis_off()
    axes.flat[0].legend(fontsize="x-small", loc="best")
    return figure, axes


def _model(axis: plt.Axes, rows: Sequence[Row], style: Style) -> None:
    """The trainings of a model, joined."""
    points = [(row["clean"].mean, row["value"].mean) for row in rows]
    if len(points) > 1:
        axis.plot(*zip(*points, strict=True), ":", color=style["color"], zorder=0)
    for number, (row, (x, y)) in enumerate(zip(rows, points, strict=True)):
        axis.errorbar(
            x,
            y,
            xerr=row["clean"].spread,
            yerr=row["value"].spread,
            linestyle="none",
            markersize=13,
            capsize=3,
            fillstyle="none" if row["training"] == "nominal" else "full",
            label=row["model"] if number == len(rows) - 1 else None,
            **style,
        )
