"""The published `dataset.json.gz` of Jet Flavor 2016 → ROOT files that `--config jet_flavor` reads.

Each line of the file is a jet:

    [jet_pt, jet_eta, flavour, [8 track-based], [6 vertex-based], [track, …]]

where a track is `[[5 parameters], [15 covariances], [weight], [7 of its vertex]]`, with the values in the order of
`JET_FLAVOR`; non-finite numbers are the strings "NaN", "-NaN", "inf" and "-inf". Flavours come in runs of hundreds of
thousands, so each jet goes to an output file drawn at random.
"""

import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from tqdm.auto import tqdm

from kerastag.errors import UserError
from kerastag.files import replaced
from kerastag.schema import JET_FLAVOR

_JET = [variable.branch for group in JET_FLAVOR.groups if group.slots is None for variable in group.variables]
_TRACK = [variable.branch for group in JET_FLAVOR.groups if group.slots for variable in group.variables]
_PARTS = (5, 15, 1, 7)
_LONGEST_LINE = 1 << 20
_BATCH = 10_000
_FLUSH = 5_000


def convert(source: Path, target: Path, files: int = 128, seed: int = 0, max_jets: int | None = None) -> int:
    """Convert `source` into `files` ROOT files in the new folder `target`; memory stays below about 1 GB.

    Args:
        source: The published file, or one in its format.
        target: Folder to make; it appears only when complete.
        files: Number of ROOT files.
        seed: Of the random spread.
        max_jets: Stop after so many.

    Returns:
        Number of jets.

    Raises:
        UserError: if `target` exists, or `source` cannot be read or has another format.
    """
    if target.exists():
        raise UserError(f"'{target}' exists already; choose another folder.")
    if not source.is_file():
        raise UserError(f"There is no file '{source}'.")
    generator = np.random.default_rng(seed)
    jets = 0
    with replaced(target) as folder:
        folder.mkdir()
        writers = [_Writer(folder / f"jets_{number:04d}.root") for number in range(files)]
        with tqdm(unit=" jets", unit_scale=True, disable=None) as progress:
            for batch in _batches(source, max_jets):
                destination = generator.integers(0, files, len(batch))
                for number in np.unique(destination):
                    writers[number].add(batch[destination == number])
                jets += len(batch)
                progress.update(len(batch))
        if not jets:
            raise UserError(f"'{source}' holds no jets.")
        for writer in writers:
            writer.close()
    return jets


class _Writer:
    """One ROOT file; jets wait in memory until there are enough for a basket."""

    def __init__(self, path: Path):
        self._path = path
        self._waiting: list[ak.Array] = []
        self._jets = 0
        self._file = None

    def add(self, jets: ak.Array) -> None:
        self._waiting.append(jets)
        self._jets += len(jets)
        if self._jets >= _FLUSH:
            self._flush()

    def close(self) -> None:
        if self._waiting:
            self._flush()
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        jets = ak.concatenate(self._waiting)
        content = {name: jets[name] for name in (*_JET, "jet_parton_flavour")}
        content["track"] = ak.zip({name.removeprefix("track_"): jets[name] for name in _TRACK})
        if self._file is None:
            self._file = uproot.recreate(self._path, compression=uproot.ZLIB(1))
            self._file.mktree(JET_FLAVOR.tree, {name: values.type.content for name, values in content.items()})
        self._file[JET_FLAVOR.tree].extend(content)
        self._waiting, self._jets = [], 0


def _batches(source: Path, max_jets: int | None) -> Iterator[ak.Array]:
    lines = itertools.islice(_lines(source), max_jets)
    number = 0
    while block := list(itertools.islice(lines, _BATCH)):
        yield _parse(block, number, source)
        number += len(block)


def _lines(source: Path) -> Iterator[bytes]:
    try:
        with gzip.open(source, "rb") as stream:
            while line := stream.readline(_LONGEST_LINE):
                if not line.endswith(b"\n") and len(line) == _LONGEST_LINE:
                    raise UserError(f"'{source}' has a line of more than {_LONGEST_LINE} bytes, so it is not the data set.")
                if line.strip():
                    yield line
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"'{source}' cannot be read as gzip, it may be truncated: {error}") from error


def _parse(lines: list[bytes], first: int, source: Path) -> ak.Array:
    """Jets of a block of lines, fields as in the ROOT files."""
    jets, tracks, counts = [], [], []
    for number, line in enumerate(lines, start=first + 1):
        try:
            for text, token in ((b'"NaN"', b"NaN"), (b'"-NaN"', b"NaN"), (b'"inf"', b"Infinity"), (b'"-inf"', b"-Infinity")):
                line = line.replace(text, token)
            pt, eta, flavour, by_track, by_vertex, listed = json.loads(line)
            jets.append([flavour, pt, eta, *by_track, *by_vertex])
            if len(jets[-1]) != 1 + len(_JET) or any(tuple(map(len, track)) != _PARTS for track in listed):
                raise ValueError("it has another number of values")
            tracks.extend(list(itertools.chain.from_iterable(track)) for track in listed)
            counts.append(len(listed))
        except (ValueError, TypeError) as error:
            raise UserError(f"Line {number} of '{source}' is not a jet of Jet Flavor 2016: {error}.") from error
    by_jet = np.array(jets, np.float64)
    fields = {name: by_jet[:, column].astype(np.float32) for column, name in enumerate(_JET, start=1)}
    fields["jet_parton_flavour"] = by_jet[:, 0].astype(np.int32)
    by_track = np.array(tracks, np.float32).reshape(-1, len(_TRACK))
    for column, name in enumerate(_TRACK):
        fields[name] = ak.unflatten(np.ascontiguousarray(by_track[:, column]), counts)
    return ak.Array(fields)
