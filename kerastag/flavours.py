"""Flavours of jets, and how the finer classes of some taggers add up to them. Imports nothing heavy."""

from collections.abc import Sequence

from kerastag.errors import UserError

FLAVOURS = ("b", "c", "light")

# Classes of taggers, CMS's among them: bb are two b hadrons in one jet, lepb leptonic decays, uds quarks, g gluons.
FLAVOUR_OF = {
    **dict.fromkeys(("b", "bb", "lepb"), "b"),
    **dict.fromkeys(("c", "cc"), "c"),
    **dict.fromkeys(("light", "uds", "g", "udsg"), "light"),
}


def columns(class_names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For each flavour the columns of the classes that belong to it.

    Raises:
        UserError: if a class is not a flavour of a jet, or a flavour has no class.
    """
    strangers = [name for name in class_names if name not in FLAVOUR_OF]
    found = tuple(
        tuple(column for column, name in enumerate(class_names) if FLAVOUR_OF.get(name) == flavour) for flavour in FLAVOURS
    )
    if strangers or not all(found):
        raise UserError(
            f"A tagger of the classes {', '.join(class_names)} does not tell {', '.join(FLAVOURS)} jets apart; "
            f"known classes are {', '.join(FLAVOUR_OF)}."
        )
    return found
