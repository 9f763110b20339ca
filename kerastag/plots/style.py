"""mplhep's style, the same colours in every figure, and how figures are laid out and saved.

Clean jets are solid or filled, attacked jets dashed or a line.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import mplhep
import numpy as np

from kerastag.files import replaced

# mplhep's style, without its search for a calligraphic font that few machines have.
STYLE = [
    mplhep.style.ROOT,
    {"mathtext.cal": "sans", "figure.titlesize": "medium", "axes.titlesize": "small", "lines.linewidth": 2.5},
]
# Okabe and Ito's palette, told apart with any colour vision: for attacks and discriminators.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Tol's muted palette without the hues of the flavours, which are red, orange and blue.
TAGGERS = ("#332288", "#44AA99", "#882255", "#999933", "#AA4499", "#117733", "#88CCEE", "#DDCC77", "#CC6677")
LINES = ("-", "--", "-.", ":")
# Characters that fit side by side under an axis, in all columns of a legend, by size; and labels that may be larger.
_LINE = {"x-small": 72, "xx-small": 88}
_FEW_LABELS = 8
# Of another number than colours, so that a pair of them comes back late.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")

styled = plt.style.context(STYLE)

T = TypeVar("T")
# A figure and its axes, an array of two dimensions.
Drawn = tuple[plt.Figure, np.ndarray]
# Options of a line: colour, marker, line style.
Style = Mapping[str, Any]


def tagger_styles(names: Iterable[T]) -> dict[T, Style]:
    """Colour and marker of each tagger, by its place among all of them."""
    return {
        name: {"color": TAGGERS[place % len(TAGGERS)], "marker": MARKERS[place % len(MARKERS)]}
        for place, name in enumerate(names)
    }


def panels(rows: int, columns: int, title: str, size: tuple[float, float] = (10, 9), **options: Any) -> Drawn:
    """A figure of `rows` x `columns` axes.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        title: Title of the figure: the sample, for readers who see it alone.
        size: Width and height of an axis, inches.
        **options: Options of `matplotlib.pyplot.subplots`.
    """
    figure, axes = plt.subplots(
        rows, columns, figsize=(size[0] * columns, size[1] * rows), squeeze=False, layout="constrained", **options
    )
    figure.suptitle(title, wrap=True)
    return figure, axes


def legend_below(axis: plt.Axes, columns: int = 2, room: float = 0.12) -> None:
    """Add a legend under the axis, where it hides nothing; long labels have a line each.

    Args:
        axis: The axis.
        columns: Columns of the legend.
        room: What ticks and label take under the axis, in its heights.
    """
    _, labels = axis.get_legend_handles_labels()
    size = "x-small" if len(labels) <= _FEW_LABELS else "xx-small"
    if any(len(label) > _LINE[size] / columns for label in labels):
        columns = 1
    axis.legend(fontsize=size, loc="upper center", bbox_to_anchor=(0.5, -room), ncols=columns)


def save(figure: plt.Figure, *paths: Path, dpi: int = 100) -> None:
    """Write a figure and release it.

    Args:
        figure: Figure to write.
        *paths: Files to write; their suffixes tell the formats.
        dpi: Resolution of formats made of pixels, dots per inch.
    """
    with plt.style.context(STYLE):  # fonts are looked up while drawing
        for path in paths:
            with replaced(path) as new:
                figure.savefig(new, dpi=dpi)
    plt.close(figure)
