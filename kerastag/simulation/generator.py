"""Events from Pythia 8 as flat NumPy arrays: final particles, heavy quarks and heavy hadrons."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
import pythia8mc

from kerastag.simulation.groups import Rows
from kerastag.simulation.settings import BEAM_SPOT, SimulationSettings

_COMMON = (
    "Print:quiet = on",
    "Beams:eCM = 13000.",
    "Random:setSeed = on",
    "Random:seed = 1",
)
_PROCESS = {
    "bottom": ("HardQCD:hardbbbar = on",),
    "charm": ("HardQCD:hardccbar = on",),
    "light": (
        "HardQCD:gg2gg = on",
        "HardQCD:gg2qqbar = on",
        "HardQCD:qg2qg = on",
        "HardQCD:qq2qq = on",
        "HardQCD:qqbar2gg = on",
        "HardQCD:qqbar2qqbarNew = on",
    ),
    "soft": ("SoftQCD:inelastic = on",),
}

# Hadrons that decay weakly, by PDG identifier.
BOTTOM_HADRONS = (511, 521, 531, 541, 5122, 5132, 5232, 5332)
CHARM_HADRONS = (411, 421, 431, 4122, 4132, 4232, 4332)
STRANGE_HADRONS = (310, 3122, 3112, 3222, 3312, 3322, 3334)

QUARK_PT = 1.0  # GeV

# Origin of a final particle: the heaviest weakly decaying hadron among its ancestors.
PROMPT, STRANGE, CHARM, BOTTOM = 0, 1, 4, 5
# The same of tracks behind which there is no particle of the event.
FAKE, PILE_UP = -1, -2
# No final particle has more hadrons than this among its ancestors.
_GENERATIONS = 25


@dataclasses.dataclass
class Particles(Rows):
    """Particles of many events, one row each.

    Attributes:
        event: int64 `(particles,)`, number of the event within the batch.
        pdg: int32 `(particles,)`, identifier of the Particle Data Group (PDG).
        momentum: float64 `(particles, 4)`, px, py, pz, E in GeV.
        vertex: float64 `(particles, 3)`, production point, mm.
        charge: int8 `(particles,)`.
    """

    event: np.ndarray
    pdg: np.ndarray
    momentum: np.ndarray
    vertex: np.ndarray
    charge: np.ndarray

    @functools.cached_property
    def pt(self) -> np.ndarray:
        """Transverse momentum, GeV."""
        return np.hypot(self.momentum[:, 0], self.momentum[:, 1])

    @functools.cached_property
    def eta(self) -> np.ndarray:
        """Pseudorapidity."""
        return np.arcsinh(self.momentum[:, 2] / np.maximum(self.pt, 1e-12))

    @functools.cached_property
    def phi(self) -> np.ndarray:
        """Azimuth."""
        return np.arctan2(self.momentum[:, 1], self.momentum[:, 0])


@dataclasses.dataclass
class Events:
    """A batch of generated events.

    Attributes:
        count: Number of events.
        final: Stable particles.
        origin: int8 `(final particles,)`, one of PROMPT, STRANGE, CHARM, BOTTOM.
        quarks: b and c quarks with pT > 1 GeV; every copy in the event record counts.
        hadrons: b and c hadrons that decay weakly.
        decay: float64 `(hadrons, 3)`, points of their decay, mm.
        lifetime: float64 `(hadrons,)`, proper decay times, mm/c.
    """

    count: int
    final: Particles
    origin: np.ndarray
    quarks: Particles
    hadrons: Particles
    decay: np.ndarray
    lifetime: np.ndarray

    def select(self, selected: np.ndarray) -> "Events":
        """The events where a mask `(events,)` is true, numbered anew from 0."""
        number = np.cumsum(selected) - 1

        def renumbered(particles: Particles) -> tuple[np.ndarray, Particles]:
            rows = np.flatnonzero(selected[particles.event])
            chosen = particles.take(rows)
            return rows, dataclasses.replace(chosen, event=number[chosen.event])

        stable, final = renumbered(self.final)
        _, quarks = renumbered(self.quarks)
        decaying, hadrons = renumbered(self.hadrons)
        count = int(selected.sum())
        return Events(count, final, self.origin[stable], quarks, hadrons, self.decay[decaying], self.lifetime[decaying])


class Generator:
    """Pythia, set up for one hard process. The same seed gives the same batch, whatever was generated before.

    Args:
        process: Name in `settings.PROCESSES`, or "soft" for inelastic collisions of any kind.
        settings: Settings of the sample; of its variations those of the physics.
    """

    def __init__(self, process: str, settings: SimulationSettings):
        self._pythia = pythia8mc.Pythia("", False)
        _, physics = settings.changes
        options = (
            *_COMMON,
            *_PROCESS[process],
            f"PhaseSpace:pTHatMin = {settings.minimum_pthat}",
            f"PartonLevel:MPI = {'on' if settings.mpi else 'off'}",
            f"Beams:allowVertexSpread = {'on' if settings.beam_spot else 'off'}",
            *(f"Beams:sigmaVertex{axis} = {sigma}" for axis, sigma in zip("XYZ", BEAM_SPOT, strict=True)),
            *physics.pythia,
        )
        for option in options:
            if not self._pythia.readString(option):
                raise RuntimeError(f"Pythia refuses '{option}'.")
        tilt_decays(self._pythia.particleData, BOTTOM_HADRONS, physics.bottom_multiplicity)
        tilt_decays(self._pythia.particleData, CHARM_HADRONS, physics.charm_multiplicity)
        if not self._pythia.init():
            raise RuntimeError("Pythia cannot be initialised.")
        self._charges: dict[int, int] = {}

    def generate(self, count: int, seed: int) -> Events:
        """Generate a batch of events.

        Args:
            count: Events wanted; those that Pythia gives up on are missing.
            seed: Seed of Pythia, between 1 and 900,000,000.
        """
        self._pythia.rndm.init(seed)
        record = self._pythia.nextBatch(count).prt
        offsets = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(record)))])
        event = np.repeat(np.arange(len(record)), np.diff(offsets))
        entries = ak.flatten(record)
        pdg = ak.to_numpy(entries.id)
        stable = np.flatnonzero(ak.to_numpy(entries.status) > 0)
        quarks = self._particles(entries, event, np.flatnonzero(np.isin(np.abs(pdg), (4, 5))))
        decaying = np.flatnonzero(np.isin(np.abs(pdg), (*BOTTOM_HADRONS, *CHARM_HADRONS)))
        daughters = entries[ak.to_numpy(entries.daughter1)[decaying] + offsets[event[decaying]]]
        return Events(
            count=len(record),
            final=self._particles(entries, event, stable),
            origin=_origin(stable, pdg, mother=ak.to_numpy(entries.mother1) + offsets[event]),
            quarks=quarks.take(quarks.pt > QUARK_PT),
            hadrons=self._particles(entries, event, decaying),
            decay=_production_points(daughters),
            lifetime=ak.to_numpy(entries.tau)[decaying],
        )

    def _particles(self, entries: ak.Array, event: np.ndarray, rows: np.ndarray) -> Particles:
        """The particles of some rows of the flattened event records."""
        particles = entries[rows]
        pdg = ak.to_numpy(particles.id)
        momentum = np.stack([ak.to_numpy(particles.p[axis]) for axis in ("px", "py", "pz", "e")], axis=1)
        return Particles(event[rows], pdg, momentum, _production_points(particles), self._charge(pdg))

    def _charge(self, pdg: np.ndarray) -> np.ndarray:
        """Electric charge of each particle, int8; coloured ones, whose charge is not whole, give 0."""
        species, inverse = np.unique(pdg, return_inverse=True)
        for code in set(species.tolist()) - self._charges.keys():
            thirds = self._pythia.particleData.chargeType(code)
            self._charges[code] = thirds // 3 if thirds % 3 == 0 else 0
        return np.array([self._charges[code] for code in species.tolist()], np.int8)[inverse]


def tilt_decays(table: Any, hadrons: Sequence[int], tilt: float) -> None:
    """Make decays into many charged particles more or less frequent.

    The branching ratio of each channel is multiplied by exp(tilt·n), with n the sum of the absolute charges of its products;
    Pythia normalises their sum. Products that decay further count as they are.

    Args:
        table: Pythia's particle data, changed in place.
        hadrons: PDG identifiers of the hadrons.
        tilt: Change of ln(branching ratio) with each charged product.
    """
    if tilt == 0:
        return
    for hadron in hadrons:
        entry = table.particleDataEntryPtr(hadron)
        for number in range(entry.sizeChannels()):
            channel = entry.channel(number)
            thirds = sum(abs(table.chargeType(channel.product(place))) for place in range(channel.multiplicity()))
            channel.bRatio(channel.bRatio() * math.exp(tilt * thirds / 3))


def _production_points(particles: ak.Array) -> np.ndarray:
    """Points where particles are made, `(particles, 3)`, mm; Pythia sets none at the origin."""
    return np.stack([ak.to_numpy(ak.fill_none(particles.vProd[axis], 0.0)) for axis in ("px", "py", "pz")], axis=1)


def _origin(rows: np.ndarray, pdg: np.ndarray, mother: np.ndarray) -> np.ndarray:
    """Heaviest kind of weakly decaying hadron among the ancestors of the particles at `rows`, int8."""
    kind = np.zeros(len(pdg), np.int8)
    for code, hadrons in ((STRANGE, STRANGE_HADRONS), (CHARM, CHARM_HADRONS), (BOTTOM, BOTTOM_HADRONS)):
        kind[np.isin(np.abs(pdg), hadrons)] = code
    origin = np.zeros(len(rows), np.int8)
    ancestor = rows
    for _ in range(_GENERATIONS):
        ancestor = mother[ancestor]
        origin = np.maximum(origin, kind[ancestor])
    return origin
