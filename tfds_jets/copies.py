"""Jets that are copies of others, in the same file or another, which must not part company between splits."""

import numpy as np

# Odd multipliers of a universal hash come from this seed.
_SEED = 0


class Copies:
    """Finds jets with the features of an earlier jet, bit by bit, and sends them to its split.

    Args:
        features: Number of features.

    Attributes:
        number: Jets so far that are copies of earlier ones.
        moved: Those among them whose event or place would have put them into another split.
    """

    def __init__(self, features: int):
        self.number = 0
        self.moved = 0
        odd = np.random.default_rng(_SEED).integers(0, 2**63, features, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._multipliers = odd
        self._hashes = np.empty(0, np.uint64)
        self._splits = np.empty(0, np.int8)

    def place(self, features: np.ndarray, split: np.ndarray) -> np.ndarray:
        """The split of each jet: that of the first jet with the same features, or its own.

        Args:
            features: float32 `(jets, features)`.
            split: int64 `(jets,)`, the splits without regard to copies.

        Returns:
            int64 `(jets,)`.
        """
        hashes, first, inverse = np.unique(self._hash(features), return_index=True, return_inverse=True)
        of_first = split[first]
        place = np.searchsorted(self._hashes, hashes)
        known = place < len(self._hashes)
        known[known] = self._hashes[place[known]] == hashes[known]
        of_first[known] = self._splits[place[known]]
        placed = of_first[inverse]
        self.number += len(split) - int(np.count_nonzero(~known))
        self.moved += int(np.count_nonzero(placed != split))
        self._hashes = np.insert(self._hashes, place[~known], hashes[~known])
        self._splits = np.insert(self._splits, place[~known], of_first[~known])
        return placed

    def _hash(self, features: np.ndarray) -> np.ndarray:
        """A 64-bit hash of each jet, uint64 `(jets,)`: multiply-shift hashing of its bits (Dietzfelbinger et al., 1997)."""
        bits = np.ascontiguousarray(features).view(np.uint32).astype(np.uint64)
        # The high half of each product is mixed in, since differences of high bits alone vanish from the low one.
        products = bits * self._multipliers
        return (products ^ (products >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
