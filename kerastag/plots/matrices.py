"""Figures of matrices: losses of taggers attacked on one another, correlations, the loss over two inputs."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from kerastag.plots.style import Drawn, panels, styled
from kerastag.schema import Schema


@styled
def transfer(names: Sequence[str], losses: dict[str, np.ndarray], title: str) -> Drawn:
    """Loss of BvL AUC, a panel per attack: rows are the taggers attacked, columns those evaluated on the attacked jets.

    Args:
        names: Of the taggers.
        losses: `(taggers, taggers)` per condition; NaN where there is none, as between taggers of other inputs.
        title: Says what sample this is.
    """
    columns = min(2, len(losses))
    rows = -(-len(losses) // columns)
    size = 2.5 * len(names) + 5
    undefined = "" if all(np.isfinite(values).all() for values in losses.values()) else " (–: other inputs, or not defined)"
    figure, axes = panels(rows, columns, f"Loss of BvL AUC{undefined}; {title}", (size, size))
    for axis, (condition, values) in zip(axes.flat, losses.items(), strict=False):
        _transfer_panel(axis, names, values)
        axis.set_title(condition)
    for axis in axes.flat[len(losses) :]:
        axis.axis("off")
    return figure, axes


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


@styled
def correlations(schema: Schema, clean: np.ndarray, changes: Mapping[str, np.ndarray], title: str) -> Drawn:
    """Linear correlations of clean jets, and by how much an attack on each tagger changes them.

    Args:
        schema: Names the groups of columns.
        clean: `(features, features)`.
        changes: Attacked minus clean, by tagger.
        title: Says what sample this is.
    """
    figure, axes = panels(1, 1 + len(changes), title, (11, 10))
    largest = max((np.abs(change).max() for change in changes.values()), default=0) or 1e-6
    drawn = {"clean": (clean, 1.0, "correlation")}
    drawn |= {f"attack on {name}": (change, largest, "change of correlation") for name, change in changes.items()}
    for axis, (name, (values, limit, label)) in zip(axes[0], drawn.items(), strict=True):
        image = axis.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
        figure.colorbar(image, ax=axis, label=label, shrink=0.8)
        axis.set_title(name)
        _name_groups(axis, schema)
    return figure, axes


def _name_groups(axis: plt.Axes, schema: Schema) -> None:
    """Lines between the groups of columns, and their names in the middle."""
    groups = [feature.group for feature in schema.features]
    names = list(dict.fromkeys(groups))
    places = [np.mean([column for column, group in enumerate(groups) if group == name]) for name in names]
    for name in names[1:]:
        for draw in (axis.axhline, axis.axvline):
            draw(groups.index(name) - 0.5, color="black", linewidth=0.6)
    axis.set_xticks(places, names, fontsize="x-small", rotation=45, ha="right")
    axis.set_yticks(places, names, fontsize="x-small")
    axis.minorticks_off()
    axis.tick_params(length=0)


@styled
def loss_surface(
    surfaces: Mapping[str, np.ndarray], steps: np.ndarray, labels: tuple[str, str], epsilon: float, title: str
) -> Drawn:
    """Cross-entropy of a jet over two of its inputs, a panel per tagger, all on one colour scale; the box of ±ε is drawn.

    Args:
        surfaces: By tagger, `(steps, steps)`, the first input along the columns.
        steps: Moves in σ, `(steps,)`.
        labels: Of the two inputs.
        epsilon: Half the width of the box, in σ.
        title: Says what jet this is.
    """
    low, high = (limit(values.min() if limit is min else values.max() for values in surfaces.values()) for limit in (min, max))
    figure, axes = panels(1, len(surfaces), title, (11, 10))
    levels = np.linspace(low, max(high, low + 1e-6), 25)
    for axis, (name, values) in zip(axes[0], surfaces.items(), strict=True):
        drawn = axis.contourf(steps, steps, values, levels, cmap="cividis")
        axis.contour(steps, steps, values, levels[::3], colors="white", linewidths=0.6)
        axis.add_patch(plt.Rectangle((-epsilon, -epsilon), 2 * epsilon, 2 * epsilon, fill=False, color="white", linewidth=2))
        axis.plot(0, 0, "o", color="white", markersize=6)
        axis.set(xlabel=f"Δ({labels[0]}) [σ]", ylabel=f"Δ({labels[1]}) [σ]", title=name)
    figure.colorbar(drawn, ax=axes, label="cross-entropy", format="%.2f")
    return figure, axes
