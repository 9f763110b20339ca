"""Which tracks lie in the cones of which jets, and sums over runs of rows."""

import dataclasses

import numpy as np

from kerastag.simulation.calorimeter import CONE, CaloJets, wrapped
from kerastag.simulation.tracking import Tracks


@dataclasses.dataclass
class Cones:
    """Pairs of a jet and a track within ΔR <= 0.4 of its axis, ordered by jet; a track can lie in two cones.

    Attributes:
        jets: Number of jets.
        jet: int64 `(pairs,)`.
        track: int64 `(pairs,)`.
        delta_eta, delta_phi: float64 `(pairs,)`, track minus jet.
    """

    jets: int
    jet: np.ndarray
    track: np.ndarray
    delta_eta: np.ndarray
    delta_phi: np.ndarray

    @property
    def delta_r(self) -> np.ndarray:
        """Distance between track and jet axis."""
        return np.hypot(self.delta_eta, self.delta_phi)

    def take(self, index: np.ndarray) -> "Cones":
        """The pairs at `index`, which must keep the order of jets, or where a boolean `index` is true."""
        return Cones(self.jets, self.jet[index], self.track[index], self.delta_eta[index], self.delta_phi[index])

    def sum(self, values: np.ndarray | None = None) -> np.ndarray:
        """Sum of `values`, or the number of pairs, for each jet; `(jets,)` or, for `(pairs, n)`, `(jets, n)`."""
        return group_sum(self.jet, self.jets, values)


def group_sum(group: np.ndarray, groups: int, values: np.ndarray | None = None) -> np.ndarray:
    """Sum of `values` `(rows,)` or `(rows, n)`, or the number of rows, for each of `groups` groups."""
    if values is None or values.ndim == 1:
        return np.bincount(group, values, minlength=groups)
    return np.stack([np.bincount(group, column, minlength=groups) for column in values.T], axis=1)


def cones(jets: CaloJets, tracks: Tracks, events: int) -> Cones:
    """Associate tracks with jets of the same event, both ordered by event."""
    jet, track = all_pairs(jets.event, tracks.event, events)
    delta_eta = tracks.eta[track] - jets.eta[jet]
    delta_phi = wrapped(tracks.phi[track] - jets.phi[jet])
    pairs = Cones(len(jets), jet, track, delta_eta, delta_phi)
    return pairs.take(pairs.delta_r <= CONE)


def all_pairs(one: np.ndarray, two: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs of a row of `one` and a row of `two` with the same group number.

    Args:
        one: int `(n,)`, group of each row.
        two: int `(m,)`, the same for the second collection, ascending.
        groups: Number of groups.
    """
    counts = np.bincount(two, minlength=groups)
    first = np.cumsum(counts) - counts
    repeats = counts[one]
    left = np.repeat(np.arange(len(one)), repeats)
    within = np.arange(len(left)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return left, first[one[left]] + within


def mass(momentum: np.ndarray) -> np.ndarray:
    """Invariant mass of four-vectors (px, py, pz, E), `(n, 4)`, GeV; rounding below zero gives 0."""
    return np.sqrt(np.maximum(momentum[:, 3] ** 2 - (momentum[:, :3] ** 2).sum(axis=1), 0.0))


def directions(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pseudorapidity and azimuth of vectors `(n, 3)`; along the beam line the former is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = np.arcsinh(vectors[:, 2] / np.hypot(vectors[:, 0], vectors[:, 1]))
    return eta, np.arctan2(vectors[:, 1], vectors[:, 0])
