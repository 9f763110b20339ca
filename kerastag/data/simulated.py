"""Jets straight from the files of `kerastag simulate`, and which jets of two files are the same.

A variation of the detector is made of the same events as the nominal sample, so nearly every jet of one file has its
counterpart in the other. A few appear or vanish, when a jet crosses the threshold or loses its last track.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.request import ALL_SPLITS
from kerastag.schema import JET_FLAVOR, Schema
from tfds_jets import reading, splitting

# Distance in (η, φ) below which jets of an event may be the same.
SAME = 0.2
# Names of mixtures of variations, drawn from a seed.
_PSEUDO_DATA = "pseudo_data_"


def read_simulated(path: str | Path, schema: Schema, split: str = ALL_SPLITS, selection: str | None = None) -> Jets:
    """Read a simulated file, cleaned as a data set of it is.

    Args:
        path: ROOT file that `kerastag simulate` made.
        schema: Features, classes and spectators to read.
        split: Split whose jets are taken, or "all" for those of every split.
        selection: Expression of branches that a jet must fulfil, `JetDataset.selection`; None for the schema's own.

    Returns:
        Jets in the order of the file; beside the schema's spectators `direction_eta` and `direction_phi` of each jet.

    Raises:
        UserError: if there is no such file or split, or the file cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    if split != ALL_SPLITS and split not in splitting.FRACTIONS:
        raise UserError(f"There is no split '{split}'; choose all, {', '.join(splitting.FRACTIONS)}.")
    selection = schema.selection if selection is None else selection
    chunks = list(reading.read([reading.RootFile.of(path)], schema, selection, reading.Cleaning.none(schema)))
    spectators = {name: np.concatenate([chunk.spectators[name] for chunk in chunks]) for name in chunks[0].spectators}
    entry = spectators["entry"]
    with uproot.open(path) as root:
        directions = root[JET_FLAVOR.tree].arrays(["Jet_eta", "Jet_phi"], library="np")
    spectators |= {f"direction_{axis}": directions[f"Jet_{axis}"][entry] for axis in ("eta", "phi")}
    features = np.concatenate([chunk.features for chunk in chunks])
    jets = Jets(features, np.concatenate([chunk.label for chunk in chunks]), spectators, len(schema.classes))
    if split == ALL_SPLITS:
        return jets
    chosen = jets.take(splitting.split_of(jets.spectators) == list(splitting.FRACTIONS).index(split))
    if not len(chosen):
        raise UserError(f"'{path}' has no jets of the {split} split; make it with simulate --split {split}.")
    return chosen


def stand_for_data(variations: Sequence[str]) -> bool:
    """Whether jets with these variations stand for real data, so that nothing may be trained or chosen on them."""
    return any(name.startswith(_PSEUDO_DATA) for name in variations)


def variations_of(path: Path) -> tuple[str, ...]:
    """Names of what a simulated file changes; none for a nominal sample.

    Raises:
        UserError: if there is no such file, or it is none of `kerastag simulate`.
    """
    return tuple(_content(path)["settings"].get("variations", ()))


def sample_of(path: Path) -> dict[str, Any]:
    """What a simulated file and its variations have in common: settings and the last event, not which branches they have.

    Raises:
        UserError: if there is no such file, or it is none of `kerastag simulate`.
    """
    content = _content(path)
    settings = {name: value for name, value in content["settings"].items() if name not in ("variations", "candidates")}
    return settings | {"last_event": content.get("last_event")}


def _content(path: Path) -> dict[str, Any]:
    if (content := reading.simulation_of(path)) is None:
        raise UserError(f"'{path}' is no file that `kerastag simulate` made.")
    return content


def paired(nominal: Jets, varied: Jets) -> tuple[np.ndarray, np.ndarray]:
    """Find the jets that two files have in common.

    Two jets of an event are the same if each is the other's nearest and they are less than `SAME` apart.

    Args:
        nominal: Jets of `read_simulated`.
        varied: The same of another file of the same events.

    Returns:
        Rows of `nominal`, ascending, and of `varied`, int64 `(pairs,)` each.
    """
    left, right = _same_event(nominal.spectators["event"], varied.spectators["event"])
    distance = _distance(nominal.take(left), varied.take(right))
    mutual = (distance == _smallest(distance, left, len(nominal))) & (distance == _smallest(distance, right, len(varied)))
    pairs = np.flatnonzero(mutual & (distance < SAME))
    pairs = pairs[np.unique(left[pairs], return_index=True)[1]]
    pairs = np.sort(pairs[np.unique(right[pairs], return_index=True)[1]])
    return left[pairs], right[pairs]


def _same_event(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of all pairs of the same event, those of `left` ascending."""
    order = np.argsort(right, kind="stable")
    first = np.searchsorted(right[order], left, side="left")
    partners = np.searchsorted(right[order], left, side="right") - first
    row = np.repeat(np.arange(len(left)), partners)
    within = np.arange(len(row)) - np.repeat(np.cumsum(partners) - partners, partners)
    return row, order[first[row] + within]


def _distance(first: Jets, second: Jets) -> np.ndarray:
    """Distance in (η, φ) of jets row by row."""
    delta = [first.spectators[f"direction_{axis}"] - second.spectators[f"direction_{axis}"] for axis in ("eta", "phi")]
    return np.hypot(delta[0], (delta[1] + np.pi) % (2 * np.pi) - np.pi)


def _smallest(distance: np.ndarray, row: np.ndarray, rows: int) -> np.ndarray:
    """Smallest distance of a jet for each of its pairs."""
    smallest = np.full(rows, np.inf)
    np.minimum.at(smallest, row, distance)
    return smallest[row]
