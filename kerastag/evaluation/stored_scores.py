"""Scores of other people's taggers that files hold: compared clean, at working points, and never attacked.

A score is a number that is kept with each jet and is no input, a spectator of the schema. A tagger of stored scores has one
for each discriminator, which orders jets as the discriminator does, or one for each class, a probability or proportional to it.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Schema, Spectator

# What CMS writes where a tagger gave no answer.
UNDEFINED = -1.0
# Logarithms of probabilities end here.
_SMALLEST = np.finfo(np.float64).tiny


@dataclasses.dataclass(frozen=True)
class StoredScores:
    """A tagger of stored scores.

    Attributes:
        name: For tables.
        branches: A branch, or an expression of some, by the discriminator or class that it is of.
        of_classes: Whether they are of classes.
    """

    name: str
    branches: dict[str, str]
    of_classes: bool

    @classmethod
    def parse(cls, argument: str, schema: Schema) -> "StoredScores":
        """From `NAME=BRANCH`, of the main discriminator, or `NAME=KEY:BRANCH,KEY:BRANCH,…`; NAME is BRANCH where it is missing.

        Args:
            argument: KEY is a discriminator, or a class; BRANCH may be an expression.
            schema: Discriminators and classes.

        Raises:
            UserError: if a key is unknown or there twice, or a branch is missing.
        """
        name, text = _split_name(argument)
        keys, branches = zip(*map(_split_key, _at_keys(text)), strict=True)
        keys = tuple(key or schema.main.name for key in keys)
        for key, branch in zip(keys, branches, strict=True):
            if not branch:
                raise UserError(f"--scores '{argument}' names no branch for '{key}'; write NAME=BRANCH or NAME={key}:BRANCH,….")
            if keys.count(key) > 1:
                raise UserError(f"--scores '{argument}' names '{key}' twice.")
        for known in (schema.discriminators, schema.class_names):
            if set(keys) <= set(known):
                return cls(name or text.strip(), dict(zip(keys, branches, strict=True)), known is schema.class_names)
        raise UserError(
            f"--scores '{argument}' needs discriminators or classes of {schema.name} before the colons, and not both: "
            f"{', '.join(schema.discriminators)}; {', '.join(schema.class_names)}."
        )

    def spectators(self, schema: Schema) -> dict[str, Spectator]:
        """The spectator that holds each branch, by branch; one of the schema where that keeps the branch as a real number."""
        known = {one.branch: one for one in schema.spectators if one.real}
        return {branch: known.get(branch) or _spectator(branch) for branch in self.branches.values()}

    def of(self, jets: Jets, schema: Schema) -> "ScoredJets":
        """The scores of some jets.

        Args:
            jets: Jets with the spectators.
            schema: Schema of their classes, with or without these spectators.

        Raises:
            UserError: if no jet has a score.
        """
        spectators = self.spectators(schema)
        values = {key: jets.spectators[spectators[branch].name] for key, branch in self.branches.items()}
        lowest = 0.0 if self.of_classes else -np.inf
        counted = np.all([np.isfinite(one) & (one != UNDEFINED) & (one >= lowest) for one in values.values()], axis=0)
        if not counted.any():
            raise UserError(
                f"'{self.name}' has no score in any of the {len(jets):,} jets: all values of "
                f"{', '.join(self.branches.values())} are {self.missing}; name another branch."
            )
        make = _logits_of_classes if self.of_classes else _logits_of_discriminators
        logits = make({key: np.where(counted, one, np.nan) for key, one in values.items()}, schema)
        return ScoredJets(logits, counted, self.of_classes and set(self.branches) == set(schema.class_names))

    @property
    def missing(self) -> str:
        """What stands for a score that is not there, in words."""
        return f"{UNDEFINED:g}{', negative' if self.of_classes else ''} or not finite"

    def about(self, left_out: Mapping[str, int], jets: int) -> str:
        """A sentence on the jets without a score.

        Args:
            left_out: Their number by class.
            jets: Number of all jets.
        """
        number = sum(left_out.values())
        if not number:
            return f"{self.name}: stored scores, which all {jets:,} jets have."
        by_class = ", ".join(f"{count:,} {name}" for name, count in left_out.items() if count)
        return (
            f"{self.name}: stored scores; {number:,} of {jets:,} jets have none ({self.missing}) and are left out: {by_class}."
        )


@dataclasses.dataclass(frozen=True)
class ScoredJets:
    """Stored scores as logits.

    Attributes:
        logits: float64 `(jets, classes)` for each discriminator that they tell; NaN in jets without a score.
        counted: Jets that have every score, bool `(jets,)`.
        complete: Whether the logits are those of all classes, so that they have a cross-entropy.
    """

    logits: dict[str, np.ndarray]
    counted: np.ndarray
    complete: bool

    @property
    def filled(self) -> dict[str, np.ndarray]:
        """The logits with 0 in jets without a score, which must then have no weight."""
        if not self.missing:
            return self.logits
        return {name: np.where(self.counted[:, None], one, 0.0) for name, one in self.logits.items()}

    @property
    def missing(self) -> int:
        """Number of jets without a score."""
        return int(np.count_nonzero(~self.counted))


def parse_all(arguments: Sequence[str], schema: Schema, taken: Sequence[str] = ()) -> list[StoredScores]:
    """Several taggers of stored scores.

    Args:
        arguments: As of `StoredScores.parse`.
        schema: Discriminators and classes.
        taken: Names that other taggers have.

    Raises:
        UserError: as `StoredScores.parse`, and if two taggers have the same name.
    """
    stored = [StoredScores.parse(argument, schema) for argument in arguments]
    names = [*taken, *(one.name for one in stored)]
    for one in stored:
        if names.count(one.name) > 1:
            raise UserError(f"Two taggers are called '{one.name}'; tell them apart with --scores NAME=….")
    return stored


def kept(stored: Sequence[StoredScores], schema: Schema) -> list[Spectator]:
    """What must be kept with each jet for some taggers beside the spectators of the schema."""
    needed = {branch: one for of_tagger in stored for branch, one in of_tagger.spectators(schema).items()}
    return [one for one in needed.values() if one not in schema.spectators]


def left_out(scored: ScoredJets, jets: Jets, schema: Schema) -> dict[str, int]:
    """Number of jets without a score by class."""
    counts = np.bincount(jets.label[~scored.counted], minlength=len(schema.classes))
    return dict(zip(schema.class_names, counts.tolist(), strict=True))


def _split_name(argument: str) -> tuple[str, str]:
    """Name, "" if there is none, and the rest; `==` and `<=` belong to an expression."""
    match = re.fullmatch(r"\s*([^=:,()<>!]+?)\s*=(?!=)(.*)", argument, re.DOTALL)
    return (match[1], match[2]) if match else ("", argument)


def _at_keys(text: str) -> list[str]:
    """Parts of a text, each from a key on; commas within an expression have no key and its colon behind them."""
    return re.split(r",(?=\s*\w+\s*:)", text)


def _split_key(part: str) -> tuple[str, str]:
    """Key, "" if there is none, and branch; expressions have no colons."""
    key, colon, branch = part.partition(":")
    return (key.strip(), branch.strip()) if colon else ("", part.strip())


def _spectator(branch: str) -> Spectator:
    """The spectator of a branch that the schema does not keep."""
    word = re.fullmatch(r"\w+", branch)
    name = f"score_{branch if word else hashlib.sha256(branch.encode()).hexdigest()[:8]}"
    return Spectator(name, branch, default=UNDEFINED, optional=False, real=True)


def _logits_of_discriminators(values: dict[str, np.ndarray], schema: Schema) -> dict[str, np.ndarray]:
    """Logits in the order of the score: the classes to find have it, all others -1, which no probabilities have."""
    logits = {}
    for name, score in values.items():
        found, _ = schema.separations[name].columns
        logits[name] = np.where(np.isin(np.arange(len(schema.classes)), found), score[:, None], -1.0)
    return logits


def _logits_of_classes(values: dict[str, np.ndarray], schema: Schema) -> dict[str, np.ndarray]:
    """Logarithms of probabilities, for each discriminator all of whose classes have one."""
    logits = np.full((len(next(iter(values.values()))), len(schema.classes)), np.nan)
    for name, score in values.items():
        logits[:, schema.class_names.index(name)] = np.log(np.maximum(score, _SMALLEST))
    known = {schema.class_names.index(name) for name in values}
    return {name: logits for name, one in schema.separations.items() if known.issuperset([*one.columns[0], *one.columns[1]])}
