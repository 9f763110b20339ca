"""Neutral particles as an experiment with particle flow sees them: energy in towers beyond that of the tracks that enter them.

A tower gives at most one photon and one neutral hadron, both in the direction that the tower measures. Tracks count with
their momentum, electrons in the electromagnetic part, all others in the hadronic one; muons leave nothing. What tracks leave is
not measured apart, so an upward fluctuation of a charged hadron can look like a neutral one, and the neutral energy beneath a
charged hadron can be lost, as in a detector.

Reference: CMS, "Particle-flow reconstruction and global event description", JINST 12 (2017) P10003, section 4.
"""

import dataclasses

import numpy as np

from kerastag.simulation import calorimeter
from kerastag.simulation.groups import Rows
from kerastag.simulation.kinematics import wrapped
from kerastag.simulation.tracking import Tracks


@dataclasses.dataclass
class Neutrals(Rows):
    """Photons and neutral hadrons, all massless.

    Attributes:
        event: int64 `(neutrals,)`, number of the event within the batch, ascending.
        energy: float64 `(neutrals,)`, GeV.
        eta: float64 `(neutrals,)`, pseudorapidity.
        phi: float64 `(neutrals,)`, azimuth.
        photon: bool `(neutrals,)`, whether it is one.
    """

    event: np.ndarray
    energy: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    photon: np.ndarray

    @property
    def pt(self) -> np.ndarray:
        """Transverse momentum, GeV, `(neutrals,)`."""
        return self.energy / np.cosh(self.eta)


def energy_flow(
    towers: calorimeter.Towers, noise: np.ndarray, tracks: Tracks, electron: np.ndarray, muon: np.ndarray
) -> Neutrals:
    """Find the neutral particles of events.

    Args:
        towers: Towers, as `calorimeter.fill_towers` makes them.
        noise: `(towers, 4)`, random numbers of their measurement.
        tracks: Tracks, ordered by event.
        electron: bool `(tracks,)`, which of them are electrons.
        muon: bool `(tracks,)`, which are muons.
    """
    tower = _towers_of(tracks, towers)
    energy = tracks.momentum[:, 3]

    def expected(kind: np.ndarray) -> np.ndarray:
        rows = kind & (tower >= 0)
        return np.bincount(tower[rows], energy[rows], minlength=len(towers))

    of_electrons, of_hadrons = expected(electron), expected(~electron & ~muon)
    electromagnetic, hadronic = calorimeter.measured_energies(towers, noise)
    hadronic_sigma = calorimeter.hadronic_sigma(of_hadrons, calorimeter.center(towers))
    excess = np.concatenate([electromagnetic - of_electrons, hadronic - of_hadrons])
    charged = np.concatenate([of_electrons, of_hadrons])
    sigma = np.concatenate([calorimeter.electromagnetic_sigma(of_electrons), hadronic_sigma])
    threshold = np.repeat([calorimeter.ELECTROMAGNETIC_THRESHOLD, calorimeter.HADRONIC_THRESHOLD], len(towers))
    eta, phi = calorimeter.directions(towers, noise)
    photon = np.arange(len(excess)) < len(towers)
    neutrals = Neutrals(np.tile(towers.event, 2), excess, np.tile(eta, 2), np.tile(wrapped(phi), 2), photon)
    exists = (excess >= threshold) & (excess >= np.where(charged > 0, sigma, 0.0))
    return neutrals.take(np.flatnonzero(exists)[np.argsort(neutrals.event[exists], kind="stable")])


def _towers_of(tracks: Tracks, towers: calorimeter.Towers) -> np.ndarray:
    """Row of the tower that each track enters, int64 `(tracks,)`; -1 where it enters none, or none with energy."""
    sine = calorimeter.bend(tracks.charge, tracks.pt)
    arrives = np.abs(sine) < 1
    phi = wrapped(tracks.phi - np.arcsin(np.where(arrives, sine, 0.0)))
    return np.where(arrives, calorimeter.entered(towers, tracks.event, tracks.eta, phi), -1)
