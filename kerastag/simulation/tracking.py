"""Charged particles → reconstructed tracks: efficiency, and smearing with the covariance that is written out."""

import dataclasses
import functools

import numpy as np

from kerastag.simulation import helix, resolution
from kerastag.simulation.calorimeter import in_tracker
from kerastag.simulation.generator import Particles
from kerastag.simulation.groups import Rows
from kerastag.simulation.kinematics import wrapped

PION_MASS = 0.13957  # GeV, taken for every track
# Limits of the efficiency.
MINIMUM_PT = 0.1  # GeV
MAXIMUM_ETA = 2.5


@dataclasses.dataclass
class Tracks(Rows):
    """Reconstructed tracks. Nothing here tells what the particle was.

    Attributes:
        event: int64 `(tracks,)`, number of the event within the batch, ascending.
        parameters: float64 `(tracks, 5)`, smeared, in the order of `helix.PARAMETERS`, reference point the origin.
        covariance: float64 `(tracks, 5, 5)`, covariance of the smearing.
        pt: float64 `(tracks,)`, transverse momentum, GeV.
        eta: float64 `(tracks,)`, pseudorapidity.
    """

    event: np.ndarray
    parameters: np.ndarray
    covariance: np.ndarray
    pt: np.ndarray
    eta: np.ndarray

    @property
    def d0(self) -> np.ndarray:
        """Transverse impact parameter with its geometric sign, mm, `(tracks,)`."""
        return self.parameters[:, 0]

    @property
    def z0(self) -> np.ndarray:
        """Longitudinal impact parameter, mm, `(tracks,)`."""
        return self.parameters[:, 1]

    @property
    def phi(self) -> np.ndarray:
        """Azimuth at the perigee, `(tracks,)`."""
        return self.parameters[:, 2]

    @property
    def charge(self) -> np.ndarray:
        """Sign of the charge, `(tracks,)`."""
        return np.sign(self.parameters[:, 4])

    @functools.cached_property
    def momentum(self) -> np.ndarray:
        """Momentum px, py, pz and energy of a pion, GeV, `(tracks, 4)`."""
        pz = self.pt * np.sinh(self.eta)
        energy = np.sqrt(self.pt**2 + pz**2 + PION_MASS**2)
        return np.stack([self.pt * np.cos(self.phi), self.pt * np.sin(self.phi), pz, energy], axis=1)


def efficiency(particles: Particles) -> np.ndarray:
    """Probability `(particles,)` that a charged particle leaves a track."""
    pt, abs_eta, pdg = particles.pt, np.abs(particles.eta), np.abs(particles.pdg)
    soft, central = pt <= 1, abs_eta <= 1.5
    probability = np.where(central, np.where(soft, 0.70, 0.95), np.where(soft, 0.60, 0.85))
    electron = np.where(central, np.where(soft, 0.73, 0.95), np.where(soft, 0.50, 0.83))
    electron = np.where(pt > 100, np.where(central, 0.99, 0.90), electron)
    muon = np.where(central, np.where(soft, 0.75, 0.99), np.where(soft, 0.70, 0.98))
    probability = np.select([pdg == 11, pdg == 13], [electron, muon], probability)
    inside = (pt > MINIMUM_PT) & (abs_eta <= MAXIMUM_ETA) & in_tracker(particles)
    return np.where(inside & (particles.charge != 0), probability, 0.0)


def reconstruct(particles: Particles, physical: bool, rng: np.random.Generator) -> tuple[Tracks, np.ndarray, np.ndarray]:
    """Find and smear tracks.

    Args:
        particles: Final particles.
        physical: Whether resolutions grow with |η| as in a detector (see `resolution`).
        rng: Source of randomness.

    Returns:
        The tracks; the index of the particle behind each; and the unsmeared parameters `(tracks, 5)`.
    """
    index = np.flatnonzero(rng.random(len(particles)) < efficiency(particles))
    particles = particles.take(index)
    true = helix.perigee(particles.vertex, particles.momentum[:, :3], particles.charge)
    pt_bin, eta_bin = resolution.bins(particles.pt, particles.eta)
    table = resolution.covariances(physical)
    shift = np.einsum("tij,tj->ti", np.linalg.cholesky(table)[pt_bin, eta_bin], rng.standard_normal((len(index), 5)))
    smeared = true + shift
    smeared[:, 2] = wrapped(smeared[:, 2])
    pt = 1 / np.abs(smeared[:, 4]) / np.cosh(particles.eta)
    eta = -np.log(np.tan(smeared[:, 3] / 2))
    return Tracks(particles.event, smeared, table[pt_bin, eta_bin], pt, eta), index, true
