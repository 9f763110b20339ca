"""Jets in memory: what files are read into and taggers are evaluated on. NumPy alone."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

# Spectator that weights jets.
WEIGHT = "generator_weight"


@dataclasses.dataclass(frozen=True)
class Jets:
    """Jets and what is kept with them.

    Attributes:
        features: float32 `(jets, features)`, physical units, defaults where a value is absent.
        label: int64 `(jets,)`, index into the schema's classes.
        spectators: Arrays `(jets,)` by name: those of the schema, and `source` and `entry`, the place of a jet in the files.
        classes: Number of classes.
    """

    features: np.ndarray
    label: np.ndarray
    spectators: dict[str, np.ndarray]
    classes: int

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        """A line that says what they are, not all of their numbers."""
        counts = ", ".join(f"{count:,} of class {number}" for number, count in enumerate(np.bincount(self.label)) if count)
        return f"Jets: {len(self):,} of {self.features.shape[1]} features ({counts}), spectators {', '.join(self.spectators)}"

    def take(self, rows: np.ndarray | slice) -> "Jets":
        """Some of the jets.

        Args:
            rows: Numbers, a mask or a slice of the rows.
        """
        spectators = {name: values[rows] for name, values in self.spectators.items()}
        return Jets(self.features[rows], self.label[rows], spectators, self.classes)

    @functools.cached_property
    def y(self) -> np.ndarray:
        """True flavours, one-hot float32 `(jets, classes)`."""
        return np.eye(self.classes, dtype=np.float32)[self.label]

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """Generator weight of each jet, float64 `(jets,)`; 1 where files have none."""
        return np.asarray(self.spectators.get(WEIGHT, np.ones(len(self))), np.float64)

    @functools.cached_property
    def events(self) -> np.ndarray:
        """Number of the event of each jet, int64 `(jets,)`; a jet without an event id counts as an event."""
        event = self.spectators.get("event", np.full(len(self), -1))
        number = np.where(event < 0, self.spectators["entry"], event)
        keys = np.stack([self.spectators["source"], event < 0, number], axis=1)
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


def joined(parts: Sequence[Jets]) -> Jets:
    """Several sets of jets, one after the other; they have the same features, spectators and classes."""
    spectators = {name: np.concatenate([jets.spectators[name] for jets in parts]) for name in parts[0].spectators}
    features, label = (np.concatenate([getattr(jets, name) for jets in parts]) for name in ("features", "label"))
    return Jets(features, label, spectators, parts[0].classes)
