"""Jets without a label, such as a real experiment's: features alone, for defences that need no more."""

import dataclasses
from pathlib import Path

import numpy as np

from kerastag.data.dataset import memory_limit
from kerastag.data.simulated import stand_for_data
from kerastag.errors import UserError
from kerastag.schema import FlavourClass, Schema
from tfds_jets import reading, splitting
from tfds_jets.cleaning import Cleaning

_TRAIN = list(splitting.FRACTIONS).index("train")


@dataclasses.dataclass(frozen=True)
class UnlabelledJets:
    """Features of jets whose labels are not read.

    Attributes:
        features: float32 `(jets, features)`, cleaned as those of a data set.
        files: Number of files.
        left_out: How many jets the selection rejects, or have a branch of the jet that is no number.
        not_of_training: How many jets are left out since a data set would put them into another split.
        cells: How many values were set to their default.
    """

    features: np.ndarray
    files: int
    left_out: int
    not_of_training: int
    cells: int

    @classmethod
    def read(cls, path: Path, schema: Schema, selection: str | None = None) -> "UnlabelledJets":
        """Read the jets of a file, or of all files below a folder, that a data set of it would train on.

        The others are left out, so that no jet of a test or validation split is seen, whatever files these are.

        Args:
            path: File of jets, or a folder of some.
            schema: Features to read; branches of classes and spectators may be missing.
            selection: As of `read_simulated`.

        Raises:
            UserError: if there are no jets, a file cannot be read or stands for real data in tests, or the jets do not fit in
                memory.
        """
        files = _files(path)
        _refuse_pseudo_data(files)
        plain, cleaning = _without_labels(schema), Cleaning.none(schema)
        chunks, size = [], 0
        others = 0
        for jets in reading.read(files, plain, plain.selection if selection is None else selection, cleaning):
            of_training = splitting.split_of(jets.spectators) == _TRAIN
            others += int(np.count_nonzero(~of_training))
            chunks.append(jets.features[of_training])
            size += chunks[-1].nbytes
            if size > memory_limit():
                raise UserError(
                    f"The jets in '{path}' (--unlabelled) take more than an eighth of the memory, "
                    f"{memory_limit() / 2**30:.1f} GiB; give fewer files."
                )
        if not size:
            raise UserError(f"There are no jets in '{path}' (--unlabelled); give a file or folder that has some.")
        cells = int(cleaning.not_finite.sum() + cleaning.out_of_range.sum())
        return cls(np.concatenate(chunks), len(files), cleaning.not_selected + cleaning.unknown_flavour, others, cells)


def digests_of_unlabelled(path: Path) -> dict[str, str]:
    """SHA-256 of each file by its path in the folder. Arguments and errors as of `UnlabelledJets.read`."""
    root = path if path.is_dir() else path.parent
    return {str(file.path.relative_to(root)): file.sha256 for file in _files(path)}


def _files(path: Path) -> list[reading.RootFile]:
    if path.is_dir():
        return reading.find_files(path)
    if not path.is_file():
        raise UserError(f"There is no file or folder '{path}' (--unlabelled).")
    return [reading.RootFile.of(path)]


def _refuse_pseudo_data(files: list[reading.RootFile]) -> None:
    for file in files:
        content = reading.simulation_of(file.path) if file.path.suffix == ".root" else None
        names = content["settings"].get("variations", ()) if content else ()
        if stand_for_data(names):
            raise UserError(f"'{file.path}' stands for real data in tests, so nothing may be trained on it; leave it out.")


def _without_labels(schema: Schema) -> Schema:
    """The schema with one class, of all jets, and of spectators the event alone, which decides the split."""
    of_jet = [feature.branch for feature in schema.features if feature.slot is None or feature.name == schema.pt]
    if not of_jet:
        raise UserError(
            f"The schema {schema.name} has no input of the jet itself, so jets cannot be read without their labels."
        )
    anything = FlavourClass("jet", f"({of_jet[0]}) == ({of_jet[0]})", "jet", "black")
    events = tuple(dataclasses.replace(one, optional=True) for one in schema.spectators if one.name == "event")
    return dataclasses.replace(schema, classes=(anything,), spectators=events, ratios=())
