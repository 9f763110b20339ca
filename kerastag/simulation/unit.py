"""One unit of a sample: a fixed number of events of each process, from generation to the columns of the file.

A unit depends on the settings and its number alone, so units can be made in any order by any number of processes.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence

import numpy as np

from kerastag.simulation import calorimeter, tracking, truth
from kerastag.simulation.association import cones
from kerastag.simulation.deepcsv_inputs import deepcsv_inputs
from kerastag.simulation.generator import Events, Generator
from kerastag.simulation.groups import starts
from kerastag.simulation.jet_inputs import jet_inputs, primary_vertices
from kerastag.simulation.settings import PROCESSES, SimulationSettings


@dataclasses.dataclass
class Columns:
    """Branches of a file.

    Attributes:
        jets: Jet branches by name, each `(jets,)`, ordered by event.
        tracks: Track branches by name, each `(listed tracks,)`, ordered by jet.
        counts: int64 `(jets,)`, listed tracks of each jet.
    """

    jets: dict[str, np.ndarray]
    tracks: dict[str, np.ndarray]
    counts: np.ndarray


@dataclasses.dataclass
class Unit(Columns):
    """The jets of one unit; fields beyond those of `Columns` say how they were made.

    Attributes:
        events: Events generated.
        unlisted: Jets left out because none of their tracks belongs to a vertex, as in the published data set.
        generator_seconds: Time spent in Pythia.
        seconds: Time in all.
    """

    events: int
    unlisted: int
    generator_seconds: float
    seconds: float


class Simulation:
    """Maker of units; each process of the operating system has its own.

    Args:
        settings: Settings of the sample.
    """

    def __init__(self, settings: SimulationSettings):
        self.settings = settings
        self._generators = {name: Generator(name, settings) for name in PROCESSES}

    def unit(self, number: int) -> Unit:
        """Make the unit of this number."""
        started = time.perf_counter()
        parts, generator_seconds, events = [], 0.0, 0
        for process, (name, count) in enumerate(self.settings.process_events.items()):
            rng = np.random.default_rng(np.random.SeedSequence([self.settings.seed, number, process]))
            before = time.perf_counter()
            batch = self._generators[name].generate(count, int(rng.integers(1, 900_000_000)))
            generator_seconds += time.perf_counter() - before
            part = self._columns(batch, rng)
            part.jets["process"] = np.full(len(part.counts), process)
            part.jets["event"] = part.jets["event"] + events
            parts.append(part)
            events += count
        order = np.random.default_rng([self.settings.seed, number]).permutation(events)
        columns = _shuffled(parts, order)
        columns.jets["event"] = columns.jets["event"] + number * events
        unlisted = sum(int((part.counts == 0).sum()) for part in parts)
        seconds = time.perf_counter() - started
        return Unit(columns.jets, columns.tracks, columns.counts, events, unlisted, generator_seconds, seconds)

    def _columns(self, events: Events, rng: np.random.Generator) -> Columns:
        """Detector, reconstruction and truth of a batch."""
        jets = calorimeter.find_jets(events.final, events.count, rng)
        tracks, particle, _ = tracking.reconstruct(events.final, self.settings.physical_resolution, rng)
        columns, listed = reconstructed(jets, tracks, events.count)
        columns.jets |= truth.jet_truth(jets, events)
        if self.settings.hadron_labels:
            columns.jets["jet_parton_flavour"] = columns.jets["jet_hadron_flavour"]
        columns.jets["Jet_hadronFlavour"] = columns.jets["jet_hadron_flavour"]
        columns.jets["event"] = jets.event
        columns.jets["generator_weight"] = np.ones(len(jets))
        columns.tracks["origin"] = events.origin[particle[listed]]
        return columns


def reconstructed(jets: calorimeter.CaloJets, tracks: tracking.Tracks, events: int) -> tuple[Columns, np.ndarray]:
    """Reconstruct everything that is measured.

    Args:
        jets: Jets, ordered by event.
        tracks: Tracks, ordered by event.
        events: Number of events.

    Returns:
        The branches, jets without listed tracks included, and the row of each listed track in `tracks`.
    """
    primary = primary_vertices(tracks, events)
    near = cones(jets, tracks, events)
    jet_columns, track_columns, jet, listed = jet_inputs(jets, tracks, near, primary.weight)
    jet_columns |= deepcsv_inputs(jets, tracks, near, primary, events)
    return Columns(jet_columns, track_columns, np.bincount(jet, minlength=len(jets))), listed


def _shuffled(parts: list[Columns], order: np.ndarray) -> Columns:
    """Join the processes, give events new numbers, sort by these and leave out jets without listed tracks."""
    jets = concatenated([part.jets for part in parts])
    tracks = concatenated([part.tracks for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    jets["event"] = order[jets["event"]]
    listed = np.flatnonzero(counts)
    listed = listed[np.argsort(jets["event"][listed], kind="stable")]
    length = counts[listed]
    rows = np.repeat(starts(counts)[listed] - starts(length), length) + np.arange(length.sum())
    jets = {name: values[listed] for name, values in jets.items()}
    tracks = {name: values[rows] for name, values in tracks.items()}
    return Columns(jets, tracks, length)


def concatenated(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The columns of several parts, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
