"""mplhep's style, one colour for each tagger and flavour everywhere, and how figures are laid out and saved.

Every function of this package returns `(figure, axes)` and saves nothing. Clean is solid or filled, attacked dashed or a line.
"""

from collections.abc import Iterable
from pathlib import Path

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
# Okabe and Ito's palette, told apart with any colour vision: for kinds of attack, discriminators and the like.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Tol's muted palette without the hues of the flavours, which are red, orange and blue.
TAGGERS = ("#332288", "#44AA99", "#882255", "#999933", "#AA4499", "#117733", "#88CCEE", "#DDCC77", "#CC6677")
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")

styled = plt.style.context(STYLE)

Drawn = tuple[plt.Figure, np.ndarray]


def tagger_styles(names: Iterable[str]) -> dict[str, dict]:
    """Colour and marker of each tagger, by its place among all of them."""
    return {
        name: {"color": TAGGERS[place % len(TAGGERS)], "marker": MARKERS[place % len(MARKERS)]}
        for place, name in enumerate(names)
    }


def panels(rows: int, columns: int, title: str, size: tuple[float, float] = (10, 9), **options) -> Drawn:
    """A figure of `rows` x `columns` axes, each of a size in inches, under a title that says what sample this is."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(size[0] * columns, size[1] * rows), squeeze=False, layout="constrained", **options
    )
    figure.suptitle(title)
    return figure, axes


def legend_below(axis: plt.Axes, columns: int = 2) -> None:
    """A legend under the axis, where it hides nothing."""
    axis.legend(fontsize="xx-small", loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=columns)


def save(figure: plt.Figure, *paths: Path, dpi: int = 100) -> None:
    """Write a figure whole, in the format that each path's suffix tells, and release it."""
    with plt.style.context(STYLE):  # fonts are looked up while drawing
        for path in paths:
            with replaced(path) as new:
                figure.savefig(new, dpi=dpi)
    plt.close(figure)
