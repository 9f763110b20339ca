"""Exceptions: for mistakes that a user can mend, with what they may have meant, and for a defect that results show."""

import difflib
from collections.abc import Sequence


class UserError(ValueError):
    """A mistake in the input, said in one sentence that names what is wrong and what to do.

    Scripts print it without a traceback and exit with 2.
    """


class Defect(Exception):
    """A result that cannot be right, whatever the input, said in one sentence.

    Scripts print it without a traceback and exit with 1.
    """


def nearest(name: str, choices: Sequence[str]) -> str:
    """The three of `choices` that look most like `name`, in quotes, for an error message."""
    matches = difflib.get_close_matches(name, choices, n=3, cutoff=0.0)
    return ", ".join(f"'{match}'" for match in matches) or "none at all"
