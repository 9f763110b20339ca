"""Particles → calorimeter towers → calibrated jets, as in the simulation of the Jet Flavor 2016 data set.

Towers measure 0.1 x 10° in (η, φ) up to |η| = 2.5 and 0.2 x 20° up to 3.2, where a jet with |η| < 2.5 ends.
"""

import dataclasses
from collections.abc import Callable

import awkward as ak
import fastjet
import numpy as np

from kerastag.simulation.generator import Particles
from kerastag.simulation.groups import Rows
from kerastag.simulation.helix import CURVATURE
from kerastag.simulation.kinematics import wrapped

# The tracker's volume, at whose surface particles enter the calorimeter, mm.
RADIUS = 1150.0
HALF_LENGTH = 3510.0
CONE = 0.4  # radius parameter of the jets
MINIMUM_PT = 20.0  # of jets before calibration, GeV
MAXIMUM_ETA = 2.5  # of jets
ELECTROMAGNETIC_THRESHOLD, HADRONIC_THRESHOLD = 0.5, 1.0  # of the parts of a tower, GeV

_COARSE_ETA = 3.2  # where the coarse towers end
_INVISIBLE = (12, 13, 14, 16)
_ELECTROMAGNETIC = (11, 22)
_KAON_LAMBDA = (310, 3122)
_KAON_LAMBDA_FRACTION = 0.3  # electromagnetic share of their energy


@dataclasses.dataclass
class CaloJets(Rows):
    """Calibrated jets.

    Attributes:
        event: int64 `(jets,)`, number of the event within the batch, ascending.
        pt: float64 `(jets,)`, transverse momentum after calibration, GeV.
        eta: float64 `(jets,)`, pseudorapidity.
        phi: float64 `(jets,)`, azimuth.
        raw_pt: float64 `(jets,)`, transverse momentum before calibration, GeV.
    """

    event: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    raw_pt: np.ndarray


def calibration(raw_pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Factor on the momentum of jets, `(jets,)`, for their transverse momentum in GeV and η."""
    return np.sqrt((3 - 0.2 * np.abs(eta)) ** 2 / raw_pt + 1)


def in_tracker(particles: Particles) -> np.ndarray:
    """Whether particles are made inside the tracker's volume, bool `(particles,)`; all others are lost."""
    x, y, z = particles.vertex.T
    return (np.hypot(x, y) <= RADIUS) & (np.abs(z) <= HALF_LENGTH)


@dataclasses.dataclass
class Towers(Rows):
    """Towers that particles enter, and what they leave there.

    Attributes:
        event: int64 `(towers,)`, number of the event within the batch, ascending.
        eta: float64 `(towers,)`, lower edge in η.
        phi: float64 `(towers,)`, lower edge in φ.
        size: int64 `(towers,)`, 1 or 2 times that of a fine tower.
        electromagnetic: float64 `(towers,)`, energy before measurement, GeV.
        hadronic: float64 `(towers,)`, energy before measurement, GeV.
    """

    event: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    size: np.ndarray
    electromagnetic: np.ndarray
    hadronic: np.ndarray


def find_jets(particles: Particles, events: int, rng: np.random.Generator) -> CaloJets:
    """Measure particles in towers and cluster these with the anti-kT algorithm, R = 0.4.

    Args:
        particles: Final particles, ordered by event.
        events: Number of events.
        rng: Source of randomness.
    """
    towers = fill_towers(particles)
    return cluster(towers, draw(len(towers), rng), events)


def fill_towers(particles: Particles) -> Towers:
    """Sum the energies of particles in towers.

    Args:
        particles: Final particles, ordered by event.
    """
    particles, phi = _at_calorimeter(particles)
    ring, sector, size = _tower_numbers(particles.eta, phi)
    _, first, tower = np.unique(_keys(particles.event, ring, sector), return_index=True, return_inverse=True)
    event, ring, sector, size = particles.event[first], ring[first], sector[first], size[first]
    low_eta = np.where(size == 1, (ring - 25) / 10, (ring - 100 - 0.5) / 5)
    low_phi = np.radians((sector - 18) * 10 * size)
    energy, fraction = particles.momentum[:, 3], _electromagnetic_fraction(particles.pdg)
    electromagnetic = np.bincount(tower, energy * fraction)
    hadronic = np.bincount(tower, energy * (1 - fraction))
    return Towers(event, low_eta, low_phi, size, electromagnetic, hadronic)


def draw(towers: int, rng: np.random.Generator) -> np.ndarray:
    """Random numbers of the measurement, `(towers, 4)`: two normal ones for energies, two uniform ones for the direction."""
    kinds = (rng.standard_normal, rng.standard_normal, rng.random, rng.random)
    return np.stack([kind(towers) for kind in kinds], axis=1)


def cluster(towers: Towers, noise: np.ndarray, events: int, minimum_pt: float = MINIMUM_PT) -> CaloJets:
    """Measure towers and find jets.

    Args:
        towers: Towers, ordered by event.
        noise: `(towers, 4)`, see `draw`.
        events: Number of events.
        minimum_pt: Smallest transverse momentum of a jet before calibration, GeV.
    """
    event, energy, eta, phi = measure(towers, noise)
    return _cluster(event, energy, eta, phi, events, minimum_pt)


def measure(towers: Towers, noise: np.ndarray) -> tuple[np.ndarray, ...]:
    """Event, energy in GeV, η and φ of every tower that measures something, ordered by event."""
    electromagnetic, hadronic = measured_energies(towers, noise)
    measured = electromagnetic + hadronic
    lit = measured > 0
    eta, phi = directions(towers, noise)
    return towers.event[lit], measured[lit], eta[lit], phi[lit]


def measured_energies(towers: Towers, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Electromagnetic and hadronic energy that towers measure, GeV, `(towers,)` each; arguments as of `measure`."""
    electromagnetic = _electromagnetic(towers.electromagnetic, noise[:, 0])
    return electromagnetic, _hadronic(towers.hadronic, center(towers), noise[:, 1])


def directions(towers: Towers, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """η and φ in which towers measure their energy, `(towers,)` each; arguments as of `measure`."""
    eta = towers.eta + 0.1 * towers.size * noise[:, 2]
    phi = towers.phi + np.radians(10) * towers.size * noise[:, 3]
    return eta, phi


def center(towers: Towers) -> np.ndarray:
    """|η| of the centre of towers, `(towers,)`."""
    return np.abs(towers.eta + 0.05 * towers.size)


def entered(towers: Towers, event: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Rows of the towers that lie in given directions, int64 `(n,)`; -1 where nothing was left in a tower.

    Args:
        towers: Towers in the order in which `fill_towers` makes them.
        event: int64 `(n,)`.
        eta: float64 `(n,)`, of absolute value below 3.2.
        phi: float64 `(n,)`, azimuth at the calorimeter.
    """
    ring, sector, _ = _tower_numbers(towers.eta + 0.05 * towers.size, towers.phi + np.radians(5) * towers.size)
    known = _keys(towers.event, ring, sector)
    ring, sector, _ = _tower_numbers(eta, phi)
    wanted = _keys(event, ring, sector)
    row = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    return np.where(known[row] == wanted, row, -1) if len(known) else np.full(len(wanted), -1)


def bend(charge: np.ndarray, pt: np.ndarray) -> np.ndarray:
    """Sine of the angle by which paths of charge and pT (GeV) turn up to the calorimeter; beyond ±1 they never get there.

    It is half the volume's radius over the radius of the path.
    """
    return CURVATURE * charge * RADIUS / 2 / pt


def _at_calorimeter(particles: Particles) -> tuple[Particles, np.ndarray]:
    """Particles that reach the calorimeter and leave energy there, and the azimuth at which each enters."""
    sine = bend(particles.charge, particles.pt)
    arrives = in_tracker(particles) & (np.abs(particles.eta) < _COARSE_ETA) & (np.abs(sine) < 1)
    arrives &= ~np.isin(np.abs(particles.pdg), _INVISIBLE)
    return particles.take(arrives), wrapped(particles.phi[arrives] - np.arcsin(sine[arrives]))


def _keys(event: np.ndarray, ring: np.ndarray, sector: np.ndarray) -> np.ndarray:
    """A number for each tower of each event, ascending with the event."""
    return (event * 200 + ring) * 40 + sector


def _tower_numbers(eta: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ring in η, sector in φ and size, 1 or 2 times that of a fine tower, of the tower at each direction."""
    fine = np.abs(eta) < MAXIMUM_ETA
    size = np.where(fine, 1, 2)
    ring = np.where(fine, np.floor(eta * 10) + 25, np.floor(eta * 5 + 0.5) + 100).astype(np.int64)
    return ring, np.floor(np.degrees(phi) / (10 * size)).astype(np.int64) + 18, size


def _electromagnetic_fraction(pdg: np.ndarray) -> np.ndarray:
    """Share of the energy of particles that is electromagnetic."""
    species = np.abs(pdg)
    fraction = np.where(np.isin(species, _ELECTROMAGNETIC), 1.0, 0.0)
    fraction[np.isin(species, _KAON_LAMBDA)] = _KAON_LAMBDA_FRACTION
    return fraction


def _electromagnetic(energy: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Measured electromagnetic energy, GeV."""
    return _measured(energy, electromagnetic_sigma, ELECTROMAGNETIC_THRESHOLD, noise)


def _hadronic(energy: np.ndarray, abs_eta: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Measured hadronic energy, GeV."""
    return _measured(energy, lambda energy: hadronic_sigma(energy, abs_eta), HADRONIC_THRESHOLD, noise)


def hadronic_sigma(energy: np.ndarray, abs_eta: np.ndarray) -> np.ndarray:
    """Uncertainty of hadronic energies, GeV, in towers whose centre has `abs_eta`."""
    barrel = np.sqrt((0.0302 * energy) ** 2 + 0.5205**2 * energy + 1.59**2)
    endcap = np.sqrt((0.05 * energy) ** 2 + 0.706**2 * energy)
    return np.where(abs_eta < 1.7, barrel, endcap)


def electromagnetic_sigma(energy: np.ndarray) -> np.ndarray:
    """Uncertainty of electromagnetic energies, GeV."""
    return np.sqrt((0.0017 * energy) ** 2 + 0.101**2 * energy)


def _measured(energy: np.ndarray, sigma: Callable[[np.ndarray], np.ndarray], threshold: float, noise: np.ndarray) -> np.ndarray:
    """Log-normal with mean `energy` and width `sigma(energy)`; 0 below `threshold` and where it is less than its own σ."""
    positive = np.maximum(energy, 1e-9)
    width = np.sqrt(np.log1p((sigma(positive) / positive) ** 2))
    measured = positive * np.exp(width * noise - width**2 / 2)
    return np.where((energy > 0) & (measured >= threshold) & (measured >= sigma(measured)), measured, 0.0)


def _cluster(
    event: np.ndarray, energy: np.ndarray, eta: np.ndarray, phi: np.ndarray, events: int, minimum_pt: float
) -> CaloJets:
    """Anti-kT jets of massless towers, calibrated, those with |η| <= 2.5."""
    pt = energy / np.cosh(eta)
    towers = ak.zip({"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta), "E": energy})
    towers = ak.unflatten(towers, np.bincount(event, minlength=events))
    algorithm = fastjet.JetDefinition(fastjet.antikt_algorithm, CONE)
    clusters = fastjet.ClusterSequence(towers, algorithm).inclusive_jets(min_pt=minimum_pt)
    event = np.repeat(np.arange(events), ak.to_numpy(ak.num(clusters)))
    px, py, pz = (ak.to_numpy(ak.flatten(clusters[axis])) for axis in ("px", "py", "pz"))
    raw_pt = np.hypot(px, py)
    eta = np.arcsinh(pz / raw_pt)
    jets = CaloJets(event, raw_pt * calibration(raw_pt, eta), eta, np.arctan2(py, px), raw_pt)
    return jets.take(np.abs(eta) <= MAXIMUM_ETA)
