"""Files as columns of jets or events, some entries at a time: ROOT's TTree and RNTuple, Parquet, and two kinds of HDF5.

A column is an awkward array of one value, or a list of values, per entry. HDF5 files have structured arrays, as umami writes
them: `jets` of shape `(jets,)` and others of shape `(jets, slots)` whose field `valid` says which slots are filled. Their
columns are called `jets.pt`, `tracks.d0`, and so on. Or they have an array of numbers for each column, of the same shapes, such
as `fj_pt` and `track_dxy`. Nothing says which of its slots are filled, so padding is read like an object.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import uproot

from kerastag.errors import UserError

# Of a ROOT file, read at once; and entries and bytes of other files.
CHUNK, _ENTRIES, _BYTES = "64 MB", 20_000, 64_000_000
# Field of a structured array that says whether a slot is filled.
_VALID = "valid"

Columns = dict[str, ak.Array]


@dataclasses.dataclass(frozen=True)
class Table:
    """What a file holds, opened.

    Attributes:
        name: What it is, for messages.
        entries: Number of jets or events.
        branches: Names of the columns.
        chunks: Some columns of the entries from one to another, some at a time.
    """

    name: str
    entries: int
    branches: Collection[str]
    chunks: Callable[[Sequence[str], int, int], Iterator[Columns]]


@contextlib.contextmanager
def opened(path: Path, trees: Sequence[str]) -> Iterator[Table]:
    """A file, opened as its suffix says.

    Args:
        path: The file.
        trees: Paths of the tree in a ROOT file; the first that exists is read.

    Raises:
        UserError: if it cannot be opened or read, or has no such tree.
    """
    try:
        with _OPENERS.get(path.suffix, _root)(path, trees) as table:
            yield table
    except UserError:
        raise
    except Exception as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> UserError:
    """What to say of a file that a library cannot read; they raise many kinds on damaged files."""
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return UserError(f"'{path}' cannot be read, it may be damaged: {reason}")


@contextlib.contextmanager
def _root(path: Path, trees: Sequence[str]) -> Iterator[Table]:
    check_header(path)
    with uproot.open(path) as root:
        tree = _tree(root, path, trees)
        keys = branches_of(tree)
        branches = {*keys, *(key.rpartition("/")[2] for key in keys)}

        def chunks(names: Sequence[str], start: int, stop: int) -> Iterator[Columns]:
            for chunk in tree.iterate(names, step_size=CHUNK, entry_start=start, entry_stop=stop):
                yield {name: chunk[name] for name in names}

        yield Table(f"Tree '{tree.name}' in '{path}'", tree.num_entries, branches, chunks)


def branches_of(tree: Any) -> list[str]:
    """Names of branches; in an RNTuple of NanoAOD those at the top, where what anonymous collections hold has its names.

    uproot takes the square of their number to list these collections as well.
    """
    top = tree.keys(recursive=False)
    named = [name for name in top if not name.startswith("_collection")]
    return named if len(named) < len(top) else tree.keys()


def check_header(path: Path) -> None:
    """Check that a file is ROOT and as long as its header says; uproot reads a truncated file as far as it gets.

    Raises:
        UserError: if it is not.
    """
    with path.open("rb") as stream:
        header = stream.read(20)
    if len(header) < 20 or not header.startswith(b"root"):
        raise UserError(f"'{path}' is not a ROOT file.")
    version = int.from_bytes(header[4:8], "big")
    # TFile's fEND, of 8 bytes in files beyond 2 GB, which are marked by their version.
    end = int.from_bytes(header[12:20] if version >= 1_000_000 else header[12:16], "big")
    if path.stat().st_size < end:
        raise UserError(f"'{path}' is truncated: it has {path.stat().st_size:,} of {end:,} bytes.")


def _tree(root: uproot.ReadOnlyDirectory, path: Path, names: Sequence[str]) -> Any:
    """The first of the trees called `names` that the file has.

    Raises:
        UserError: if there is none.
    """
    for name in names:
        if name in root:
            if hasattr(root[name], "num_entries"):
                return root[name]
            raise UserError(f"'{name}' in '{path}' is a {root[name].classname}, not a tree.")
    expected = " or ".join(repr(name) for name in names) or "that the schema names"
    trees = ", ".join(repr(tree) for tree in trees_of(root))
    raise UserError(f"'{path}' has no tree {expected}; it holds {trees or 'no tree'}.")


def trees_of(root: uproot.ReadOnlyDirectory) -> list[str]:
    """Paths of all trees in a ROOT file."""
    return root.keys(recursive=True, cycle=False, filter_classname=["TTree", "TNtuple", "ROOT::RNTuple"])


@contextlib.contextmanager
def _parquet(path: Path, _: Sequence[str]) -> Iterator[Table]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:

        def chunks(names: Sequence[str], start: int, stop: int) -> Iterator[Columns]:
            groups, first = _row_groups(file.metadata, start, stop)
            for batch in file.iter_batches(_ENTRIES, groups, list(names)):
                inside = batch.slice(max(start - first, 0), max(stop - max(start, first), 0))
                first += len(batch)
                if len(inside):
                    yield {name: _without_option(ak.from_arrow(inside.column(name))) for name in names}

        yield Table(f"'{path}'", file.metadata.num_rows, set(file.schema_arrow.names), chunks)


def _row_groups(metadata: Any, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups of a Parquet file that hold the entries from `start` to `stop`, and the first entry of these groups."""
    ends = np.cumsum([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)], dtype=np.int64)
    first, last = int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(ends, stop, side="left"))
    return list(range(first, min(last + 1, len(ends)))), int(ends[first - 1]) if first else 0


def _without_option(values: ak.Array) -> ak.Array:
    """Parquet lets any value be missing; a number that is becomes NaN, a list that is becomes empty."""
    if values.ndim == 1:
        return ak.fill_none(values, np.nan) if ak.any(ak.is_none(values)) else ak.drop_none(values)
    return ak.drop_none(ak.fill_none(values, [], axis=0), axis=1)


@contextlib.contextmanager
def _hdf5(path: Path, _: Sequence[str]) -> Iterator[Table]:
    with h5py.File(path, "r") as file:
        arrays = {name: file[name] for name in file if _is_array(file, name)}
        structured = {name: array for name, array in arrays.items() if array.dtype.names}
        columns = _fields(structured) or _numbers(arrays)
        if not columns:
            raise UserError(
                f"'{path}' holds no arrays of jets: neither structured ones, as the framework umami writes, "
                "nor numbers of each quantity."
            )
        lengths = {len(array) for array, _ in columns.values()}
        if len(lengths) > 1:
            raise UserError(f"The arrays in '{path}' differ in their number of jets: {sorted(lengths)}.")
        (entries,) = lengths

        def chunks(names: Sequence[str], start: int, stop: int) -> Iterator[Columns]:
            # A structured array is read whole for any of its fields.
            sizes = [_bytes_of_entry(array) for array in structured.values() or [columns[name][0] for name in names]]
            step = max(1, min(_ENTRIES, _BYTES // (max(sizes) if structured else sum(sizes))))
            for first in range(start, stop, step):
                rows = slice(first, min(first + step, stop))
                yield {name: _column(*columns[name], rows) for name in names}

        yield Table(f"'{path}'", entries, set(columns), chunks)


def _fields(arrays: dict[str, h5py.Dataset]) -> dict[str, tuple[h5py.Dataset, str]]:
    """Fields of structured arrays by the name of their column."""
    return {f"{name}.{field}": (array, field) for name, array in arrays.items() for field in array.dtype.names}


def _numbers(arrays: dict[str, h5py.Dataset]) -> dict[str, tuple[h5py.Dataset, str]]:
    """Arrays of numbers, one or a list of them for each jet, by their name; they have no fields."""
    return {name: (array, "") for name, array in arrays.items() if array.ndim < 3 and array.dtype.kind in "biuf"}


def _bytes_of_entry(array: h5py.Dataset) -> int:
    return int(array.dtype.itemsize * math.prod(array.shape[1:]))


def _is_array(file: h5py.File, name: str) -> bool:
    """Whether a member is an array of this file; what lies in another one is not followed."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        return False
    array = file[name]
    return array.shape is not None and array.ndim > 0 and not array.external and not array.is_virtual


def _column(array: h5py.Dataset, field: str, rows: slice) -> ak.Array:
    """A field of some jets, "" for an array without any; of a structured one with slots the filled ones alone."""
    if not field:
        numbers = array[rows]
        # Awkward takes the byte order of this machine alone.
        return ak.from_regular(ak.Array(numbers.astype(numbers.dtype.newbyteorder("="))), axis=None)
    values = ak.Array(array.fields(field)[rows])
    if values.ndim == 1 or _VALID not in array.dtype.names:
        return ak.from_regular(values, axis=None)
    return ak.from_regular(values, axis=None)[ak.from_regular(array.fields(_VALID)[rows].astype(bool), axis=None)]


_OPENERS = {".root": _root, ".parquet": _parquet, ".h5": _hdf5, ".hdf5": _hdf5}
SUFFIXES = tuple(_OPENERS)
