"""The same simulated jets with and without variations of the detector, and how an area changes between them."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kerastag import data
from kerastag.checksums import sha256
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.metrics import RankedPair
from kerastag.results import defined
from kerastag.schema import Separation
from kerastag.simulation.variation_folders import NOMINAL, list_files


def area_of(jets: Jets, logits: np.ndarray, separation: Separation) -> float:
    """Area of a discriminator of jets by their logits `(jets, classes)`.

    Raises:
        UserError: if a side has no jets.
    """
    return defined(RankedPair(jets.label, logits, separation).auc(jets.weights), f"{separation.name} AUC of these jets")


class VariedSamples:
    """Simulated jets with and without each of some variations of the detector, paired.

    Args:
        folder: Folder of files of `kerastag simulate`.
        dataset: Data set whose schema and selection the jets have.
        names: Names of the variations, of which those are taken that have a file.

    Raises:
        UserError: if the nominal file is missing, all variations are, or files are of different samples.
    """

    def __init__(self, folder: Path, dataset: JetDataset, names: Sequence[str]):
        self._names = [name for name in names if (folder / f"{name}.root").is_file()]
        if not self._names:
            raise UserError(f"There is none of {', '.join(names)} in '{folder}'; make some with simulate --variation.")
        self._files = list_files(folder, self._names)
        self._read = functools.partial(data.read_simulated, schema=dataset.schema, split="test", selection=dataset.selection)
        self._nominal = self._read(self._files[NOMINAL].path)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each file by name, which tells others of the same names apart."""
        return {name: sha256(file.path) for name, file in self._files.items()}

    def mean_change(self, logits: Callable[[np.ndarray], np.ndarray], separation: Separation) -> float:
        """Mean of the absolute changes of an area. Arguments as of `changes`."""
        return float(np.mean(np.abs(list(self.changes(logits, separation).values()))))

    def changes(self, logits: Callable[[np.ndarray], np.ndarray], separation: Separation) -> dict[str, float]:
        """How an area changes under each variation, by its name.

        Args:
            logits: From features `(jets, features)` to logits `(jets, classes)`.
            separation: The discriminator.
        """
        before = logits(self._nominal.features)
        changes = {}
        for name, (here, nominal, varied) in self._pairs.items():
            area = area_of(nominal, before[here], separation)
            changes[name] = area_of(varied, logits(varied.features), separation) - area
        return changes

    @functools.cached_property
    def _pairs(self) -> dict[str, tuple[np.ndarray, Jets, Jets]]:
        """Of each variation the rows of the nominal sample that it has, these jets, and what they became."""
        pairs = {}
        for name in self._names:
            varied = self._read(self._files[name].path)
            here, there = data.paired(self._nominal, varied)
            pairs[name] = here, self._nominal.take(here), varied.take(there)
        return pairs
