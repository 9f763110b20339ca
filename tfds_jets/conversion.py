"""The published `dataset.json.gz` of Jet Flavor 2016 → ROOT files that `--config jet_flavor` reads.

Each line of the file is a jet:

    [jet_pt, jet_eta, flavour, [8 track-based], [6 vertex-based], [track, …]]

where a track is `[[5 parameters], [15 covariances], [weight], [7 of its vertex]]`, with the values in the order of
`JET_FLAVOR`. Non-finite numbers are the strings "NaN", "-NaN", "inf" and "-inf". Flavours come in runs of hundreds of
thousands, so each jet goes to an output file drawn at random.
"""

import gzip
import itertools
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from tqdm.auto import tqdm

from kerastag import outputs
from kerastag.errors import UserError
from kerastag.files import replaced
from kerastag.schema import JET_FLAVOR

_JET_BRANCHES = [variable.branch for group in JET_FLAVOR.groups if group.slots is None for variable in group.variables]
_TRACK_BRANCHES = [variable.branch for group in JET_FLAVOR.groups if group.slots for variable in group.variables]
_TRACK_PARTS = (5, 15, 1, 7)  # lengths of the lists of a track
_LONGEST_LINE = 1 << 20  # bytes
_BATCH = 10_000  # jets parsed at once
_BASKET = 5_000  # jets of a file written at once
# Non-finite numbers as the file has them, and as JSON's parser knows them.
_NOT_FINITE = ((b'"NaN"', b"NaN"), (b'"-NaN"', b"NaN"), (b'"inf"', b"Infinity"), (b'"-inf"', b"-Infinity"))


def convert(source: Path, target: Path, files: int = 128, seed: int = 0, max_jets: int | None = None) -> int:
    """Convert `source` into `files` ROOT files in the new folder `target`; memory stays below about 1 GB.

    Args:
        source: The published file, or one in its format.
        target: Folder to make; it appears only when complete.
        files: Number of ROOT files.
        seed: Seed of the draws that spread jets over files.
        max_jets: Number of jets after which to stop; None for all.

    Returns:
        Number of jets.

    Raises:
        UserError: if `target` exists, or `source` cannot be read or has another format.
    """
    if target.exists():
        raise UserError(f"'{target}' exists already; choose another folder.")
    if not source.is_file():
        raise UserError(f"There is no file '{source}'.")
    with outputs.workshop(target, "convert_jet_flavor") as parts:
        try:
            with replaced(parts / target.name) as folder:
                folder.mkdir()
                jets = _write(source, folder, files, seed, max_jets)
            os.replace(parts / target.name, target)
        finally:
            shutil.rmtree(parts)
    return jets


def _write(source: Path, folder: Path, files: int, seed: int, max_jets: int | None) -> int:
    """Spread the jets of `source` over files of `folder`; return their number."""
    generator = np.random.default_rng(seed)
    writers = [_Writer(folder / f"jets_{number:04d}.root") for number in range(files)]
    jets = 0
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
    """Writer of a ROOT file; jets wait in memory until there are enough for a basket.

    Args:
        path: File to make.
    """

    def __init__(self, path: Path):
        self._path = path
        self._waiting: list[ak.Array] = []
        self._jets = 0
        self._file: uproot.WritableDirectory | None = None

    def add(self, jets: ak.Array) -> None:
        """Add jets at the end."""
        self._waiting.append(jets)
        self._jets += len(jets)
        if self._jets >= _BASKET:
            self._flush()

    def close(self) -> None:
        """Write what waits and close the file."""
        if self._waiting:
            self._flush()
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        """Write the jets that wait as a basket of each branch."""
        jets = ak.concatenate(self._waiting)
        content = {name: jets[name] for name in (*_JET_BRANCHES, "jet_parton_flavour")}
        content["track"] = ak.zip({name.removeprefix("track_"): jets[name] for name in _TRACK_BRANCHES})
        if self._file is None:
            self._file = uproot.recreate(self._path, compression=uproot.ZLIB(1))
            self._file.mktree(JET_FLAVOR.tree, {name: values.type.content for name, values in content.items()})
        self._file[JET_FLAVOR.tree].extend(content)
        self._waiting, self._jets = [], 0


def _batches(source: Path, max_jets: int | None) -> Iterator[ak.Array]:
    """Jets of the published file, some thousands at a time."""
    lines = itertools.islice(_lines(source), max_jets)
    first = 1
    while block := list(itertools.islice(lines, _BATCH)):
        yield _parse(block, first, source)
        first += len(block)


def _lines(source: Path) -> Iterator[bytes]:
    """Lines of a gzipped file that are not blank."""
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
    """Jets of lines, fields as in the ROOT files; `first` is the number of the first line, `source` the file, for errors."""
    jets, tracks, counts = [], [], []
    for number, line in enumerate(lines, start=first):
        try:
            jet, jet_tracks = _parse_line(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"Line {number} of '{source}' is not a jet of Jet Flavor 2016: {error}.") from error
        jets.append(jet)
        tracks.extend(jet_tracks)
        counts.append(len(jet_tracks))
    jet_values = np.array(jets, np.float64)
    fields = {name: jet_values[:, column].astype(np.float32) for column, name in enumerate(_JET_BRANCHES, start=1)}
    fields["jet_parton_flavour"] = jet_values[:, 0].astype(np.int32)
    track_values = np.array(tracks, np.float32).reshape(-1, len(_TRACK_BRANCHES))
    for column, name in enumerate(_TRACK_BRANCHES):
        fields[name] = ak.unflatten(np.ascontiguousarray(track_values[:, column]), counts)
    return ak.Array(fields)


def _parse_line(line: bytes) -> tuple[list[float], list[list[float]]]:
    """Flavour and jet values of a line, and the values of each track.

    Raises:
        ValueError: if the line is not JSON or has another number of values.
        TypeError: if a list is no list.
    """
    for text, token in _NOT_FINITE:
        line = line.replace(text, token)
    pt, eta, flavour, track_based, vertex_based, tracks = json.loads(line)
    jet = [flavour, pt, eta, *track_based, *vertex_based]
    if len(jet) != 1 + len(_JET_BRANCHES) or any(tuple(map(len, track)) != _TRACK_PARTS for track in tracks):
        raise ValueError("it has another number of values")
    tracks = [list(itertools.chain.from_iterable(track)) for track in tracks]
    if not all(isinstance(value, int | float) for value in itertools.chain(jet, *tracks)):
        raise ValueError("a value is no number")
    if flavour not in range(-100, 101):
        raise ValueError(f"its flavour is {flavour}")
    return jet, tracks
