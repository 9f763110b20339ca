"""Training jets as variations of the detector measure them again: mismodelling that can be trained on."""

import dataclasses
import fnmatch
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag.checksums import sha256
from kerastag.data.dataset import memory_limit
from kerastag.data.simulated import paired, read_simulated, stand_for_data, variations_of
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Schema

_NOMINAL = "nominal.root"
# Share of the jets that must be found again. A variation of the physics has events of its own and stays far below.
_FOUND = 0.9


@dataclasses.dataclass(frozen=True)
class VariedJets:
    """The jets of a data set under each of several variations.

    Reference: Ghosh, Nachman and Whiteson, arXiv:2105.08742, where it is called data augmentation.

    Attributes:
        features: float32 `(variations, jets, features)`; those of the data set where a variation has lost the jet.
        shares: Share of the jets that each variation has, by its name, in the order of `features`.
        left_out: Why other files of the folder were not used, by their name.
    """

    features: np.ndarray
    shares: dict[str, float]
    left_out: dict[str, str]

    @classmethod
    def read(
        cls, folder: Path, jets: Jets, schema: Schema, hold_out: Sequence[str] = (), selection: str | None = None
    ) -> "VariedJets":
        """Read the files of `simulate --split train --variation … --output FOLDER`.

        Args:
            folder: Folder of the files, `nominal.root` among them.
            jets: Training jets of the data set.
            schema: Its schema.
            hold_out: Names of variations that training must not see, with `*` for several; a file of several variations is
                held out with any of them.
            selection: As of `read_simulated`.

        Raises:
            UserError: if there is no nominal file or no variation of these jets, a name to hold out matches none, or the
                variations do not fit in memory.
        """
        if not (folder / _NOMINAL).is_file():
            raise UserError(
                f"There is no '{_NOMINAL}' in '{folder}' (--variations); make it with "
                f"simulate --split train --variation nominal uncertainties --output {folder}, of your own jets with --like."
            )
        paths, left_out = chosen(folder, hold_out)
        _check_memory((1 + len(paths)) * jets.features.nbytes, folder)
        nominal = read_simulated(folder / _NOMINAL, schema, "train", selection)
        rows = _rows(nominal, jets)
        if (share := np.mean(rows >= 0) if len(rows) else 0.0) < _FOUND:
            raise UserError(
                f"Of the jets in '{folder / _NOMINAL}' the data set has {share:.0%}; simulate the variations of its own file, "
                "with --split train --like FILE."
            )
        features = np.empty((len(paths), *jets.features.shape), np.float32)
        shares: dict[str, float] = {}
        for path in tqdm(paths, "Variations", disable=None):
            varied = read_simulated(path, schema, "train", selection)
            here, there = paired(nominal, varied)
            known = rows[here] >= 0
            share = int(np.count_nonzero(known)) / len(jets)
            if share < _FOUND:
                left_out[path.stem] = f"has {share:.0%} of the jets"
                continue
            features[len(shares)] = jets.features
            features[len(shares), rows[here[known]]] = varied.features[there[known]]
            shares[path.stem] = share
        if not shares:
            raise UserError(
                f"No variation in '{folder}' (--variations) can be trained on; beside nominal.root there are: "
                f"{'; '.join(f'{name} {reason}' for name, reason in left_out.items()) or 'none'}."
            )
        return cls(features[: len(shares)], shares, left_out)


def chosen(folder: Path, hold_out: Sequence[str] = ()) -> tuple[list[Path], dict[str, str]]:
    """Files of variations to train on, and why others there are left out, by name. Arguments as of `VariedJets.read`.

    Raises:
        UserError: if a name to hold out matches no file, or a file is none of `kerastag simulate`.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.root")) if path.name != _NOMINAL}
    changes = {name: (name, *variations_of(path)) for name, path in paths.items()}
    for pattern in hold_out:
        if not any(fnmatch.filter(names, pattern) for names in changes.values()):
            raise UserError(f"No variation in '{folder}' is called '{pattern}' (--hold-out); there are {', '.join(paths)}.")
    left_out = {
        name: "held out" for name, names in changes.items() if any(fnmatch.filter(names, pattern) for pattern in hold_out)
    }
    # Nothing may be trained on what stands for nature.
    left_out |= {name: "stands for real data" for name, names in changes.items() if stand_for_data(names)}
    return [path for name, path in paths.items() if name not in left_out], left_out


def digests(folder: Path, hold_out: Sequence[str] = ()) -> dict[str, str]:
    """SHA-256 of the files that a training reads, by name. Arguments and errors as of `chosen`."""
    files = [folder / _NOMINAL, *chosen(folder, hold_out)[0]]
    return {path.stem: sha256(path) for path in files if path.is_file()}


def _check_memory(size: int, folder: Path) -> None:
    if size > memory_limit():
        raise UserError(
            f"The variations in '{folder}' take {size / 2**30:.1f} GiB, more than an eighth of the memory, "
            f"{memory_limit() / 2**30:.1f} GiB; leave some out with --hold-out."
        )


def _rows(nominal: Jets, jets: Jets) -> np.ndarray:
    """Row of each nominal jet in the data set, -1 where it has none, int64 `(nominal jets,)`."""
    known = {key: row for row, key in enumerate(_keys(jets))}
    return np.array([known.get(key, -1) for key in _keys(nominal)], np.int64)


def _keys(jets: Jets) -> list[tuple[int, bytes]]:
    """What tells a jet from all others: its event and its features."""
    events = jets.spectators["event"].tolist()
    return [(event, row.tobytes()) for event, row in zip(events, jets.features, strict=True)]
