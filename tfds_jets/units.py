"""Units of a build: a file, or a range of entries of a large one.

Each is read by itself, in any order and by any process. Chunks, the mixing of jets and blocks never span two of them, and what
is counted is merged in their order, so that a data set does not depend on who read them.
"""

import dataclasses
import hashlib
from collections.abc import Iterator

import awkward as ak

from kerastag.errors import UserError
from kerastag.schema import Schema
from tfds_jets import expressions, reading, sources
from tfds_jets.reading import RootFile

# Entries of a unit at most.
ENTRIES = 200_000


@dataclasses.dataclass(frozen=True)
class Unit:
    """Some entries of a file.

    Attributes:
        file: The file.
        start: First entry.
        stop: Entry after the last one.
        first_jet: Number of jets in the entries before the first one.
    """

    file: RootFile
    start: int
    stop: int
    first_jet: int

    def key(self, facts: str) -> str:
        """A name for what is read from it, by its content and by facts that shape jets; where the file lies does not matter."""
        return hashlib.sha256(f"{self.file.sha256} {self.start} {self.stop} {facts}".encode()).hexdigest()[:32]


def units_of(files: list[RootFile], schema: Schema) -> list[Unit]:
    """The units of files, in their order; one without entries for an empty file, and for a bad one, whose reading says why.

    Args:
        files: The files.
        schema: Features and classes to read.
    """
    units = []
    for file in files:
        try:
            units += list(_of_file(file, schema))
        except UserError:
            units.append(Unit(file, 0, 0, 0))
    return units


def _of_file(file: RootFile, schema: Schema) -> Iterator[Unit]:
    """Units of a file; where its entries are events, a branch is read to count their jets.

    Raises:
        UserError: if the file cannot be read.
    """
    with sources.opened(file.path, schema.trees) as table:
        starts = range(0, max(table.entries, 1), ENTRIES)
        first_jet = 0
        for start in starts:
            stop = min(start + ENTRIES, table.entries)
            yield Unit(file, start, stop, first_jet)
            first_jet += _jets(table, file, schema, start, stop) if stop < table.entries else 0


def _jets(table: sources.Table, file: RootFile, schema: Schema, start: int, stop: int) -> int:
    """Number of jets in some entries."""
    branch = reading.jet_branch(schema)
    needed = {branch: expressions.names(branch, table.branches, table.name)}
    jets = 0
    for chunk in table.chunks(needed[branch], start, stop):
        values = reading.evaluated(needed, chunk, file.path)[branch]
        if values.ndim == 1:
            return stop - start
        jets += int(ak.sum(ak.num(values)))
    return jets
