"""One unit of a sample: a fixed number of events of each process, from generation to the columns of the file.

A unit depends on the settings and its number alone, so units can be made in any order by any number of processes.
"""

import dataclasses
import time

import numpy as np

from kerastag.simulation import calorimeter, tracking, truth
from kerastag.simulation.association import cones
from kerastag.simulation.deepcsv_inputs import deepcsv_inputs
from kerastag.simulation.generator import Events, Generator
from kerastag.simulation.groups import starts
from kerastag.simulation.jet_inputs import jet_inputs, primary_vertices
from kerastag.simulation.settings import PROCESSES, SimulationSettings


@dataclasses.dataclass
class Unit:
    """The jets of one unit.

    Attributes:
        jets: Jet branches, each `(jets,)`, ordered by event.
        tracks: Track branches, each `(listed tracks,)`, ordered by jet.
        counts: int64 `(jets,)`, listed tracks of each jet.
        events: Events generated.
        unlisted: Jets left out because none of their tracks belongs to a vertex, as in the published data set.
        generator_seconds: Time spent in Pythia.
        seconds: Time in all.
    """

    jets: dict[str, np.ndarray]
    tracks: dict[str, np.ndarray]
    counts: np.ndarray
    events: int
    unlisted: int
    generator_seconds: float
    seconds: float


class Simulation:
    """Makes units; one for each process of the operating system."""

    def __init__(self, settings: SimulationSettings):
        self.settings = settings
        self._generators = {name: Generator(name, settings) for name in PROCESSES}

    def unit(self, number: int) -> Unit:
        """Make the unit of this number."""
        started = time.perf_counter()
        parts, in_generator, events, unlisted = [], 0.0, 0, 0
        for process, (name, count) in enumerate(self.settings.process_events.items()):
            seed = np.random.SeedSequence([self.settings.seed, number, process])
            rng = np.random.default_rng(seed)
            before = time.perf_counter()
            batch = self._generators[name].generate(count, int(rng.integers(1, 900_000_000)))
            in_generator += time.perf_counter() - before
            jets, tracks, counts = self._columns(batch, rng)
            jets["process"] = np.full(len(counts), process)
            jets["event"] = jets["event"] + events
            parts.append((jets, tracks, counts))
            events += count
            unlisted += int((counts == 0).sum())
        order = np.random.default_rng([self.settings.seed, number]).permutation(events)
        jets, tracks, counts = _shuffled(parts, order)
        jets["event"] = jets["event"] + number * events
        return Unit(jets, tracks, counts, events, unlisted, in_generator, time.perf_counter() - started)

    def _columns(self, events: Events, rng: np.random.Generator) -> tuple[dict, dict, np.ndarray]:
        """Detector, reconstruction and truth of a batch: jet branches, track branches, tracks of each jet."""
        jets = calorimeter.find_jets(events.final, events.count, rng)
        tracks, found, _ = tracking.reconstruct(events.final, self.settings.physical_resolution, rng)
        jet_columns, track_columns, counts, rows = reconstructed(jets, tracks, events.count)
        jet_columns |= truth.jet_truth(jets, events)
        if self.settings.hadron_labels:
            jet_columns["jet_parton_flavour"] = jet_columns["jet_hadron_flavour"]
        jet_columns["Jet_hadronFlavour"] = jet_columns["jet_hadron_flavour"]
        jet_columns["event"] = jets.event
        jet_columns["generator_weight"] = np.ones(len(jets))
        track_columns["origin"] = events.origin[found[rows]]
        return jet_columns, track_columns, counts


def reconstructed(
    jets: calorimeter.CaloJets, tracks: tracking.Tracks, events: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Everything that is measured: jet branches, track branches, listed tracks of each jet and their rows in `tracks`."""
    primary = primary_vertices(tracks, events)
    near = cones(jets, tracks, events)
    jet_columns, track_columns, jet, rows = jet_inputs(jets, tracks, near, primary.weight)
    jet_columns |= deepcsv_inputs(jets, tracks, near, primary, events)
    return jet_columns, track_columns, np.bincount(jet, minlength=len(jets)), rows


def _shuffled(parts: list[tuple[dict, dict, np.ndarray]], order: np.ndarray) -> tuple[dict, dict, np.ndarray]:
    """Join the processes, give events new numbers, sort by these and leave out jets without listed tracks."""
    jets = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
    tracks = {name: np.concatenate([part[1][name] for part in parts]) for name in parts[0][1]}
    counts = np.concatenate([part[2] for part in parts])
    jets["event"] = order[jets["event"]]
    listed = np.flatnonzero(counts)
    listed = listed[np.argsort(jets["event"][listed], kind="stable")]
    length = counts[listed]
    rows = np.repeat(starts(counts)[listed] - starts(length), length) + np.arange(length.sum())
    jets = {name: values[listed] for name, values in jets.items()}
    tracks = {name: values[rows] for name, values in tracks.items()}
    return jets, tracks, length
