"""Tracks that no particle of the hard collision left: of random hits, and of further collisions.

Their random numbers come from generators of their own, one for each event, so nothing else of the event changes.
"""

import functools
import zlib
from collections.abc import Sequence

import numpy as np

from kerastag.simulation import helix, tracking
from kerastag.simulation.changes import Detector
from kerastag.simulation.generator import FAKE, PILE_UP, Generator, Particles
from kerastag.simulation.groups import starts
from kerastag.simulation.kinematics import wrapped
from kerastag.simulation.settings import BEAM_SPOT, SimulationSettings
from kerastag.simulation.tracking import Tracks

# Fake tracks: pT = minimum + exponential, GeV; distance to a true track in η and φ; |d0| at most, mm; σ of z0 around it, mm.
_FAKE_PT, _FAKE_MEAN_PT = 0.5, 1.0
_FAKE_SPREAD = 0.1
_FAKE_D0 = 2.0
_FAKE_Z0 = 1.0
# Further collisions: distances in z between two of them, mm; tracks farther than the window from the hard one are not used.
_SPACING = np.sqrt(2) * BEAM_SPOT[2]
PILE_UP_WINDOW = 2.0  # mm
_PILE_UP_REACH = 10.0  # mm, beyond which a collision has no tracks within the window
_POOL = 500  # soft collisions, each used many times, turned around the beam line


def generators(seed: int, purpose: str, events: np.ndarray) -> list[np.random.Generator]:
    """A random generator for each event.

    Args:
        seed: Seed of the sample.
        purpose: What it is for; each purpose has its own numbers.
        events: int64 `(events,)`, numbers of the events in the file.
    """
    return [np.random.default_rng([seed, zlib.crc32(purpose.encode()), event]) for event in events.tolist()]


def add(
    tracks: Tracks, particle: np.ndarray, detector: Detector, physical: bool, seed: int, events: np.ndarray
) -> tuple[Tracks, np.ndarray]:
    """Add fake tracks and those of further collisions.

    Args:
        tracks: Tracks, ordered by event.
        particle: int64 `(tracks,)`, row of the particle behind each.
        detector: Changes of the detector.
        physical: Whether resolutions grow with |η| (see `resolution`).
        seed: Seed of the sample.
        events: int64 `(events,)`, numbers of the events in the file.

    Returns:
        All tracks, ordered by event, and the particle behind each: its row, or FAKE or PILE_UP where there is none.
    """
    parts, behind = [tracks], [particle]
    if detector.fakes:
        parts.append(_fakes(tracks, detector, physical, generators(seed, "fakes", events)))
        behind.append(np.full(len(parts[-1]), FAKE))
    if detector.pile_up:
        parts.append(_pile_up(detector, physical, soft_tracks(seed), generators(seed, "pile-up", events)))
        behind.append(np.full(len(parts[-1]), PILE_UP))
    if len(parts) == 1:
        return tracks, particle
    joined = _joined(parts)
    order = np.argsort(joined.event, kind="stable")
    return joined.take(order), np.concatenate(behind)[order]


def _joined(parts: Sequence[Tracks]) -> Tracks:
    names = ("event", "parameters", "covariance", "pt", "eta")
    return Tracks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _fakes(tracks: Tracks, detector: Detector, physical: bool, rngs: list[np.random.Generator]) -> Tracks:
    """Fake tracks: a Poisson number in each event, each near the direction and the z0 of some track, d0 uniform."""
    counts = np.bincount(tracks.event, minlength=len(rngs))
    numbers = [rng.poisson(detector.fakes * count) for rng, count in zip(rngs, counts.tolist(), strict=True)]
    drawn = [
        np.column_stack([rng.random((number, 3)), rng.standard_normal((number, 8)), rng.exponential(size=number)])
        for rng, number in zip(rngs, numbers, strict=True)
    ]
    event, draws = np.repeat(np.arange(len(rngs)), numbers), np.concatenate(drawn)
    near = starts(counts)[event] + (draws[:, 0] * counts[event]).astype(np.int64)
    eta = np.clip(tracks.eta[near] + _FAKE_SPREAD * draws[:, 3], -tracking.MAXIMUM_ETA, tracking.MAXIMUM_ETA)
    phi = wrapped(tracks.phi[near] + _FAKE_SPREAD * draws[:, 4])
    pt = _FAKE_PT + _FAKE_MEAN_PT * draws[:, -1]
    d0 = _FAKE_D0 * (2 * draws[:, 1] - 1)
    charge = np.where(draws[:, 2] < 0.5, 1.0, -1.0)
    z0 = tracks.z0[near] + _FAKE_Z0 * draws[:, 5]
    true = np.stack([d0, z0, phi, 2 * np.arctan(np.exp(-eta)), charge / (pt * np.cosh(eta))], axis=1)
    return tracking.smeared(event, true, pt, eta, draws[:, 6:11], physical, detector)


@functools.lru_cache(maxsize=1)
def soft_tracks(seed: int) -> tuple[Particles, np.ndarray]:
    """Charged particles of a pool of inelastic collisions that the tracker sees, and their efficiency."""
    particles = Generator("soft", SimulationSettings(mpi=True)).generate(_POOL, 1 + seed % 900_000_000).final
    efficiency = tracking.efficiency(particles)
    seen = efficiency > 0
    return particles.take(seen), efficiency[seen]


def _pile_up(detector: Detector, physical: bool, pool: tuple[Particles, np.ndarray], rngs: list[np.random.Generator]) -> Tracks:
    """Tracks of a Poisson number of soft collisions along z that lie within the window around the hard collision."""
    particles, efficiency = pool
    counts = np.bincount(particles.event, minlength=_POOL)
    first = starts(counts)
    rows, event, z, turn, uniform, normal = [], [], [], [], [], []
    for number, rng in enumerate(rngs):
        position = rng.normal(0.0, _SPACING, rng.poisson(detector.pile_up))
        position = position[np.abs(position) < _PILE_UP_REACH]
        collision = rng.integers(0, _POOL, len(position))
        length = counts[collision]
        tracks = int(length.sum())
        rows.append(np.repeat(first[collision] - starts(length), length) + np.arange(tracks))
        event.append(np.full(tracks, number))
        z.append(np.repeat(position, length))
        turn.append(np.repeat(rng.uniform(-np.pi, np.pi, len(position)), length))
        uniform.append(rng.random(tracks))
        normal.append(rng.standard_normal((tracks, 5)))
    row = np.concatenate(rows)
    found = np.concatenate(uniform) < efficiency[row] * (1 - detector.track_loss)
    row = row[found]
    true = helix.perigee(particles.vertex[row], particles.momentum[row, :3], particles.charge[row])
    true[:, 1] += np.concatenate(z)[found]
    true[:, 2] = wrapped(true[:, 2] + np.concatenate(turn)[found])
    true[:, 0] += detector.beam_spot * np.sin(true[:, 2])
    events, noise = np.concatenate(event)[found], np.concatenate(normal)[found]
    measured = tracking.smeared(events, true, particles.pt[row], particles.eta[row], noise, physical, detector)
    return measured.take(np.abs(measured.z0) < PILE_UP_WINDOW)
