"""What is in files of jets, column by column, for people who write a schema of their own."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from tfds_jets import sources

# Entries of a file that are looked at.
ENTRIES = 20_000
# Branches that are read at once.
_AT_ONCE = 200
# Values of a column that are listed, the most frequent first, and the share that one must have.
_LISTED, _FREQUENT = 60, 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """A branch, as far as it was looked at.

    Attributes:
        name: Its name.
        kind: Type of its numbers, such as "float32"; "" if it holds none.
        depth: 0 for a value in each entry, 1 for a list, 2 for a list of lists.
        lengths: Lengths of the lists in the innermost level, int64; empty for values.
        low, high: Smallest and largest finite value; NaN if there is none.
        next_to_low: Second smallest finite value.
        not_finite: Share of values that are not finite.
        whole: Whether all finite values are whole numbers.
        frequent: The most frequent values, each with its share, whole numbers in their order.
        distinct: Number of distinct values.
    """

    name: str
    kind: str
    depth: int
    lengths: np.ndarray
    low: float = float("nan")
    high: float = float("nan")
    next_to_low: float = float("nan")
    not_finite: float = 0.0
    whole: bool = False
    frequent: tuple[tuple[float, float], ...] = ()
    distinct: int = 0


def trees(path: Path) -> dict[str, tuple[int, int]]:
    """Paths of the trees in a ROOT file, with their numbers of entries and branches; none of any other file.

    Raises:
        UserError: if it cannot be read.
    """
    if path.suffix != ".root":
        return {}
    sources.check_header(path)
    try:
        with uproot.open(path) as root:
            return {name: (root[name].num_entries, len(sources.branches_of(root[name]))) for name in sources.trees_of(root)}
    except Exception as error:
        raise sources.damaged(path, error) from error


def columns(path: Path, tree: str, progress: Callable[[list[list[str]]], Iterable[list[str]]]) -> tuple[Column, ...]:
    """Columns of the first entries of a file.

    Args:
        path: The file.
        tree: Path of the tree in a ROOT file, "" for others.
        progress: Goes through portions of branches, and may show how far it is.

    Raises:
        UserError: if it cannot be read.
    """
    with sources.opened(path, (tree,)) as table:
        names = sorted(table.branches)
        # A TTree of nested branches has long and short names of the same.
        names = [name for name in names if "/" not in name or name.rpartition("/")[2] not in table.branches]
        # Lengths of lists, which uproot and NanoAOD write beside these.
        names = [name for name in names if not (name[:1] == "n" and any(other.startswith(name[1:]) for other in names))]
        portions = [names[first : first + _AT_ONCE] for first in range(0, len(names), _AT_ONCE)]
        return tuple(column for portion in progress(portions) for column in _some(table, portion))


def _some(table: sources.Table, names: Sequence[str]) -> Iterator[Column]:
    """Columns of some branches, read together where that is possible."""
    try:
        chunk = next(table.chunks(names, 0, table.entries), None)
    except Exception:  # uproot raises many kinds on branches that it cannot read; of these nothing is known, which is said
        if len(names) == 1:
            yield Column(names[0], "", 0, np.zeros(0, np.int64))
            return
        half = len(names) // 2
        yield from (*_some(table, names[:half]), *_some(table, names[half:]))
        return
    yield from (_column(name, chunk[name][:ENTRIES]) for name in names if chunk is not None)


def _column(name: str, values: ak.Array) -> Column:
    empty = np.zeros(0, np.int64)
    if values.fields or "string" in str(values.type) or "bytes" in str(values.type):
        return Column(name, "", 0, empty)
    depth = values.ndim - 1
    lengths = ak.to_numpy(ak.flatten(ak.num(values, axis=depth), axis=None)) if depth else empty
    flat = ak.to_numpy(ak.flatten(values, axis=None)) if depth else ak.to_numpy(values)
    kind = flat.dtype.name
    if flat.dtype.kind not in "biuf":
        return Column(name, "", depth, lengths)
    numbers = flat.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return Column(name, kind, depth, lengths, not_finite=float(len(numbers) > 0))
    distinct, counts = np.unique(finite, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_LISTED]
    shares = counts / len(finite)
    return Column(
        name=name,
        kind=kind,
        depth=depth,
        lengths=lengths,
        low=float(finite.min()),
        high=float(finite.max()),
        next_to_low=float(distinct[min(1, len(distinct) - 1)]),
        not_finite=1 - len(finite) / len(numbers),
        whole=bool((finite == np.round(finite)).all()),
        frequent=tuple((float(distinct[i]), float(shares[i])) for i in order if shares[i] >= _FREQUENT and counts[i] > 1),
        distinct=len(distinct),
    )
