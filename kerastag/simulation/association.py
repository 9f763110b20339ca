"""Which tracks lie in the cones of which jets."""

import dataclasses

import numpy as np

from kerastag.simulation.calorimeter import CONE, CaloJets
from kerastag.simulation.groups import all_pairs, group_sum
from kerastag.simulation.kinematics import wrapped
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


def cones(jets: CaloJets, tracks: Tracks, events: int) -> Cones:
    """Associate tracks with jets of the same event, both ordered by event."""
    jet, track = all_pairs(jets.event, tracks.event, events)
    delta_eta = tracks.eta[track] - jets.eta[jet]
    delta_phi = wrapped(tracks.phi[track] - jets.phi[jet])
    pairs = Cones(len(jets), jet, track, delta_eta, delta_phi)
    return pairs.take(pairs.delta_r <= CONE)
