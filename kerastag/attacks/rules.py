"""What a schema, and the rules of physics that hold, say of a threat model: what stays, what follows, how far values may go."""

from collections.abc import Mapping, Sequence

import numpy as np

from kerastag.attacks import budgets
from kerastag.attacks.summaries import SummaryLink, summary_links
from kerastag.attacks.ties import Link, links
from kerastag.checksums import of_content
from kerastag.errors import UserError
from kerastag.request import Physics
from kerastag.schema import Feature, Schema

# Raised whenever the same schema gives another box, so that a training does not go on in it unawares.
BOX_VERSION = 1
# Of a SHA-256, enough to tell apart.
_LETTERS = 16


def fingerprint(schema: Schema, physics: Physics) -> str:
    """What tells boxes apart beside ε, scale and cap: their version, the schema's word on values and ties, a budget's content.

    Raises:
        UserError: if there is no such budget.
    """
    box = "paper" if physics.paper else f"{BOX_VERSION}-{of_content(schema.facts_of_attacks())[:_LETTERS]}"
    if physics.budget is None:
        return box
    # A TOML file may say dates.
    return f"{box}-{of_content(budgets.read(physics.budget), default=str)[:_LETTERS]}"


def that_stay(feature: Feature, physics: Physics) -> tuple[float, ...]:
    """Values that never move: what files write for "absent", which taggers mend, and what has a meaning of its own."""
    return (*(feature.special if physics.special else ()), *(() if feature.sentinel is None else (feature.sentinel,)))


def followers(
    schema: Schema, of_budget: tuple[Link, ...], physics: Physics
) -> tuple[tuple[Link, ...], tuple[SummaryLink, ...]]:
    """What follows what: by the budget's word, otherwise by the schema's unless all is untied."""
    if not physics.tied:
        return of_budget, ()
    taken = {link.follower for link in of_budget}
    ties = (link for link in links(schema) if link.follower not in taken)
    return (*of_budget, *ties), tuple(link for link in summary_links(schema) if link.follower not in taken)


def roles(schema: Schema, named: np.ndarray, ties: Sequence[Link], physics: Physics) -> tuple[np.ndarray, np.ndarray]:
    """Which features move on their own, and which ε limits; bool `(features,)` each.

    A tabulated feature moves if tabulated ones follow it. What a named feature follows moves as well, as far as that lets it.
    """
    alone, limited = named.copy(), named.copy()
    for link in ties:
        if named[link.follower]:
            for column, _ in (source for sources in link.candidates for source in sources):
                alone[column] = True
    if physics.special:
        tabulated = np.array([feature.tabulated for feature in schema.features])
        leads = np.zeros_like(tabulated)
        for link in ties:
            if tabulated[link.follower] and link.factor is None:
                leads[[column for column, _ in link.candidates[0]]] = True
        alone &= ~tabulated | leads
    return alone, limited


def valid_range(schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of each feature, float32 `(features,)` each; a little inside where a bound has a meaning of its own."""
    smallest = np.finfo(np.float32).tiny
    lower = np.array([-np.inf if f.valid_min is None else f.valid_min for f in schema.features], np.float32)
    upper = np.array([np.inf if f.valid_max is None else f.valid_max for f in schema.features], np.float32)
    taken = [{np.float32(value) for value in (f.default, *f.special)} for f in schema.features]
    for bounds, inwards in ((lower, 1), (upper, -1)):
        for feature, values in enumerate(taken):
            if bounds[feature] in values:
                bounds[feature] += inwards * max(abs(bounds[feature]) * np.float32(1e-6), smallest)
    return lower, upper


def factors(schema: Schema, by_flavour: Mapping[str, float]) -> list[float]:
    """Factors in the order of the classes."""
    for name in by_flavour:
        if name not in schema.class_names:
            raise UserError(f"{schema.name} has no flavour '{name}'; it has {', '.join(schema.class_names)}.")
    return [float(by_flavour.get(name, 1.0)) for name in schema.class_names]
