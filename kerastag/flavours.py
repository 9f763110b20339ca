"""Flavours of jets: how figures show them, and which finer classes of some taggers add up to them. Imports nothing heavy."""

import dataclasses
from collections.abc import Sequence

from kerastag.errors import UserError

FLAVOURS = ("b", "c", "light")

# Classes of taggers, CMS's among them: bb are two b hadrons in one jet, lepb leptonic decays, uds quarks, g gluons.
FLAVOUR_OF = {
    **dict.fromkeys(("b", "bb", "lepb"), "b"),
    **dict.fromkeys(("c", "cc"), "c"),
    **dict.fromkeys(("light", "uds", "g", "udsg"), "light"),
}

# From the palette of six of M. Petroff, arXiv:2107.02270.
_RED, _ORANGE, _BLUE = "#e42536", "#f89c20", "#5790fc"
# For other classes: the rest of these six, then what is unlike them in the palette of ten.
_OTHERS = ("#964a8b", "#9c9ca1", "#7a21dd", "#a96b59", "#b9ac70", "#92dadd", "#717581")


@dataclasses.dataclass(frozen=True)
class Style:
    """Label, in matplotlib's mathtext, and colour of a class of jets in figures."""

    label: str
    color: str


STYLES = {
    "b": Style("b jets", _RED),
    "c": Style("c jets", _ORANGE),
    "light": Style("light jets", _BLUE),
    "Hbb": Style(r"H $\to$ bb jets", _RED),
    "Hcc": Style(r"H $\to$ cc jets", _ORANGE),
    "QCD": Style("QCD jets", _BLUE),
}


def style(name: str, number: int) -> dict[str, str]:
    """Label and colour of a class, the `number`-th of some; those of `STYLES` where it is known."""
    known = STYLES.get(name, Style(f"{name} jets", _OTHERS[number % len(_OTHERS)]))
    return dataclasses.asdict(known)


def columns(class_names: Sequence[str], wanted: Sequence[str] = FLAVOURS) -> tuple[tuple[int, ...], ...]:
    """Columns of the classes of a tagger that make up each class that is wanted.

    A class is that of the same name, in whatever order; a finer one counts as its flavour where that is wanted.

    Args:
        class_names: Names of the tagger's classes, in the order of the columns.
        wanted: Names of the classes that jets have.

    Returns:
        A tuple of column numbers for each of `wanted`.

    Raises:
        UserError: if a class belongs to none that is wanted, or a wanted one has no class.
    """
    targets = [name if name in wanted else FLAVOUR_OF.get(name) for name in class_names]
    found = tuple(tuple(column for column, target in enumerate(targets) if target == name) for name in wanted)
    if not all(found) or not set(targets) <= set(wanted) or len(set(class_names)) < len(class_names):
        finer = ", ".join(name for name, flavour in FLAVOUR_OF.items() if flavour in wanted and name not in wanted)
        raise UserError(
            f"A tagger of the classes {', '.join(class_names)} does not tell {', '.join(wanted)} jets apart; it needs a logit "
            f"for each of them{f', or for finer ones among {finer}' if finer else ''}."
        )
    return found
