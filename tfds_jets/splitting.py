"""Splits of jets by a hash of their event, so that no event straddles two splits and no run changes them."""

import numpy as np

FRACTIONS = {"train": 0.72, "validation": 0.08, "test": 0.20}


def split_of(spectators: dict[str, np.ndarray]) -> np.ndarray:
    """Choose the split of each jet.

    Args:
        spectators: `source`, `entry` and, where the schema has it, `event`, each int64 `(jets,)`. Jets without an event, whose
            number is negative, are split by source and entry.

    Returns:
        Index into `FRACTIONS`, int64 `(jets,)`.
    """
    by_entry = _hash_of_entry(spectators)
    event = spectators.get("event", np.full(by_entry.shape, -1))
    uniform = np.where(event < 0, by_entry, _mix(event.astype(np.uint64))) / 2.0**64
    return np.searchsorted(np.cumsum(list(FRACTIONS.values()))[:-1], uniform, side="right")


def chosen(spectators: dict[str, np.ndarray], share: float) -> np.ndarray:
    """Choose a share of jets by a hash of their place in the files, independent of their split.

    Args:
        spectators: `source` and `entry`, each int64 `(jets,)`.
        share: Between 0 and 1, which takes all.

    Returns:
        bool `(jets,)`.
    """
    return _mix(~_hash_of_entry(spectators)) / 2.0**64 < share if share < 1 else np.ones(len(spectators["entry"]), bool)


def _hash_of_entry(spectators: dict[str, np.ndarray]) -> np.ndarray:
    return _mix(spectators["source"].astype(np.uint64) ^ _mix(spectators["entry"].astype(np.uint64)))


def _mix(value: np.ndarray) -> np.ndarray:
    """Scramble 64-bit words; the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, fig. 16)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def straying_fractions(counts: np.ndarray, sigmas: float = 4.0) -> list[tuple[int, int]]:
    """Find flavour fractions that differ from those of all jets by more than statistics allow.

    Args:
        counts: int `(splits, classes)`.
        sigmas: Limit in binomial standard deviations.

    Returns:
        Pairs of a split and a class.
    """
    total = counts.sum(axis=1, keepdims=True)
    expected = counts.sum(axis=0) / counts.sum()
    sigma = np.sqrt(total * expected * (1 - expected))
    return [(int(split), int(label)) for split, label in np.argwhere(abs(counts - total * expected) > sigmas * sigma)]
