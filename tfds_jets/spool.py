"""The jets of a unit on disk, between the pass over the files and the writing of blocks, so that memory stays flat."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kerastag.jets import Jets
from tfds_jets.cleaning import Cleaning

BLOCK = 1000  # jets
_ABOUT = "about.json"
# What is kept beside the columns of jets: the split without regard to copies and with it, and hashes on two grids.
_SPLIT, _PLACED, _HASHES = "split", "placed", ("first_hash", "second_hash")

Block = tuple[str, dict[str, np.ndarray]]


class Writer:
    """Puts the jets of a unit into a folder, chunk by chunk; each column is a file.

    Args:
        folder: Folder to make.
    """

    def __init__(self, folder: Path):
        folder.mkdir()
        self._folder = folder
        self._dtypes: dict[str, str] = {}
        self._chunks: list[int] = []

    def append(self, jets: Jets, split: np.ndarray, hashes: np.ndarray) -> None:
        """Add jets at the end.

        Args:
            jets: The jets.
            split: int8 `(jets,)`, without regard to copies.
            hashes: uint64 `(2, jets)`, by which copies are found.
        """
        self._chunks.append(len(jets))
        columns = {"features": jets.features, "label": jets.label, **jets.spectators}
        for name, values in columns.items():
            self._dtypes[name] = values.dtype.str
            self._write(_column(name), values)
        self._write(_SPLIT, split)
        for name, values in zip(_HASHES, hashes, strict=True):
            self._write(name, values)

    def close(self, cleaning: Cleaning) -> None:
        """Add what reading has counted."""
        about = {"dtypes": self._dtypes, "chunks": self._chunks, "cleaning": cleaning.to_dict()}
        (self._folder / _ABOUT).write_text(json.dumps(about))

    def _write(self, name: str, values: np.ndarray) -> None:
        with (self._folder / name).open("ab") as stream:
            stream.write(np.ascontiguousarray(values).data)  # `tofile` would not say why the disk refused


@dataclasses.dataclass(frozen=True)
class Spool:
    """The jets of a unit, as `Writer` has left them.

    Attributes:
        folder: Their folder.
        dtypes: Type of each column.
        chunks: Number of jets of each chunk.
        cleaning: What reading has counted.
    """

    folder: Path
    dtypes: dict[str, np.dtype]
    chunks: list[int]
    cleaning: Cleaning

    @classmethod
    def open(cls, folder: Path) -> "Spool":
        """The jets in a folder."""
        about = json.loads((folder / _ABOUT).read_text())
        dtypes = {name: np.dtype(dtype) for name, dtype in about["dtypes"].items()}
        return cls(folder, dtypes, about["chunks"], Cleaning.from_dict(about["cleaning"]))

    @property
    def jets(self) -> int:
        """Number of jets."""
        return sum(self.chunks)

    @property
    def split(self) -> np.ndarray:
        """Split without regard to copies, int8 `(jets,)`."""
        return self._mapped(_SPLIT, np.int8)

    @property
    def hashes(self) -> np.ndarray:
        """Hashes by which copies are found, uint64 `(2, jets)`."""
        return np.stack([self._mapped(name, np.uint64) for name in _HASHES])

    @property
    def placed(self) -> np.ndarray:
        """Split of each jet, int8 `(jets,)`, as `place` was told."""
        return self._mapped(_PLACED, np.int8)

    def place(self, split: np.ndarray) -> None:
        """Keep the split of each jet, int8 `(jets,)`."""
        (self.folder / _PLACED).write_bytes(split.astype(np.int8).data)

    def columns(self) -> dict[str, np.ndarray]:
        """All columns, mapped from disk: `features` float32 `(jets, features)`, `label` and spectators `(jets,)`."""
        columns = {name: self._mapped(_column(name), dtype) for name, dtype in self.dtypes.items()}
        return columns | {"features": columns["features"].reshape(self.jets, -1)} if self.jets else columns

    def by_chunk(self) -> Iterator[slice]:
        """The rows of each chunk."""
        ends = np.cumsum(self.chunks).tolist()
        yield from (slice(end - jets, end) for end, jets in zip(ends, self.chunks, strict=True))

    def blocks(self, split: int) -> Iterator[Block]:
        """Yield a key and at most `BLOCK` jets of a split; the key is made of the first jet's source and entry."""
        rows = np.flatnonzero(self.placed == split)
        columns = self.columns()
        for first in range(0, len(rows), BLOCK):
            block = {name: values[rows[first : first + BLOCK]] for name, values in columns.items()}
            yield f"{block['source'][0]:015x}-{block['entry'][0]:012d}", block

    def _mapped(self, name: str, dtype: np.typing.DTypeLike) -> np.ndarray:
        return np.memmap(self.folder / name, dtype, "r") if self.jets else np.empty(0, dtype)


def _column(name: str) -> str:
    """File of a column."""
    return f"{name}.column"
