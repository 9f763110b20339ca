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
        delta_eta: float64 `(pairs,)`, η of the track minus that of the jet.
        delta_phi: float64 `(pairs,)`, the same for φ.
    """

    jets: int
    jet: np.ndarray
    track: np.ndarray
    delta_eta: np.ndarray
    delta_phi: np.ndarray

    @property
    def delta_r(self) -> np.ndarray:
        """Distance between track and jet axis, `(pairs,)`."""
        return np.hypot(self.delta_eta, self.delta_phi)

    def take(self, rows: np.ndarray) -> "Cones":
        """The pairs at `rows`, which must keep the order of jets, or where a boolean array is true."""
        return Cones(self.jets, self.jet[rows], self.track[rows], self.delta_eta[rows], self.delta_phi[rows])

    def sum(self, values: np.ndarray | None = None) -> np.ndarray:
        """Sum of `values`, or the number of pairs, for each jet; `(jets,)` or, for `(pairs, n)`, `(jets, n)`."""
        return group_sum(self.jet, self.jets, values)


def cones(jets: CaloJets, tracks: Tracks, events: int) -> Cones:
    """Associate tracks with jets of the same event.

    Args:
        jets: Jets, ordered by event.
        tracks: Tracks, ordered by event.
        events: Number of events.
    """
    jet, track = all_pairs(jets.event, tracks.event, events)
    delta_eta = tracks.eta[track] - jets.eta[jet]
    delta_phi = wrapped(tracks.phi[track] - jets.phi[jet])
    pairs = Cones(len(jets), jet, track, delta_eta, delta_phi)
    return pairs.take(pairs.delta_r <= CONE)
