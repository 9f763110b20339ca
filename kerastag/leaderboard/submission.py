"""Attacked jets that somebody else made: read without running anything in them, and held against the box cell by cell."""

import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from kerastag.attacks import ThreatModel
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Schema

# Array of a submission.
ARRAY = "features"
# Jets that are looked at together.
_AT_ONCE = 2000
# Bytes in which NumPy writes what an array is; it pads to 128.
_LONGEST_HEADER = 4096
# What rounding may do to a cell, as a share of its value and of how far it may move. Followers come of several cells.
_ROUNDING, _OF_FOLLOWERS = (1e-6, 1e-4), (2e-4, 1e-3)


def read_attacked(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """The array `features` of an `.npz` file, float32 `shape`. Its type and shape are looked at before its content.

    Args:
        path: The file.
        shape: Jets and features that there must be.

    Raises:
        UserError: if it cannot be read, is no such file, or the array is of another type or shape.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"'{path}' is no file of attacked jets, but a folder or a device.")
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{ARRAY}.npy" not in archive.namelist():
                raise UserError(f"'{path}' has no array '{ARRAY}'; write it with numpy.savez(path, {ARRAY}=…).")
            with archive.open(f"{ARRAY}.npy") as stream:
                _check_header(path, stream, shape)
                stream.seek(0)
                return npy.read_array(stream, allow_pickle=False)
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    except UserError:
        raise
    except Exception as error:  # a damaged file ends in errors of zipfile, of each way to compress, and of Python's own parser
        raise UserError(f"'{path}' is no file of attacked jets; write one with numpy.savez(path, {ARRAY}=…).") from error


def _check_header(path: Path, stream: IO[bytes], shape: tuple[int, int]) -> None:
    """Check what an array says of itself.

    Raises:
        UserError: if it is not float32 of this shape.
        ValueError: if it says more than an array of numbers has to say.
    """
    version = npy.read_magic(stream)
    start = stream.tell()
    length = int.from_bytes(stream.read(2 if version == (1, 0) else 4), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    stream.seek(start)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    found, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise UserError(f"'{path}' holds Python objects, which are not read; '{ARRAY}' must be float32.")
    if dtype != np.float32:
        raise UserError(f"'{ARRAY}' of '{path}' is {dtype!s:.40}; it must be float32.")
    if found != shape:
        raise UserError(
            f"'{ARRAY}' of '{path}' is of shape {found!s:.60}; the entry has {shape[0]:,} jets of {shape[1]} features."
        )


def in_box(attacked: np.ndarray, jets: Jets, threat_model: ThreatModel, schema: Schema) -> np.ndarray:
    """Attacked jets without what rounding has added to them: points of the box, with tied cells recomputed.

    Args:
        attacked: float32 `(jets, features)`.
        jets: The same jets, clean.
        threat_model: The box around each.
        schema: Names of the features.

    Returns:
        float32 `(jets, features)`.

    Raises:
        UserError: if a cell is not finite, moved and must not, left its box, or is not what its ties make of others; the first
            one is named.
    """
    if (unlike := ~np.isfinite(attacked)).any():
        jet, feature = np.argwhere(unlike)[0]
        raise UserError(f"Jet {jet}: '{schema.names[feature]}' is {attacked[jet, feature]}, which is not finite.")
    starts = range(0, len(jets), _AT_ONCE)
    parts = [_compared(attacked, jets, slice(at, at + _AT_ONCE), threat_model) for at in starts]
    outside, untied, expected = (np.concatenate(values) for values in zip(*parts, strict=True))
    if outside.any() or untied.any():  # what follows a wrong cell is wrong as well
        jet, feature = np.argwhere(outside if outside.any() else untied)[0]
        reason = _reason(jets.take(np.array([jet])), expected[jet], feature, threat_model, schema)
        number = np.count_nonzero((outside | untied).any(axis=1))
        others = f" So are cells of {number:,} of {len(jets):,} jets; is their order that of the entry?" if number > 1 else ""
        raise UserError(f"Jet {jet}: '{schema.names[feature]}' is {attacked[jet, feature]:g}, {reason}.{others}")
    return expected


def _compared(attacked: np.ndarray, jets: Jets, rows: slice, threat_model: ThreatModel) -> tuple[np.ndarray, ...]:
    """Which cells of some jets are not what they may be, on their own or as followers, bool, and the nearest that may, float32.

    Each `(rows, features)`.
    """
    x, point = jets.features[rows], attacked[rows]
    box = threat_model.box(x, jets.y[rows])
    expected = np.asarray(box.complete(box.project(point)))
    free, moves, reach = (np.asarray(values) for values in (box.budget > 0, box.moves, box.reach))
    of_value, of_reach = (np.where(free, *pair) for pair in zip(_ROUNDING, _OF_FOLLOWERS, strict=True))
    allowed = np.where(moves, of_value * np.abs(expected) + of_reach * reach, 0)
    wrong = np.abs(point - expected) > allowed
    return wrong & (free | ~moves), wrong & moves & ~free, np.where(moves, expected, x)


def _reason(jet: Jets, expected: np.ndarray, feature: int, threat_model: ThreatModel, schema: Schema) -> str:
    """What is wrong with a cell of a jet that should be as `expected`, `(features,)`."""
    box, value = threat_model.box(jet.features, jet.y), jet.features[0, feature]
    if np.asarray(box.budget)[0, feature] > 0:
        low, high = (float(np.asarray(end)[0, feature]) for end in (box.low, box.high))
        return f"out of its box of {low:g} to {high:g}"
    if np.asarray(box.moves)[0, feature]:
        return f"but the inputs that it is tied to make it {expected[feature]:g}"
    if schema.integer[feature]:
        return f"but it is a whole number and stays {value:g}"
    if value == schema.defaults[feature]:
        return f"but {value:g} stands for no value there, and stays"
    if value in threat_model.special[feature]:
        return f"but {value:g} has a meaning of its own, and stays"
    return f"but it does not move in this box, and stays {value:g}"
