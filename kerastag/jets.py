"""Jets in memory, as files are read into, data sets decoded into and taggers evaluated on. NumPy alone."""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Jets:
    """Some jets.

    Attributes:
        features: float32 `(jets, features)`, physical units, defaults where a value is absent.
        label: int64 `(jets,)`, index into the schema's classes.
        spectators: An array `(jets,)` for each name: those of the schema, and `source` and `entry`.
        classes: Number of classes.
    """

    features: np.ndarray
    label: np.ndarray
    spectators: dict[str, np.ndarray]
    classes: int

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray | slice) -> "Jets":
        """The jets of some rows, or where a boolean array is true."""
        spectators = {name: values[rows] for name, values in self.spectators.items()}
        return Jets(self.features[rows], self.label[rows], spectators, self.classes)

    @functools.cached_property
    def y(self) -> np.ndarray:
        """True flavours, one-hot float32 `(jets, classes)`."""
        return np.eye(self.classes, dtype=np.float32)[self.label]

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """Generator weight of each jet, float64 `(jets,)`; 1 where files have none."""
        return np.asarray(self.spectators.get("generator_weight", np.ones(len(self.label))), np.float64)

    @functools.cached_property
    def events(self) -> np.ndarray:
        """Index of the event of each jet, int64 `(jets,)`; a jet without an event id is an event of its own."""
        event = self.spectators["event"]
        unit = np.where(event < 0, self.spectators["entry"], event)
        keys = np.stack([self.spectators["source"], event < 0, unit], axis=1)
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
