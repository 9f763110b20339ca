"""What a build does with each unit, in two passes over all of them, and what it does in between.

The first pass reads a unit and puts its jets on disk, mixed within chunks. Then copies of jets are found, by hashes alone, in
the order of units. The second pass counts each unit as its jets were placed; what it finds is merged in the same order.
Everything that passes lies in one folder, which all who read units must see.
"""

import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from kerastag import files
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Schema
from kerastag.statistics import Moments
from tfds_jets import checks, reading, splitting
from tfds_jets.cleaning import Cleaning
from tfds_jets.copies import Copies, Hashes
from tfds_jets.spool import Block, Spool, Writer
from tfds_jets.units import Unit

# Jets for medians, quartiles and the search of special values, about; enough for 0.3 % of an interquartile range.
QUARTILE_JETS = 200_000
_FAILED, _SUMMARY = ".failed", "summary.npz"


class BadFilesError(UserError):
    """Some files cannot be read; what was made of the others is kept."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """What the second pass has found.

    Attributes:
        counts: int64 `(splits, classes)`, jets.
        moments: Moments of the split that statistics are of.
        sample: Features of some of its jets, chosen by their hash, float32 `(jets, features)`.
        cleaning: What reading has counted.
    """

    counts: np.ndarray
    moments: Moments
    sample: np.ndarray
    cleaning: Cleaning


@dataclasses.dataclass(frozen=True)
class Preparation:
    """The jets of units on disk.

    Attributes:
        schema: Schema of the files.
        selection: Expression of branches that a jet must fulfil; "" keeps all.
        version: Version of the data set.
        folder: Folder for the jets; what an earlier build of the same files has left there is used.
    """

    schema: Schema
    selection: str
    version: str
    folder: Path

    def begin(self, units: Sequence[Unit]) -> None:
        """Make the folder, and remove from it what is not of these units."""
        self.folder.mkdir(exist_ok=True)
        mine = {self._path(unit).name for unit in units}
        for path in self.folder.iterdir():
            if path.name not in mine:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if before := self.done():
            logging.info("%d of %d units were read by an earlier build.", before, len(units))

    def done(self) -> int:
        """Number of units that were read, or cannot be."""
        return sum(not path.name.startswith(files.SCRATCH) for path in self.folder.iterdir())

    def read(self, unit: Unit) -> None:
        """First pass: read the jets of a unit, unless they are there; a user's mistake is written down instead."""
        if self._path(unit).is_dir():
            return
        try:
            with files.replaced(self._path(unit)) as new:
                self._read(unit, Writer(new))
        except UserError as error:
            files.write_text(self._failure(unit), str(error))

    def _read(self, unit: Unit, writer: Writer) -> None:
        cleaning, hashes = Cleaning.none(self.schema), Hashes(self.schema)
        entries = (unit.start, unit.stop, unit.first_jet)
        for jets in reading.read_entries(unit.file, self.schema, self.selection, cleaning, *entries):
            if len(jets):
                mixed = _mixed(jets)
                split = splitting.split_of(mixed.spectators).astype(np.int8)
                writer.append(mixed, split, hashes(mixed.features))
            cleaning.bad_weights += checks.bad_weights(jets)
            cleaning.zero_weights += int(np.count_nonzero(jets.weights == 0))
        writer.close(cleaning)

    def refuse_bad_files(self, units: Sequence[Unit]) -> None:
        """Make sure that all units were read.

        Raises:
            BadFilesError: if some files cannot be read.
            UserError: if none can, or nothing is known of a unit.
        """
        reasons: dict[Path, str] = {}
        for unit in units:
            if self._failure(unit).is_file():
                reasons.setdefault(unit.file.path, self._failure(unit).read_text(encoding="utf-8"))
        number = len({unit.file.path for unit in units})
        if reasons:
            kind = BadFilesError if len(reasons) < number else UserError
            raise kind(_bad_files(list(reasons.values()), number))
        if missing := [unit for unit in units if not self._path(unit).is_dir()]:
            raise UserError(
                f"Nobody has left the jets of '{missing[0].file.path}' in '{self.folder}'; workers must see the same files as "
                "this machine, so give folders that all share, by absolute paths."
            )

    def place(self, units: Sequence[Unit]) -> tuple[Copies, np.ndarray]:
        """Find copies of jets, which must not part company, and keep the split of each jet.

        Returns:
            What was found, and int64 `(splits,)`, the number of jets of each split.
        """
        copies, jets = Copies(), np.zeros(len(splitting.FRACTIONS), np.int64)
        for unit in units:
            spool = self._spool(unit)
            placed = copies.place(spool.hashes, spool.split)
            jets += np.bincount(placed, minlength=len(jets))
            spool.place(placed)
        return copies, jets

    def summarise(self, unit: Unit, split: int, share: float) -> None:
        """Second pass: count the jets of a unit.

        Args:
            unit: The unit.
            split: Index of the split that statistics are of.
            share: Share of its jets for medians and quartiles.
        """
        spool, moments = self._spool(unit), Moments(self.schema.defaults)
        counts = np.zeros((len(splitting.FRACTIONS), len(self.schema.classes)), np.int64)
        columns, placed, sample = spool.columns(), spool.placed, []
        for rows in spool.by_chunk():
            np.add.at(counts, (placed[rows], columns["label"][rows]), 1)
            of_split = np.flatnonzero(placed[rows] == split) + rows.start
            features = columns["features"][of_split]
            moments.update(features)
            sample.append(features[splitting.chosen({name: columns[name][of_split] for name in ("source", "entry")}, share)])
        chosen = np.concatenate([np.empty((0, len(self.schema.features)), np.float32), *sample])
        content: dict[str, Any] = {"counts": counts, "sample": chosen}
        content |= {f"moments.{name}": values for name, values in moments.arrays().items()}
        with files.replaced(self._path(unit) / _SUMMARY) as new:
            np.savez(new, **content)

    def merged(self, units: Sequence[Unit]) -> Summary:
        """What the second pass has found, in the order of units."""
        moments, cleaning = Moments(self.schema.defaults), Cleaning.none(self.schema)
        counts, samples = np.zeros((len(splitting.FRACTIONS), len(self.schema.classes)), np.int64), []
        for unit in units:
            with (self._path(unit) / _SUMMARY).open("rb") as stream, np.load(stream) as content:
                moments.merge({name: content[f"moments.{name}"] for name in moments.arrays()})
                counts += content["counts"]
                samples.append(content["sample"])
            cleaning.add(self._spool(unit).cleaning)
        return Summary(counts, moments, np.concatenate(samples), cleaning)

    def blocks(self, unit: Unit, split: int) -> Iterator[Block]:
        """Keys and blocks of the jets of a unit that are in a split."""
        return self._spool(unit).blocks(split)

    def _spool(self, unit: Unit) -> Spool:
        return Spool.open(self._path(unit))

    def _failure(self, unit: Unit) -> Path:
        path = self._path(unit)
        return path.with_name(f"{path.name}{_FAILED}")

    def _path(self, unit: Unit) -> Path:
        return self.folder / unit.key(self._facts)

    @functools.cached_property
    def _facts(self) -> str:
        """A hash of what decides what is read, beside the files."""
        facts = json.dumps([self.schema.to_dict(), self.selection, self.version], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()


def _bad_files(reasons: list[str], of: int) -> str:
    """What to say of bad files among so many; each of several is named in the log."""
    if of == 1:
        return reasons[0]
    for reason in reasons:
        logging.warning("%s", reason)
    kept = "; what was read of the others is kept" if len(reasons) < of else ""
    return f"{len(reasons)} of {of} files cannot be used{kept}. The first: {reasons[0]}"


def _mixed(jets: Jets) -> Jets:
    """The jets of a chunk in an order drawn from its place in the files."""
    seed = [int(jets.spectators["source"][0]), int(jets.spectators["entry"][0])]
    return jets.take(np.random.default_rng(seed).permutation(len(jets)))
