"""Columns of simulated jets with the digits that matter, four bytes a value, so that files stay small."""

import typing

import numpy as np

from kerastag.simulation import helix

if typing.TYPE_CHECKING:
    from kerastag.simulation.unit import Unit

_DIGITS = 14  # binary digits of a stored real
_STEPS_PER_SIGMA = 256  # of a stored track parameter
# Energies, from which masses follow as small differences, and cosines, whose difference from 1 counts.
_ALL_DIGITS = ("e", "BtagPf_trackPParRatio", "costhetasvpv")


def columns(unit: "Unit") -> tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]]:
    """Round the columns of a unit to the digits that matter, four bytes a value.

    Track parameters are rounded to less than 1/256 of their uncertainty, all other reals to a relative 6e-5. Of candidates
    and vertices, `_ALL_DIGITS` keep those that four bytes hold.

    Returns:
        Jet columns by name; columns of tracks, candidates and vertices by prefix and name.
    """
    jets = {name: _stored(values) for name, values in unit.jets.items()}
    jets |= {name: unit.jets[name].astype(np.int64) for name in ("event", "event_no") if name in jets}
    tracks = {name: _stored(values) for name, values in unit.tracks.items()}
    for name in helix.PARAMETERS:
        sigma = np.sqrt(unit.tracks[name + name])
        tracks[name] = on_grid(unit.tracks[name], sigma / _STEPS_PER_SIGMA)
    objects = {"track": tracks}
    for kind, of_kind in unit.objects.items():
        objects[kind] = {name: _stored(values) for name, values in of_kind.columns.items()}
        objects[kind] |= {name: of_kind.columns[name].astype(np.float32) for name in _ALL_DIGITS if name in objects[kind]}
    return jets, objects


def _stored(values: np.ndarray) -> np.ndarray:
    """Whole numbers as int32, reals rounded."""
    return values.astype(np.int32) if np.issubdtype(values.dtype, np.integer) else significant(values)


def significant(values: np.ndarray) -> np.ndarray:
    """Reals rounded to 14 binary digits, float32; infinities and NaN stay."""
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.round(fraction * 2.0**_DIGITS), exponent - _DIGITS).astype(np.float32)


def on_grid(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Reals rounded to multiples of the largest powers of two that are not above `step`, float32."""
    step = 2.0 ** np.floor(np.log2(step))
    return (np.round(values / step) * step).astype(np.float32)
