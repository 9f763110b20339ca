"""One unit of a sample: a fixed number of events of each process, from generation to the columns of the file.

A unit depends on the settings and its number alone, so units can be made in any order by any number of processes.
"""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kerastag.simulation import calorimeter, tracking, truth
from kerastag.simulation.association import cones
from kerastag.simulation.batch import Batch
from kerastag.simulation.candidate_inputs import Objects, candidate_inputs, candidate_numbers
from kerastag.simulation.deepcsv_inputs import deepcsv_inputs
from kerastag.simulation.energy_flow import Neutrals
from kerastag.simulation.generator import Generator
from kerastag.simulation.groups import starts
from kerastag.simulation.impact import impact_parameters
from kerastag.simulation.inclusive_vertices import inclusive_vertices
from kerastag.simulation.jet_inputs import jet_inputs, primary_vertices
from kerastag.simulation.settings import PROCESSES, SimulationSettings
from tfds_jets.splitting import FRACTIONS, split_of


@dataclasses.dataclass
class Columns:
    """Branches of a file.

    Attributes:
        jets: Jet branches by name, each `(jets,)`, ordered by event.
        tracks: Track branches by name, each `(listed tracks,)`, ordered by jet.
        counts: int64 `(jets,)`, listed tracks of each jet.
        objects: Candidates and vertices by prefix; none where the settings do not ask for them.
    """

    jets: dict[str, np.ndarray]
    tracks: dict[str, np.ndarray]
    counts: np.ndarray
    objects: dict[str, Objects] = dataclasses.field(default_factory=dict, kw_only=True)


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

    Events come in one stream from Pythia. Where the physics is changed, each split has a stream of its own, so that the
    events of a split can be made without the others; nothing could be the same as in the nominal stream anyway.

    Args:
        settings: Settings of the sample.
    """

    def __init__(self, settings: SimulationSettings):
        self.settings = settings
        self._generators = {name: Generator(name, settings) for name in PROCESSES}

    def unit(self, number: int) -> Unit:
        """Make the unit of this number."""
        return next(self.units(number, [self.settings]))

    def units(self, number: int, samples: Sequence[SimulationSettings]) -> Iterator[Unit]:
        """Make the unit of this number for several samples whose events are the same.

        Args:
            number: Number of the unit.
            samples: Their settings, which differ from those of the simulation in changes of the detector alone.

        Yields:
            A unit for each sample; the first bears the time of the generator.
        """
        started = time.perf_counter()
        batches, generator_seconds = self._generate(number)
        for settings in samples:
            parts = [_columns(batch, settings) for batch in batches]
            unlisted = sum(int((part.counts == 0).sum()) for part in parts)
            columns = _sorted(parts)
            seconds = time.perf_counter() - started
            events = sum(len(batch.number) for batch in batches)
            made = events, unlisted, generator_seconds, seconds
            yield Unit(columns.jets, columns.tracks, columns.counts, *made, objects=columns.objects)
            started, generator_seconds = time.perf_counter(), 0.0

    def _generate(self, number: int) -> tuple[list[Batch], float]:
        """The wanted events of all processes, and the time that Pythia took, seconds."""
        settings = self.settings
        counts = settings.process_events
        events = sum(counts.values())
        # Processes are mixed: an event's place in the file is drawn.
        place = np.random.default_rng([settings.seed, number]).permutation(events) + number * events
        first, batches, seconds = 0, [], 0.0
        for process, (name, count) in enumerate(counts.items()):
            of_process = place[first : first + count]
            first += count
            for seed, places in self._streams(number, process, of_process):
                rng = np.random.default_rng(np.random.SeedSequence(seed))
                before = time.perf_counter()
                generated = self._generators[name].generate(len(places), int(rng.integers(1, 900_000_000)))
                seconds += time.perf_counter() - before
                batch = Batch.draw(process, places[: generated.count], generated, rng, settings.seed)
                wanted = in_split(batch.number, settings.split)
                batches.append(batch if wanted.all() else batch.select(wanted))
        return batches, seconds

    def _streams(self, number: int, process: int, places: np.ndarray) -> Iterator[tuple[list[int], np.ndarray]]:
        """Seed and places in the file of the events of each stream from Pythia."""
        seed = [self.settings.seed, number, process]
        _, physics = self.settings.changes
        if not physics:
            yield seed, places
            return
        for split in FRACTIONS:
            of_split = places[in_split(places, split)]
            if self.settings.split in (split, "all") and len(of_split):
                yield [*seed, 1 + list(FRACTIONS).index(split)], of_split


def in_split(events: np.ndarray, split: str) -> np.ndarray:
    """Whether events, given by their numbers, belong to a split, bool `(events,)`; all belong to "all"."""
    if split == "all":
        return np.ones(len(events), bool)
    index = split_of({"source": events, "entry": events, "event": events})
    return index == list(FRACTIONS).index(split)


def _columns(batch: Batch, settings: SimulationSettings) -> Columns:
    """Detector, reconstruction and truth of a batch."""
    detector, _ = settings.changes
    jets = batch.jets(detector)
    tracks, particle = batch.tracks(detector, settings.physical_resolution)
    neutrals = batch.neutrals(tracks, particle) if settings.candidates else None
    columns, listed = reconstructed(jets, tracks, batch.events.count, neutrals)
    columns.jets |= truth.jet_truth(jets, batch.events)
    if settings.candidates:
        columns.jets |= truth.deepntuple_flags(jets, batch.events)
        columns.jets["event_no"] = batch.number[jets.event]
    if settings.hadron_labels:
        columns.jets["jet_parton_flavour"] = columns.jets["jet_hadron_flavour"]
    columns.jets["Jet_hadronFlavour"] = columns.jets["jet_hadron_flavour"]
    columns.jets["event"] = batch.number[jets.event]
    columns.jets["generator_weight"] = np.ones(len(jets))
    columns.jets["process"] = np.full(len(jets), batch.process)
    columns.tracks["origin"] = batch.origin(particle[listed])
    return columns


def reconstructed(
    jets: calorimeter.CaloJets, tracks: tracking.Tracks, events: int, neutrals: Neutrals | None = None
) -> tuple[Columns, np.ndarray]:
    """Reconstruct everything that is measured.

    Args:
        jets: Jets, ordered by event.
        tracks: Tracks, ordered by event.
        events: Number of events.
        neutrals: Neutral particles; None for no candidates.

    Returns:
        The branches, jets without listed tracks included, and the row of each listed track in `tracks`.
    """
    primary = primary_vertices(tracks, events)
    near = cones(jets, tracks, events)
    jet_columns, track_columns, jet, listed = jet_inputs(jets, tracks, near, primary.weight)
    ip = impact_parameters(tracks, primary.position[tracks.event], primary.covariance[tracks.event])
    vertices = inclusive_vertices(tracks, primary, ip, events)
    jet_columns |= deepcsv_inputs(jets, tracks, near, primary, ip, vertices, events)
    objects = {}
    if neutrals is not None:
        objects = candidate_inputs(jets, tracks, neutrals, near, primary, ip, vertices, events)
        jet_columns |= candidate_numbers(objects, jet_columns)
    return Columns(jet_columns, track_columns, np.bincount(jet, minlength=len(jets)), objects=objects), listed


def _sorted(parts: list[Columns]) -> Columns:
    """Join the processes, sort by event and leave out jets without listed tracks."""
    jets = concatenated([part.jets for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    listed = np.flatnonzero(counts)
    listed = listed[np.argsort(jets["event"][listed], kind="stable")]
    tracks = _of_jets(listed, [Objects(part.counts, part.tracks) for part in parts])
    objects = {kind: _of_jets(listed, [part.objects[kind] for part in parts]) for kind in parts[0].objects}
    jets = {name: values[listed] for name, values in jets.items()}
    return Columns(jets, tracks.columns, tracks.counts, objects=objects)


def _of_jets(chosen: np.ndarray, parts: list[Objects]) -> Objects:
    """Objects of some of the jets of all parts together, in the order in which these are given."""
    counts = np.concatenate([part.counts for part in parts])
    length = counts[chosen]
    rows = np.repeat(starts(counts)[chosen] - starts(length), length) + np.arange(length.sum())
    columns = concatenated([part.columns for part in parts])
    return Objects(length, {name: values[rows] for name, values in columns.items()})


def concatenated(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The columns of several parts, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
