"""Mismodelling that can be simulated: variations by name, and what several change together. Imports nothing heavy.

A name may carry another number than the standard one: "d0_resolution_up_17.5" is 17.5 % worse. Names joined by "+" are one
variation that changes all of it.
"""

import re
from collections.abc import Sequence

import numpy as np

from kerastag.errors import UserError
from kerastag.simulation.catalogue import CATALOGUE, DETECTOR, PHYSICS, UNAVAILABLE, UNCERTAINTIES, Variation
from kerastag.simulation.changes import Detector, Physics

# Kind of mixtures drawn at random, which are no part of any mean.
PSEUDO_DATA = "pseudo-data"
_PSEUDO_DATA = re.compile(r"pseudo_data_(\d+)")
# Names that stand for several: all of them, or those of the detector that are as large as an uncertainty.
ALL, PLAUSIBLE = "all", "uncertainties"
# How names of one variation are joined.
AND = "+"


def find(name: str) -> Variation:
    """The variation of a name.

    Raises:
        UserError: if there is none.
    """
    for line in CATALOGUE:
        if variation := line.match(name):
            return variation
    if match := _PSEUDO_DATA.fullmatch(name):
        mixture = pseudo_data(int(match[1]))
        detector, physics = changes(mixture)
        reference = "reseeded" if physics else "nominal"
        help = f"{PSEUDO_DATA}: {', '.join(mixture) or 'nothing'}"
        return Variation(name, PSEUDO_DATA, help, detector, physics, reference)
    if name in UNAVAILABLE:
        raise UserError(f"There is no variation '{name}': {UNAVAILABLE[name]}.")
    raise UserError(f"There is no variation '{name}'; `simulate --list-variations` lists those that exist.")


def names(kind: str = ALL) -> tuple[str, ...]:
    """Names of the standard variations.

    Args:
        kind: "detector", "physics" or "all".
    """
    return tuple(name for line in CATALOGUE if kind in (ALL, line.kind) for name in line.names)


def changes(chosen: Sequence[str]) -> tuple[Detector, Physics]:
    """What several variations change together.

    Args:
        chosen: Their names. Their lines for Pythia are read in the order of the catalogue, a tune before a single parameter.

    Raises:
        UserError: if there is no such variation.
    """
    found = [find(name) for name in sorted(chosen, key=_position)]
    return sum((one.detector for one in found), Detector()), sum((one.physics for one in found), Physics())


def _position(name: str) -> int:
    """Place of a variation in the catalogue."""
    return next((place for place, line in enumerate(CATALOGUE) if line.match(name)), len(CATALOGUE))


def samples(requested: Sequence[str]) -> list[tuple[str, ...]]:
    """What each sample of a request changes.

    Args:
        requested: Names, names joined by "+", or "uncertainties", "detector", "physics" or "all" for several standard ones.

    Raises:
        UserError: if there is no such variation.
    """
    groups = {kind: names(kind) for kind in (ALL, DETECTOR, PHYSICS)} | {PLAUSIBLE: UNCERTAINTIES}
    expanded = [name for item in requested for name in groups.get(item, (item,))]
    chosen = [tuple(name.split(AND)) for name in dict.fromkeys(expanded)]
    changes([name for sample in chosen for name in sample])
    return chosen


def pseudo_data(seed: int) -> tuple[str, ...]:
    """Variations mixed at random, as nature might have it.

    Of every quantity at most one variation is taken, and half of the quantities stay as they are. A number lies anywhere
    between nothing and the largest standard one. Nothing may be trained or chosen on such a sample.

    Args:
        seed: Seed of the mixture.
    """
    rng = np.random.default_rng([seed, 2016])
    chosen = []
    for quantity in dict.fromkeys(line.quantity for line in CATALOGUE if line.quantity):
        lines = [line for line in CATALOGUE if line.quantity == quantity]
        line, share, taken = lines[rng.integers(len(lines))], rng.random(), rng.random() < 0.5
        if taken:
            number = line.neutral + share * (max(line.standard, default=0.0) - line.neutral)
            chosen.append(line.named(float(f"{number:.3g}")))
    return tuple(chosen)
