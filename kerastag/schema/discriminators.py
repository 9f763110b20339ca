"""What a tagger is asked: jets of some classes against jets of others."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from kerastag.errors import UserError
from kerastag.flavours import FLAVOUR_OF, FLAVOURS
from kerastag.schema import plain


@dataclasses.dataclass(frozen=True)
class Discriminator:
    """A ratio of weighted sums of probabilities, such as b / (0.1 c + 0.9 light).

    Its areas and working points are those of the jets of the classes `over` against the jets of the classes `against`.

    Attributes:
        name: Name in tables, logs and options, a word.
        over: Classes to find, each with its weight.
        against: Classes to reject, each with its weight.
    """

    __pydantic_config__ = plain.STRICT

    name: str
    over: tuple[tuple[str, float], ...]
    against: tuple[tuple[str, float], ...]


@dataclasses.dataclass(frozen=True)
class Separation:
    """A discriminator in the columns of labels and logits.

    Attributes:
        name: Name of the discriminator.
        class_names: Names of all classes, in the order of the columns.
        over: Columns of the classes to find, each with its weight.
        against: Columns of the classes to reject, each with its weight.
    """

    name: str
    class_names: tuple[str, ...]
    over: tuple[tuple[int, float], ...]
    against: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, discriminator: Discriminator, class_names: Sequence[str]) -> "Separation":
        """A discriminator among classes in the order of the columns."""
        names = tuple(class_names)
        over, against = (
            tuple((names.index(name), weight) for name, weight in side) for side in (discriminator.over, discriminator.against)
        )
        return cls(discriminator.name, names, over, against)

    @classmethod
    def from_config(cls, content: Mapping[str, Any]) -> "Separation":
        """The inverse of `dataclasses.asdict`, also after JSON has made lists of tuples."""
        over, against = (tuple(map(tuple, content[side])) for side in ("over", "against"))
        return cls(content["name"], tuple(content["class_names"]), over, against)

    @property
    def columns(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Columns of the classes to find, and of those to reject."""
        found, rejected = (tuple(column for column, _ in side) for side in (self.over, self.against))
        return found, rejected

    @property
    def sides(self) -> tuple[str, str]:
        """What is found and what is rejected, in words: "b" and "light", or "b" and "c+light"."""
        found, rejected = ("+".join(self.class_names[column] for column in side) for side in self.columns)
        return found, rejected


# What attacks increase beside margins, and what stands beside areas in results.
_TAKEN = ("cross_entropy", "paper", "margin", "alone", "tagged")
# Name: the flavour to find and the one to find it against; of b and c jets each against the other.
_OF_FLAVOURS = {"BvL": ("b", "light"), "CvB": ("c", "b"), "CvL": ("c", "light"), "BvC": ("b", "c")}


def default(class_names: Sequence[str]) -> tuple[Discriminator, ...]:
    """Those of b, c and light jets where all three are among the classes, then each class against each later one.

    Finer classes of a flavour, such as uds and g of light, count as that flavour: BvL is b against uds and g. A pair that is
    already there under such a name is not repeated.
    """
    of_flavour = {
        flavour: tuple((name, 1.0) for name in class_names if FLAVOUR_OF.get(name) == flavour) for flavour in FLAVOURS
    }
    found = []
    if all(of_flavour.values()):
        found = [Discriminator(name, of_flavour[over], of_flavour[against]) for name, (over, against) in _OF_FLAVOURS.items()]
    known = {frozenset((one.over, one.against)) for one in found}
    for first, second in itertools.combinations(class_names, 2):
        over, against = ((first, 1.0),), ((second, 1.0),)
        if frozenset((over, against)) not in known:
            found.append(Discriminator(f"{first}_vs_{second}", over, against))
    return tuple(found)


def check(discriminators: Sequence[Discriminator], class_names: Sequence[str]) -> None:
    """Check discriminators against the classes that there are.

    Raises:
        UserError: if a name is given twice or has another meaning; if a class is unknown, on both sides or weighs nothing.
    """
    names = [one.name for one in discriminators]
    for one in discriminators:
        if names.count(one.name) > 1:
            raise UserError(f"Two discriminators are called '{one.name}'.")
        if one.name in _TAKEN:
            raise UserError(f"A discriminator cannot be called '{one.name}', which has another meaning in options and results.")
        if not one.name.isidentifier():
            raise UserError(f"'{one.name}' is no name for a discriminator; use letters, digits and underscores.")
        sides = dict(one.over), dict(one.against)
        for name, weight in itertools.chain(one.over, one.against):
            if name not in class_names:
                raise UserError(f"The discriminator '{one.name}' names the class '{name}'; there are {', '.join(class_names)}.")
            if not 0 < weight < float("inf"):
                raise UserError(f"The discriminator '{one.name}' gives '{name}' the weight {weight:g}; it must be positive.")
        if not all(sides) or sides[0].keys() & sides[1].keys():
            raise UserError(f"The discriminator '{one.name}' needs classes to find and other ones to reject.")
