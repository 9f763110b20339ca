"""Matrices: losses of taggers attacked on one another, correlations, the loss over two inputs."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from kerastag.plots.style import Drawn, panels, styled
from kerastag.schema import Schema


@styled
def transfer(names: Sequence[str], losses: Mapping[str, np.ndarray], title: str, main: str) -> Drawn:
    """Loss of area, a panel per attack: rows are the taggers attacked, columns those evaluated on the attacked jets.

    Args:
        names: Names of the taggers.
        losses: `(taggers, taggers)` by condition; NaN where there is none, as between taggers of other inputs.
        title: Title of the figure.
        main: Name of the discriminator.
    """
    columns = min(2, len(losses))
    rows = -(-len(losses) // columns)
    size = 2.5 * len(names) + 5
    undefined = "" if all(np.isfinite(values).all() for values in losses.values()) else " (–: other inputs, or not defined)"
    figure, axes = panels(rows, columns, f"Loss of {main} AUC{undefined}; {title}", (size, size))
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
        schema: Schema of the columns.
        clean: Correlations of clean jets, `(features, features)`.
        changes: Attacked minus clean correlations, by tagger.
        title: Title of the figure.
    """
    figure, axes = panels(1, 1 + len(changes), title, (11, 10))
    largest = max((np.abs(change).max() for change in changes.values()), default=0) or 1e-6
    _matrix(figure, axes[0, 0], clean, 1.0, schema, "clean", "correlation")
    for axis, (name, change) in zip(axes[0, 1:], changes.items(), strict=True):
        _matrix(figure, axis, change, largest, schema, f"attack on {name}", "change of correlation")
    return figure, axes


def _matrix(
    figure: plt.Figure, axis: plt.Axes, values: np.ndarray, limit: float, schema: Schema, title: str, label: str
) -> None:
    """A matrix over the features, with its colour bar."""
    image = axis.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
    figure.colorbar(image, ax=axis, label=label, shrink=0.8)
    axis.set_title(title)
    _name_groups(axis, schema)


def _name_groups(axis: plt.Axes, schema: Schema) -> None:
    """Add lines between the groups of columns, and their names in the middle."""
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
    surfaces: Mapping[str, np.ndarray],
    steps: np.ndarray,
    labels: tuple[str, str],
    box: tuple[float, float],
    title: str,
    unit: str = "σ",
) -> Drawn:
    """Cross-entropy of a jet over two of its inputs, a panel per tagger, all on one colour scale, with the box around the jet.

    Args:
        surfaces: Cross-entropy by tagger, `(steps, steps)` each, the first input along the columns.
        steps: Moves, `(steps,)`.
        labels: Labels of the two inputs.
        box: Half the width of the box along each.
        title: Title of the figure.
        unit: Unit of moves and box.
    """
    low, high = np.min(list(surfaces.values())), np.max(list(surfaces.values()))
    figure, axes = panels(1, len(surfaces), title, (11, 10))
    levels = np.linspace(low, max(high, low + 1e-6), 25)
    for axis, (name, values) in zip(axes[0], surfaces.items(), strict=True):
        filled = axis.contourf(steps, steps, values, levels, cmap="cividis")
        axis.contour(steps, steps, values, levels[::3], colors="white", linewidths=0.6)
        corner, width, height = (-box[0], -box[1]), 2 * box[0], 2 * box[1]
        axis.add_patch(plt.Rectangle(corner, width, height, fill=False, color="white", linewidth=2))
        axis.plot(0, 0, "o", color="white", markersize=6)
        axis.set(xlabel=f"Δ({labels[0]}) [{unit}]", ylabel=f"Δ({labels[1]}) [{unit}]", title=name)
    figure.colorbar(filled, ax=axes, label="cross-entropy", format="%.2f")
    return figure, axes
