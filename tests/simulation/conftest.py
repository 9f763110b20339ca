"""A few thousand simulated events of each process, with truth, for all tests of the simulation."""

import dataclasses

import numpy as np
import pytest

from kerastag.simulation import calorimeter, tracking, truth
from kerastag.simulation.generator import Events, Generator
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.unit import reconstructed

EVENTS = {"bottom": 3000, "charm": 2000, "light": 4000}


@dataclasses.dataclass
class Batch:
    """Events of one process and everything that was made of them.

    Attributes:
        events: Generated events.
        jets: Calorimeter jets.
        tracks: Tracks.
        particle: Row among the final particles of the particle behind each track.
        true: Parameters of the tracks without smearing.
        jet: Jet branches.
        track: Track branches.
        counts: Listed tracks of each jet.
    """

    events: Events
    jets: calorimeter.CaloJets
    tracks: tracking.Tracks
    particle: np.ndarray
    true: np.ndarray
    jet: dict[str, np.ndarray]
    track: dict[str, np.ndarray]
    counts: np.ndarray


def simulate(process: str, count: int, settings: SimulationSettings, seed: int = 11) -> Batch:
    """Make a batch of events of a process."""
    events = Generator(process, settings).generate(count, seed)
    rng = np.random.default_rng(seed)
    jets = calorimeter.find_jets(events.final, events.count, rng)
    found = tracking.find(events.final, rng)
    tracks, particle, true = tracking.reconstruct(events.final, found, settings.physical_resolution, settings.changes[0])
    columns, listed = reconstructed(jets, tracks, events.count)
    columns.jets |= truth.jet_truth(jets, events)
    columns.tracks["origin"] = events.origin[particle[listed]]
    return Batch(events, jets, tracks, particle, true, columns.jets, columns.tracks, columns.counts)


@pytest.fixture(scope="session")
def batches() -> dict[str, Batch]:
    """Batches of all three processes."""
    return {process: simulate(process, count, SimulationSettings()) for process, count in EVENTS.items()}


@pytest.fixture(scope="session")
def sample(batches) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Jet and track columns of all processes together, jets without listed tracks included.

    Tracks have the flavour of their jet beside them, `flavour`, and its number, `jet`.
    """
    parts = list(batches.values())
    jets = {name: np.concatenate([part.jet[name] for part in parts]) for name in parts[0].jet}
    jets["counts"] = np.concatenate([part.counts for part in parts])
    tracks = {name: np.concatenate([part.track[name] for part in parts]) for name in parts[0].track}
    tracks["jet"] = np.repeat(np.arange(len(jets["counts"])), jets["counts"])
    tracks["flavour"] = jets["jet_parton_flavour"][tracks["jet"]]
    return jets, tracks
