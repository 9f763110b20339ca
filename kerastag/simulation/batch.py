"""Generated events together with all random numbers of their measurement, so that the same events can be measured again.

The random numbers are those of the full sample also where the events of one split are kept: they are drawn for all.
"""

import dataclasses
import functools

import numpy as np

from kerastag.simulation import calorimeter, extra_tracks, tracking
from kerastag.simulation.changes import Detector
from kerastag.simulation.energy_flow import Neutrals, energy_flow
from kerastag.simulation.generator import Events

# Jets are clustered down to this momentum, GeV, so that a changed scale can lift them above the threshold.
_LOWEST_PT = 10.0

_ELECTRON, _MUON = 11, 13  # identifiers of the PDG


@dataclasses.dataclass
class Batch:
    """Some events of one process.

    Attributes:
        process: Number of the process.
        number: int64 `(events,)`, number of each event in the file.
        events: The events.
        towers: What they leave in the calorimeter.
        tower_noise: float64 `(towers, 4)`, random numbers of its measurement.
        found: Charged particles that leave tracks, with their random numbers.
        seed: Seed of the sample.
    """

    process: int
    number: np.ndarray
    events: Events
    towers: calorimeter.Towers
    tower_noise: np.ndarray
    found: tracking.Found
    seed: int

    @classmethod
    def draw(cls, process: int, number: np.ndarray, events: Events, rng: np.random.Generator, seed: int) -> "Batch":
        """Events with random numbers, the calorimeter's first."""
        towers = calorimeter.fill_towers(events.final)
        noise = calorimeter.draw(len(towers), rng)
        return cls(process, number, events, towers, noise, tracking.find(events.final, rng), seed)

    def select(self, selected: np.ndarray) -> "Batch":
        """The events where a mask `(events,)` is true."""
        towers = selected[self.towers.event]
        renumbered = np.cumsum(selected) - 1
        particles = selected[self.events.final.event]
        found = self.found.take(particles[self.found.particle])
        return Batch(
            self.process,
            self.number[selected],
            self.events.select(selected),
            dataclasses.replace(self.towers.take(towers), event=renumbered[self.towers.event[towers]]),
            self.tower_noise[towers],
            dataclasses.replace(found, particle=(np.cumsum(particles) - 1)[found.particle]),
            self.seed,
        )

    @functools.cached_property
    def _jets(self) -> calorimeter.CaloJets:
        """Jets of the nominal detector, down to `_LOWEST_PT`."""
        return calorimeter.cluster(self.towers, self.tower_noise, self.events.count, _LOWEST_PT)

    def jets(self, detector: Detector) -> calorimeter.CaloJets:
        """Jets as a detector measures them."""
        jets = self._jets
        factor = np.full(len(jets), 1 + detector.jet_energy_scale)
        if detector.jet_energy_resolution:
            rngs = extra_tracks.generators(self.seed, "jets", self.number)
            counts = np.bincount(jets.event, minlength=self.events.count)
            noise = [rng.standard_normal(count) for rng, count in zip(rngs, counts.tolist(), strict=True)]
            factor *= np.maximum(1 + detector.jet_energy_resolution * np.concatenate(noise), 0.0)
        scaled = dataclasses.replace(jets, pt=jets.pt * factor, raw_pt=jets.raw_pt * factor)
        return scaled.take(scaled.raw_pt >= calorimeter.MINIMUM_PT)

    def tracks(self, detector: Detector, physical: bool) -> tuple[tracking.Tracks, np.ndarray]:
        """Tracks as a detector measures them, and the particle behind each: its row, or FAKE or PILE_UP of `generator`.

        Args:
            detector: Changes of the detector.
            physical: Whether resolutions grow with |η| (see `resolution`).
        """
        tracks, particle, _ = tracking.reconstruct(self.events.final, self.found, physical, detector)
        return extra_tracks.add(tracks, particle, detector, physical, self.seed, self.number)

    def origin(self, particle: np.ndarray) -> np.ndarray:
        """Origin of tracks from the particle behind each, int8 `(tracks,)`, see `generator`."""
        return np.where(particle >= 0, self.events.origin[particle], particle).astype(np.int8)

    def neutrals(self, tracks: tracking.Tracks, particle: np.ndarray) -> Neutrals:
        """What the calorimeter measures beyond the tracks of `tracks`, the results of that method being the arguments.

        Electrons and muons are known as such.
        """
        species = np.where(particle >= 0, np.abs(self.events.final.pdg[particle]), 0)
        return energy_flow(self.towers, self.tower_noise, tracks, species == _ELECTRON, species == _MUON)
