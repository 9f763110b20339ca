"""Charged particles → reconstructed tracks: efficiency, and smearing with the covariance that is written out."""

import dataclasses
import functools

import numpy as np

from kerastag.simulation import helix, resolution
from kerastag.simulation.calorimeter import in_tracker
from kerastag.simulation.changes import Detector
from kerastag.simulation.generator import Particles
from kerastag.simulation.groups import Rows, all_pairs
from kerastag.simulation.kinematics import delta_r, wrapped

PION_MASS = 0.13957  # GeV, taken for every track
# Limits of the efficiency.
MINIMUM_PT = 0.1  # GeV
MAXIMUM_ETA = 2.5
# Distance in (η, φ) within which tracks disturb each other, and the transverse momentum, GeV, of those that do.
CORE, CORE_PT = 0.05, 0.5


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


@dataclasses.dataclass
class Found(Rows):
    """Charged particles that the nominal detector finds, with the random numbers of each.

    Attributes:
        particle: int64 `(found,)`, row among the final particles, ascending.
        uniform: float64 `(found,)`, the number below the efficiency for which it was found.
        normal: float64 `(found, 5)`, for the smearing.
    """

    particle: np.ndarray
    uniform: np.ndarray
    normal: np.ndarray


def find(particles: Particles, rng: np.random.Generator) -> Found:
    """Find tracks.

    Args:
        particles: Final particles.
        rng: Source of randomness.
    """
    uniform = rng.random(len(particles))
    particle = np.flatnonzero(uniform < efficiency(particles))
    return Found(particle, uniform[particle], rng.standard_normal((len(particle), 5)))


def reconstruct(
    particles: Particles, found: Found, physical: bool, detector: Detector
) -> tuple[Tracks, np.ndarray, np.ndarray]:
    """Smear tracks.

    Args:
        particles: Final particles.
        found: Those that are found.
        physical: Whether resolutions grow with |η| as in a detector (see `resolution`).
        detector: Changes of the detector. A loss of tracks takes those whose uniform number is just below the efficiency.

    Returns:
        The tracks; the index of the particle behind each; and the unsmeared parameters `(tracks, 5)`.
    """
    if detector.track_loss or detector.core_loss:
        found = found.take(_survives(particles.take(found.particle), found.uniform, detector))
    index = found.particle
    particles = particles.take(index)
    vertex = particles.vertex + np.array([detector.beam_spot, 0.0, 0.0])
    true = helix.perigee(vertex, particles.momentum[:, :3], particles.charge)
    tracks = smeared(particles.event, true, particles.pt, particles.eta, found.normal, physical, detector)
    return tracks, index, true


def smeared(
    event: np.ndarray,
    true: np.ndarray,
    pt: np.ndarray,
    eta: np.ndarray,
    normal: np.ndarray,
    physical: bool,
    detector: Detector,
) -> Tracks:
    """Measure tracks.

    Args:
        event: int64 `(tracks,)`.
        true: `(tracks, 5)`, parameters before smearing.
        pt: `(tracks,)`, generated transverse momentum, GeV.
        eta: `(tracks,)`, generated pseudorapidity.
        normal: `(tracks, 5)`, normal random numbers.
        physical: Whether resolutions grow with |η| as in a detector (see `resolution`).
        detector: Changes of the detector.
    """
    bins = resolution.bins(pt, eta)
    table = resolution.covariances(physical)
    shift = np.einsum("tij,tj->ti", np.linalg.cholesky(table)[bins], normal)
    told = 1 + np.array([detector.d0_resolution, detector.z0_resolution, 0.0, 0.0, 0.0])
    untold = 1 + np.array([detector.d0_resolution_untold, detector.z0_resolution_untold, 0.0, 0.0, 0.0])
    parameters = true + shift * told * untold
    parameters[:, 2] = wrapped(parameters[:, 2])
    parameters[:, 0] += detector.d0_bias + detector.d0_bias_phi * np.cos(2 * parameters[:, 2])
    parameters[:, 4] /= 1 + detector.momentum_scale
    covariance = (table * np.outer(told, told)).astype(np.float32).astype(np.float64)[bins]
    measured_pt = 1 / np.abs(parameters[:, 4]) / np.cosh(eta)
    measured_eta = -np.log(np.tan(parameters[:, 3] / 2))
    return Tracks(event, parameters, covariance, measured_pt, measured_eta)


def _survives(particles: Particles, uniform: np.ndarray, detector: Detector) -> np.ndarray:
    """Whether tracks that the nominal detector finds are found by a worse one, bool `(found,)`."""
    probability = efficiency(particles) * (1 - detector.track_loss)
    if detector.core_loss:
        probability *= (1 - detector.core_loss) ** _neighbours(particles)
    return uniform < probability


def _neighbours(particles: Particles) -> np.ndarray:
    """Number of other particles with pT > 0.5 GeV within `CORE` of each in its event, `(particles,)`."""
    hard = np.flatnonzero(particles.pt > CORE_PT)
    events = int(particles.event.max(initial=-1)) + 1
    row, partner = all_pairs(particles.event, particles.event[hard], events)
    partner = hard[partner]
    near = delta_r(particles.eta[row], particles.phi[row], particles.eta[partner], particles.phi[partner]) < CORE
    return np.bincount(row[near & (row != partner)], minlength=len(particles))
