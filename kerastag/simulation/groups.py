"""Rows that belong to groups (tracks to jets, jets to events): sums, ranks and pairs without loops."""

import dataclasses
from typing import Self

import numpy as np


@dataclasses.dataclass
class Rows:
    """Base of dataclasses all of whose fields are arrays with one row for each object."""

    def __len__(self) -> int:
        return len(getattr(self, dataclasses.fields(self)[0].name))

    def take(self, rows: np.ndarray) -> Self:
        """The objects at `rows`, or where a boolean array is true."""
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})


def starts(counts: np.ndarray) -> np.ndarray:
    """First row of each run, from the lengths of the runs."""
    return np.cumsum(counts) - counts


def positions(order: np.ndarray) -> np.ndarray:
    """Position of each row in `order`, a permutation of the rows; int64 `(rows,)`."""
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    return position


def rank_in_group(group: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Position of each row in the descending order of `key` within its group; groups need not be neighbours."""
    order = np.lexsort((-key, group))
    return rank_in_run(group[order])[positions(order)]


def rank_in_run(group: np.ndarray) -> np.ndarray:
    """Position of each row within its group, int64 `(rows,)`; `group` is ascending."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def group_sum(group: np.ndarray, groups: int, values: np.ndarray | None = None) -> np.ndarray:
    """Sum of `values` `(rows,)` or `(rows, n)`, or the number of rows, for each of `groups` groups."""
    if values is None or values.ndim == 1:
        return np.bincount(group, values, minlength=groups)
    return np.stack([np.bincount(group, column, minlength=groups) for column in values.T], axis=1)


def all_pairs(left: np.ndarray, right: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs of a row of `left` and a row of `right` with the same group number.

    Args:
        left: int `(n,)`, group of each row.
        right: int `(m,)`, the same for the second collection, ascending.
        groups: Number of groups.

    Returns:
        Rows of `left`, ascending, and rows of `right`, int64 `(pairs,)` each.
    """
    counts = np.bincount(right, minlength=groups)
    partners = counts[left]
    row = np.repeat(np.arange(len(left)), partners)
    within = np.arange(len(row)) - np.repeat(starts(partners), partners)
    return row, starts(counts)[left[row]] + within
