"""Rows of a table of defences: the trainings of each, with every seed and strength."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kerastag.catalogue import DEFENSES
from kerastag.recipes import Settings
from kerastag.request import EPSILON

# Weight of TRADES' second term, unless several are asked for.
BETA = Settings().beta
# Settings whose usual value is that of the defence, and what figures call them.
_OWN = {"rho": "ρ", "weight": "weight"}
# What stands before a strength in the name of a row, and in that of its folder.
_IN_FOLDERS = {" ε=": "-", " β=": "-beta", " ρ=": "-rho", " weight=": "-weight"}


@dataclasses.dataclass(frozen=True)
class Strengths:
    """Strengths in training, a row each; rows of others than the usual one say so.

    Attributes:
        epsilons: Sizes of the attack.
        betas: Weights of the second term of TRADES and of consistency.
        factors: Factors on the usual ρ or weight of the defences that have one.
    """

    epsilons: Sequence[float] = (EPSILON,)
    betas: Sequence[float] = (BETA,)
    factors: Sequence[float] = (1.0,)


def trainings(
    settings: Settings, defenses: Mapping[str, Sequence[int]], strengths: Strengths, files: Mapping[str, str | None]
) -> dict[str, list[Settings]]:
    """Settings of the seeds of each row, by its name.

    Args:
        settings: Settings of all trainings; defence, seed and strength are varied.
        defenses: Seeds of each defence.
        strengths: Strengths of those that have one.
        files: Settings that name files, such as `variations`, for the defences that use them.
    """
    rows = {}
    for defense, seeds in defenses.items():
        entry = DEFENSES.find(defense)
        own: dict[str, str | None] = {name: value for name, value in files.items() if name in entry.uses}
        if entry.model:
            own["model"] = entry.model
        for name, strength in _strengths(defense, strengths):
            given = settings.to_dict() | dict.fromkeys(files) | own | {"defense": defense} | strength
            rows[name] = [Settings.resolve(given | {"seed": seed}) for seed in seeds]
    return rows


def _strengths(defense: str, strengths: Strengths) -> Iterator[tuple[str, dict[str, float]]]:
    """Name of the row and settings of each strength of a defence."""
    entry = DEFENSES.find(defense)
    sizes = dict.fromkeys(strengths.epsilons) if entry.sized else [EPSILON]
    betas = dict.fromkeys(strengths.betas) if "beta" in entry.uses else [BETA]
    own = next((name for name in _OWN if name in entry.uses), None)
    factors = dict.fromkeys(strengths.factors) if own else [1.0]
    for epsilon, beta, factor in itertools.product(sizes, betas, factors):
        name = defense + (f" ε={epsilon:g}" if epsilon != EPSILON else "") + (f" β={beta:g}" if beta != BETA else "")
        given = {"epsilon": epsilon, "beta": beta}
        if own and factor != 1:
            given[own] = factor * entry.arguments[own]
            name += f" {_OWN[own]}={given[own]:g}"
        yield name, given


def strength(settings: Settings) -> tuple[tuple[str, float], ...]:
    """What may differ along the curve of a defence, with its name in figures."""
    entry = DEFENSES.find(settings.defense)
    parts = [("", settings.epsilon)]
    if "beta" in entry.uses:
        parts.append(("β=", settings.beta))
    for name, label in _OWN.items():
        if name in entry.uses:
            given = getattr(settings, name)
            parts.append((f"{label}=", entry.arguments[name] if given is None else given))
    return tuple(parts)


def folder(output: Path, name: str, settings: Settings) -> Path:
    """Run directory of a seed of a row."""
    for mark, instead in _IN_FOLDERS.items():
        name = name.replace(mark, instead)
    return output / f"{name}-seed{settings.seed}"
