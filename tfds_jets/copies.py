"""Jets that are copies of others, in the same file or another, which must not part company between splits."""

import numpy as np

from kerastag.schema import Schema

# Odd multipliers of a universal hash come from this seed.
_SEED = 0
# A jet is known by so many measured numbers, each to so many bits of its mantissa; files store ten and more.
_CELLS, _BITS = 8, 5
_DROPPED = np.uint64(np.finfo(np.float32).nmant - _BITS)


class Hashes:
    """Hashes of jets by which copies are found, up to the rounding of stored numbers.

    A jet is known by its first eight measured values: neither whole numbers nor defaults nor special values. They are rounded
    to five bits of mantissa on two grids, half a step apart, since a value near an edge of one is far from those of the other.
    Copies agree on either. A jet with fewer such values is known by all its features, bit by bit.

    Args:
        schema: Schema of the features.
    """

    def __init__(self, schema: Schema):
        odd = np.random.default_rng(_SEED).integers(0, 2**63, len(schema.features), dtype=np.uint64) * np.uint64(2)
        self._multipliers = odd + np.uint64(1)
        self._measured = np.flatnonzero(~schema.integer)
        features = [schema.features[column] for column in self._measured]
        self._meant = [np.array([0.0, feature.default, *feature.special], np.float32) for feature in features]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The hash of each jet on either grid, uint64 `(2, jets)`, of float32 `(jets, features)`."""
        bits = np.ascontiguousarray(features).view(np.uint32).astype(np.uint64)
        measured = np.zeros(features.shape, bool)
        for column, meant in zip(self._measured, self._meant, strict=True):
            measured[:, column] = ~np.isin(features[:, column], meant)
        number = np.cumsum(measured, axis=1)
        few = number[:, -1:] < _CELLS
        counts = measured & (number <= _CELLS)
        half = np.uint64(1) << (_DROPPED - np.uint64(1))
        grids = ((bits + shift) >> _DROPPED for shift in (np.uint64(0), half))
        return np.stack([self._hash(np.where(few, bits, np.where(counts, grid, 0))) for grid in grids])

    def _hash(self, bits: np.ndarray) -> np.ndarray:
        """A 64-bit hash of each row, uint64 `(jets,)`: multiply-shift hashing (Dietzfelbinger et al., 1997)."""
        # The high half of each product is mixed in, since differences of high bits alone vanish from the low one.
        products = bits * self._multipliers
        return (products ^ (products >> np.uint64(32))).sum(axis=1, dtype=np.uint64)


class Copies:
    """Finds jets with the hashes of an earlier jet, and sends them to its split.

    Attributes:
        number: Jets so far that are copies of earlier ones.
        moved: Those among them whose event or place would have put them into another split.
    """

    def __init__(self) -> None:
        self.number = 0
        self.moved = 0
        self._first = (_Splits(), _Splits())

    def place(self, hashes: np.ndarray, split: np.ndarray) -> np.ndarray:
        """The split of each jet: that of the first jet that is the same, or its own.

        Args:
            hashes: uint64 `(2, jets)`, see `Hashes`.
            split: int `(jets,)`, the splits without regard to copies.

        Returns:
            int `(jets,)`, of the type of `split`.
        """
        placed, copied = split.copy(), np.zeros(len(split), bool)
        for first, of_jets in zip(self._first, hashes, strict=True):
            known, of_known = first.find(of_jets)
            placed[known & ~copied] = of_known[known & ~copied]
            copied |= known
        for of_jets in hashes:
            _, rows, inverse = np.unique(of_jets, return_index=True, return_inverse=True)
            placed = placed[rows[inverse]]
            copied |= rows[inverse] != np.arange(len(split))
        for first, of_jets in zip(self._first, hashes, strict=True):
            first.add(of_jets, placed)
        self.number += int(np.count_nonzero(copied))
        self.moved += int(np.count_nonzero(placed != split))
        return placed


class _Splits:
    """The split of the first jet with each hash."""

    def __init__(self) -> None:
        self._hashes = np.empty(0, np.uint64)
        self._splits = np.empty(0, np.int8)

    def find(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which hashes are known, bool `(jets,)`, and their splits; what the others have means nothing."""
        if not len(self._hashes):
            return np.zeros(len(hashes), bool), np.zeros(len(hashes), np.int8)
        place = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return self._hashes[place] == hashes, self._splits[place]

    def add(self, hashes: np.ndarray, splits: np.ndarray) -> None:
        """Keep the splits of the hashes that are new."""
        hashes, first = np.unique(hashes, return_index=True)
        new = ~self.find(hashes)[0]
        place = np.searchsorted(self._hashes, hashes[new])
        self._hashes = np.insert(self._hashes, place, hashes[new])
        self._splits = np.insert(self._splits, place, splits[first[new]])
