"""Simulated variations in a folder: what each changes, and with which file it is compared."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from kerastag import data
from kerastag.errors import UserError
from kerastag.simulation import catalogue
from kerastag.simulation import variations as simulated

NOMINAL, CONTROL = "nominal", "reseeded"


@dataclasses.dataclass(frozen=True)
class File:
    """A simulated file in the folder of variations.

    Attributes:
        name: Its name without suffix.
        path: The file.
        kind: "detector", "physics", "pseudo-data", or "control" for other events without any change.
        help: What it changes.
        reference: Name of the file that it is compared with.
        same_events: Whether its events are those of the reference.
    """

    name: str
    path: Path
    kind: str
    help: str
    reference: str
    same_events: bool


def list_files(folder: Path, names: Sequence[str] = ()) -> dict[str, File]:
    """The simulated files of a folder by name, each behind the one that it is compared with.

    Args:
        folder: The folder.
        names: Names of the variations; none for all.

    Raises:
        UserError: if there is no nominal file, no variation, or a name has no file.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.root"))}
    if NOMINAL not in paths:
        raise UserError(
            f"There is no '{NOMINAL}.root' in '{folder}'; make it with simulate --split test --variation {NOMINAL}."
        )
    for name in names:
        if name not in paths:
            raise UserError(f"There is no '{name}.root' in '{folder}'; there are {', '.join(paths)}.")
    files = {name: _describe(name, path, paths) for name, path in paths.items()}
    sample = data.sample_of(paths[NOMINAL])
    for path in paths.values():
        if (other := data.sample_of(path)) != sample:
            name = next(name for name in sample if other.get(name) != sample[name])
            raise UserError(
                f"'{path}' and '{paths[NOMINAL]}' are of different samples, with {name} {other.get(name)} and {sample[name]}; "
                "make both with the same --like."
            )
    listed: dict[str, File] = {}
    for name in names or files:
        _list_with_references(name, files, listed)
    if len(listed) < 2:
        raise UserError(f"There is no variation in '{folder}' beside '{NOMINAL}.root'; make some with simulate --variation.")
    return listed


def _list_with_references(name: str, files: Mapping[str, File], listed: dict[str, File]) -> None:
    """Add a file to those that are listed, behind the one that it is compared with."""
    if name != NOMINAL:
        _list_with_references(files[name].reference, files, listed)
    listed.setdefault(name, files[name])


def _describe(name: str, path: Path, paths: Mapping[str, Path]) -> File:
    """What a file is, by the catalogue of variations."""
    changed = data.variations_of(path)
    _, physics = simulated.changes(changed)
    kinds = {simulated.find(each).kind for each in changed}
    kind = next((kind for kind in (simulated.PSEUDO_DATA, catalogue.PHYSICS) if kind in kinds), catalogue.DETECTOR)
    help = "; ".join(simulated.find(each).help for each in changed)
    if name == CONTROL:
        return File(name, path, "control", help, NOMINAL, same_events=False)
    reference = simulated.find(changed[0]).reference if len(changed) == 1 else CONTROL
    if not physics or reference not in paths:
        reference = CONTROL if physics and CONTROL in paths else NOMINAL
        if reference == NOMINAL and physics:
            print(
                f"'{path}' has other events than '{NOMINAL}.root', with which it is compared; --variation {CONTROL} is better."
            )
    return File(name, path, kind, help, reference, same_events=not physics)
