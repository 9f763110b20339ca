"""Which split a jet belongs to: a hash of its event, so that no event straddles two splits and no run changes it."""

import numpy as np

FRACTIONS = {"train": 0.72, "validation": 0.08, "test": 0.20}


def split_of(spectators: dict[str, np.ndarray]) -> np.ndarray:
    """Index into `FRACTIONS` for each jet, int64 `(jets,)`.

    Args:
        spectators: `event`, `source` and `entry`, each `(jets,)`. Jets without an event id (negative) go by their entry.
    """
    by_entry = _mix(spectators["source"].astype(np.uint64) ^ _mix(spectators["entry"].astype(np.uint64)))
    by_event = _mix(spectators["event"].astype(np.uint64))
    uniform = np.where(spectators["event"] < 0, by_entry, by_event) / 2.0**64
    return np.searchsorted(np.cumsum(list(FRACTIONS.values()))[:-1], uniform, side="right")


def _mix(value: np.ndarray) -> np.ndarray:
    """Scramble 64-bit words; the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, fig. 16)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def straying_fractions(counts: np.ndarray, sigmas: float = 4.0) -> list[tuple[int, int]]:
    """Which flavour fractions differ from those of all jets by more than statistics allow.

    Args:
        counts: int `(splits, classes)`.
        sigmas: Limit in binomial standard deviations.

    Returns:
        Pairs (split, class).
    """
    total = counts.sum(axis=1, keepdims=True)
    expected = counts.sum(axis=0) / counts.sum()
    sigma = np.sqrt(total * expected * (1 - expected))
    return [(int(split), int(label)) for split, label in np.argwhere(abs(counts - total * expected) > sigmas * sigma)]
