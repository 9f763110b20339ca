"""Building and reading of made-up jets, against plain reading and copying of the same bytes.

Made-up jets have the shape of `JET_FLAVOR` and no physics. Files that were just written lie in the system's cache, for us and
for the limit alike.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from kerastag import data
from kerastag.data import JetDataset
from kerastag.schema import JET_FLAVOR
from kerastag.speed.clock import Action, Clock
from kerastag.speed.rows import Row, row

_BATCH = 8192
# Epochs of a turn, since to begin one takes time as well.
_EPOCHS = 3


def rows(folder: Path, jets: int, clock: Clock) -> Iterator[Row]:
    """Speeds of building a data set, of decoding it and of its batches.

    Args:
        folder: Scratch folder, empty.
        jets: Number of made-up jets.
        clock: How to measure.
    """
    (folder / "root").mkdir()
    source = write_jets(folder / "root" / "jets.root", jets)
    builds = iter(range(clock.turns))

    def build() -> None:
        with quiet():
            data.prepare("jet_flavor", data_dir=folder / str(next(builds)), manual_dir=folder / "root")

    build_seconds = clock.in_turns({"build": build}, once=True)["build"]
    shards = sorted((folder / "0").rglob("*.tfrecord*"))
    size = f"{sum(path.stat().st_size for path in shards) / jets:.0f}"
    limit = clock.in_turns({"copy": _read_and_write([source], shards, folder / "copy")})["copy"]
    yield row("building from ROOT", jets / build_seconds, jets / limit, f"reading ROOT and writing {size} bytes a jet, plainly")
    yield from _reading(folder / "0", clock)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the lines of a build, which would find the values of made-up jets strange."""
    logging.disable(logging.WARNING)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _reading(folder: Path, clock: Clock) -> Iterator[Row]:
    fresh = [data.prepare("jet_flavor", data_dir=folder) for _ in range(clock.turns)]
    dataset, waiting = fresh[0], iter(fresh)
    count = dataset.count("train")
    shards = [path for path in folder.rglob("*.tfrecord*") if "-train" in path.name]
    decoding = clock.in_turns({"decode": lambda: next(waiting).arrays("train")}, once=True)["decode"]
    features = dataset.arrays("train").features
    order = np.random.default_rng(0).permutation(count)
    used = count - count % min(_BATCH, count)
    seconds = clock.in_turns(
        {
            "read": lambda: [np.fromfile(path, np.uint8) for path in shards],
            "gather": lambda: features[order],
            "memory": _epochs(dataset, in_memory=True),
            "streamed": _epochs(dataset, in_memory=False),
        }
    )
    plain, gather = count / seconds["read"], count / seconds["gather"]
    yield row("decoding a split", count / decoding, plain, "reading its shards plainly")
    yield row("batches streamed", _EPOCHS * used / seconds["streamed"], plain, "reading the shards plainly")
    yield row("batches from memory", _EPOCHS * used / seconds["memory"], gather, "taking rows of an array in random order")


def _epochs(dataset: JetDataset, in_memory: bool) -> Action:
    """A few epochs of shuffled batches, from the first on."""
    batches = dataset.batches("train", _BATCH, shuffle=True, in_memory=in_memory)
    steps = _EPOCHS * dataset.steps("train", _BATCH)

    def run() -> None:
        for _ in batches.take(steps):
            pass

    return run


def _read_and_write(sources: list[Path], results: list[Path], folder: Path) -> Action:
    contents = [path.read_bytes() for path in results]
    folder.mkdir()

    def copy() -> None:
        for path in sources:
            np.fromfile(path, np.uint8)
        for number, content in enumerate(contents):
            (folder / str(number)).write_bytes(content)

    return copy


def write_jets(path: Path, jets: int, seed: int = 0) -> Path:
    """Write a ROOT file of made-up jets with on average four tracks."""
    generator = np.random.default_rng(seed)
    counts = generator.poisson(3, jets) + 1
    content: dict[str, ak.Array | np.ndarray] = {"jet_parton_flavour": generator.choice([0, 4, 5], jets).astype(np.int32)}
    tracks = {}
    for group in JET_FLAVOR.groups:
        for variable in group.variables:
            size = counts.sum() if group.slots else jets
            values = generator.exponential(1, size).astype(np.float32) + np.float32(variable.valid_min or 0)
            values = np.rint(values) + 1 if variable.integer else np.minimum(values, variable.valid_max or np.inf)
            if group.slots:
                tracks[variable.branch.removeprefix("track_")] = ak.unflatten(values.astype(np.float32), counts)
            else:
                content[variable.branch] = values.astype(np.float32)
    content["track"] = ak.zip(tracks)
    types = {
        name: ak.type(values[:0]).content if isinstance(values, ak.Array) else values.dtype for name, values in content.items()
    }
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        file.mktree(JET_FLAVOR.tree, types)
        file[JET_FLAVOR.tree].extend(content)
    return path
