"""Jets of a split on disk, between the pass over the ROOT files and the writing of blocks, so that memory stays flat."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kerastag.jets import Jets

BLOCK = 1000  # jets


class Spool:
    """Store of jets in a folder, to which jets are added and which is read in blocks of `BLOCK` jets.

    Args:
        folder: Folder to make; each column is a file.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._dtypes: dict[str, np.dtype] = {}
        self._width = 0
        self.jets = 0
        folder.mkdir(parents=True)

    def append(self, jets: Jets) -> None:
        """Add jets at the end."""
        self._width = jets.features.shape[1]
        self.jets += len(jets)
        columns = {"features": jets.features, "label": jets.label, **jets.spectators}
        for name, values in columns.items():
            self._dtypes[name] = values.dtype
            with (self._folder / name).open("ab") as stream:
                np.ascontiguousarray(values).tofile(stream)

    def blocks(self) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """Yield a key and at most `BLOCK` jets; the key is made of the first jet's source and entry."""
        if not self.jets:
            return
        columns = {name: self._column(name) for name in self._dtypes}
        for first in range(0, self.jets, BLOCK):
            block = {name: np.array(values[first : first + BLOCK]) for name, values in columns.items()}
            yield f"{block['source'][0]:015x}-{block['entry'][0]:012d}", block

    def sample(self, jets: int) -> np.ndarray:
        """Features of at most `jets` jets, evenly spread over the store, float32 `(jets, features)`."""
        step = -(-self.jets // jets)
        return np.array(self._column("features")[::step])

    def _column(self, name: str) -> np.ndarray:
        """A column, mapped from disk."""
        values = np.memmap(self._folder / name, self._dtypes[name], "r")
        return values.reshape(self.jets, self._width) if name == "features" else values
