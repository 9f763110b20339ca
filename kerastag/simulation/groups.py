"""Rows that belong to groups (tracks to jets, jets to events): sums, ranks and pairs without loops."""

import dataclasses
from typing import Self

import numpy as np


class Rows:
    """Base of dataclasses all of whose fields are arrays with one row per object."""

    def take(self, index: np.ndarray) -> Self:
        """The objects at `index`, or where a boolean `index` is true."""
        return type(self)(**{field.name: getattr(self, field.name)[index] for field in dataclasses.fields(self)})


def starts(counts: np.ndarray) -> np.ndarray:
    """First row of each run."""
    return np.cumsum(counts) - counts


def rank_in_group(group: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Position of each row in the descending order of `key` within its group; groups need not be neighbours."""
    order = np.lexsort((-key, group))
    ordered = group[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(first, np.diff(first, append=len(group)))
    return rank


def group_sum(group: np.ndarray, groups: int, values: np.ndarray | None = None) -> np.ndarray:
    """Sum of `values` `(rows,)` or `(rows, n)`, or the number of rows, for each of `groups` groups."""
    if values is None or values.ndim == 1:
        return np.bincount(group, values, minlength=groups)
    return np.stack([np.bincount(group, column, minlength=groups) for column in values.T], axis=1)


def all_pairs(one: np.ndarray, two: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs of a row of `one` and a row of `two` with the same group number.

    Args:
        one: int `(n,)`, group of each row.
        two: int `(m,)`, the same for the second collection, ascending.
        groups: Number of groups.
    """
    counts = np.bincount(two, minlength=groups)
    first = starts(counts)
    repeats = counts[one]
    left = np.repeat(np.arange(len(one)), repeats)
    within = np.arange(len(left)) - np.repeat(starts(repeats), repeats)
    return left, first[one[left]] + within
