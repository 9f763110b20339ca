"""Particles → calorimeter towers → calibrated jets, as in the simulation of the Jet Flavor 2016 data set.

Towers measure 0.1 x 10° in (η, φ) up to |η| = 2.5 and 0.2 x 20° up to 3.2, where a jet with |η| < 2.5 ends.
"""

import dataclasses

import awkward as ak
import fastjet
import numpy as np

from kerastag.simulation.generator import Particles
from kerastag.simulation.groups import Rows
from kerastag.simulation.helix import CURVATURE, FIELD
from kerastag.simulation.kinematics import wrapped

RADIUS = 1150.0  # mm, of the tracker's volume, at whose end particles enter the calorimeter
HALF_LENGTH = 3510.0  # mm
CONE = 0.4
MINIMUM_PT = 20.0  # GeV, before calibration
MAXIMUM_ETA = 2.5

_COARSE_ETA = 3.2
_INVISIBLE = (12, 13, 14, 16)
_ELECTROMAGNETIC = (11, 22)
_KAON_LAMBDA = (310, 3122)
_KAON_LAMBDA_FRACTION = 0.3  # of their energy that is electromagnetic


@dataclasses.dataclass
class CaloJets(Rows):
    """Calibrated jets.

    Attributes:
        event: int64 `(jets,)`, number of the event within the batch, ascending.
        pt, eta, phi: Momentum after calibration, GeV.
        raw_pt: Transverse momentum before calibration, GeV.
    """

    event: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    raw_pt: np.ndarray

    def __len__(self) -> int:
        return len(self.event)


def calibration(raw_pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Factor on a jet's momentum."""
    return np.sqrt((3 - 0.2 * np.abs(eta)) ** 2 / raw_pt + 1)


def in_tracker(particles: Particles) -> np.ndarray:
    """Whether particles are made inside the tracker's volume; all others are lost."""
    x, y, z = particles.vertex.T
    return (np.hypot(x, y) <= RADIUS) & (np.abs(z) <= HALF_LENGTH)


def find_jets(particles: Particles, events: int, rng: np.random.Generator) -> CaloJets:
    """Measure the particles of `events` events in towers and cluster these with the anti-kT algorithm, R = 0.4."""
    event, energy, eta, phi = _towers(particles, rng)
    return _cluster(event, energy, eta, phi, events)


def _towers(particles: Particles, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Event, energy in GeV, η and φ of every tower that measures something, ordered by event."""
    pt, eta = particles.pt, particles.eta
    # A charged particle's path bends by the angle whose sine is half the volume's radius over its own.
    bend = CURVATURE * FIELD * particles.charge * RADIUS / 2 / pt
    arrives = in_tracker(particles) & (np.abs(eta) < _COARSE_ETA) & (np.abs(bend) < 1)
    arrives &= ~np.isin(np.abs(particles.pdg), _INVISIBLE)
    phi = wrapped(particles.phi[arrives] - np.arcsin(bend[arrives]))
    eta, event, energy = eta[arrives], particles.event[arrives], particles.momentum[arrives, 3]
    pdg = np.abs(particles.pdg[arrives])
    fraction = np.where(np.isin(pdg, _ELECTROMAGNETIC), 1.0, 0.0)
    fraction[np.isin(pdg, _KAON_LAMBDA)] = _KAON_LAMBDA_FRACTION
    ring = np.where(np.abs(eta) < MAXIMUM_ETA, np.floor(eta * 10) + 25, np.floor(eta * 5 + 0.5) + 100).astype(np.int64)
    size = np.where(np.abs(eta) < MAXIMUM_ETA, 1, 2)
    sector = np.floor(np.degrees(phi) / (10 * size)).astype(np.int64) + 18
    _, first, tower = np.unique((event * 200 + ring) * 40 + sector, return_index=True, return_inverse=True)
    size = size[first]
    low_eta = np.where(size == 1, (ring[first] - 25) / 10, (ring[first] - 100 - 0.5) / 5)
    low_phi = np.radians((sector[first] - 18) * 10 * size)
    center = low_eta + 0.05 * size
    electromagnetic = _electromagnetic(np.bincount(tower, energy * fraction), rng)
    hadronic = _hadronic(np.bincount(tower, energy * (1 - fraction)), np.abs(center), rng)
    measured = electromagnetic + hadronic
    lit = measured > 0
    tower_eta = low_eta + 0.1 * size * rng.random(len(first))
    tower_phi = low_phi + np.radians(10) * size * rng.random(len(first))
    return event[first][lit], measured[lit], tower_eta[lit], tower_phi[lit]


def _electromagnetic(energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Measured electromagnetic energy, GeV."""

    def sigma(energy):
        return np.sqrt((0.0017 * energy) ** 2 + 0.101**2 * energy)

    return _measured(energy, sigma, 0.5, rng)


def _hadronic(energy: np.ndarray, abs_eta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Measured hadronic energy, GeV."""
    central = abs_eta < 1.7

    def sigma(energy):
        barrel = np.sqrt((0.0302 * energy) ** 2 + 0.5205**2 * energy + 1.59**2)
        endcap = np.sqrt((0.05 * energy) ** 2 + 0.706**2 * energy)
        return np.where(central, barrel, endcap)

    return _measured(energy, sigma, 1.0, rng)


def _measured(energy: np.ndarray, sigma, threshold: float, rng: np.random.Generator) -> np.ndarray:
    """Log-normal with mean `energy` and width `sigma(energy)`; 0 below `threshold` and where it is less than its own σ."""
    positive = np.maximum(energy, 1e-9)
    width = np.sqrt(np.log1p((sigma(positive) / positive) ** 2))
    measured = positive * np.exp(width * rng.standard_normal(len(energy)) - width**2 / 2)
    return np.where((energy > 0) & (measured >= threshold) & (measured >= sigma(measured)), measured, 0.0)


def _cluster(event: np.ndarray, energy: np.ndarray, eta: np.ndarray, phi: np.ndarray, events: int) -> CaloJets:
    """Anti-kT jets of massless towers, calibrated, those with |η| <= 2.5."""
    pt = energy / np.cosh(eta)
    towers = ak.zip({"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta), "E": energy})
    towers = ak.unflatten(towers, np.bincount(event, minlength=events))
    algorithm = fastjet.JetDefinition(fastjet.antikt_algorithm, CONE)
    jets = fastjet.ClusterSequence(towers, algorithm).inclusive_jets(min_pt=MINIMUM_PT)
    event = np.repeat(np.arange(events), ak.to_numpy(ak.num(jets)))
    px, py, pz = (ak.to_numpy(ak.flatten(jets[axis])) for axis in ("px", "py", "pz"))
    raw_pt = np.hypot(px, py)
    eta = np.arcsinh(pz / raw_pt)
    found = CaloJets(event, raw_pt * calibration(raw_pt, eta), eta, np.arctan2(py, px), raw_pt)
    return found.take(np.abs(eta) <= MAXIMUM_ETA)
