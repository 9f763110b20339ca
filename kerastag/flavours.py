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


def columns(class_names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Columns of the classes that belong to each flavour.

    Args:
        class_names: Names of the classes, in the order of the columns.

    Returns:
        A tuple of column numbers for each of `FLAVOURS`.

    Raises:
        UserError: if a class is not a flavour of a jet, or a flavour has no class.
    """
    of_flavour = tuple(
        tuple(column for column, name in enumerate(class_names) if FLAVOUR_OF.get(name) == flavour) for flavour in FLAVOURS
    )
    if not all(of_flavour) or not FLAVOUR_OF.keys() >= set(class_names):
        raise UserError(
            f"A tagger of the classes {', '.join(class_names)} does not tell {', '.join(FLAVOURS)} jets apart; "
            f"known classes are {', '.join(FLAVOUR_OF)}."
        )
    return of_flavour
