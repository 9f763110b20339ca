"""Settings of a simulated sample; the defaults follow the Jet Flavor 2016 data set."""

import dataclasses

from kerastag.errors import UserError
from kerastag.options import check, option
from kerastag.simulation.changes import Detector, Physics
from kerastag.simulation.variations import changes
from tfds_jets.splitting import FRACTIONS

# Share of the events of each hard process. With them the jets come out at about 40 % b, 15 % c and 45 % light.
PROCESSES = {"bottom": 0.41, "charm": 0.10, "light": 0.49}
SPLITS = (*FRACTIONS, "all")
BEAM_SPOT = (0.015, 0.015, 46.0)  # σ of the primary vertices if they are spread, mm


@dataclasses.dataclass(frozen=True)
class SimulationSettings:
    """Settings of a simulation, written into the file; those with a help are options of the command.

    Attributes:
        seed: Seed of everything random; the same seed and settings give the same jets.
        mpi: Whether Pythia adds multiparton interactions (the published data set looks as if it had none).
        physical_resolution: Whether track resolutions grow with |η|, as in a detector. By default their index is reversed,
            as in the published data set.
        beam_spot: Whether primary vertices are spread by `BEAM_SPOT`; otherwise all lie at the origin.
        hadron_labels: Whether `jet_parton_flavour`, the label of `jet_flavor`, is that of hadrons instead of quarks.
        minimum_pthat: Smallest transverse momentum of the hard process, GeV.
        events_per_unit: Events made at once. The memory of a process grows with it; the default takes 0.7 GB.
        split: Whose events are made, "train", "validation" or "test", or "all" for the events of every split.
        candidates: Whether candidates and vertices are written, see `candidate_inputs`. The jets are the same without.
        variations: Names of what is changed, see `variations`; none for the nominal simulation.
    """

    seed: int = option(1, "same seed, same jets", metavar="N")
    mpi: bool = option(False, "add multiparton interactions (about ten times slower)")
    physical_resolution: bool = option(
        False, "track resolutions that grow with |eta| as in a detector; the published data set has them reversed"
    )
    beam_spot: bool = option(False, f"spread primary vertices by {BEAM_SPOT} mm")
    hadron_labels: bool = option(False, "label jets by their hadrons instead of their quarks")
    minimum_pthat: float = 20.0
    events_per_unit: int = 8000
    split: str = option("all", "make the events of this split alone: train, validation, test", choices=SPLITS)
    candidates: bool = option(
        False,
        "write charged and neutral candidates and vertices as well, the inputs of particle_transformer_ak4 and deepflavour",
    )
    variations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise UserError(f"The seed must lie between 0 and 2147483647, not be {self.seed}.")
        if not self.minimum_pthat >= 10:
            raise UserError(f"The smallest pTHat must be at least 10 GeV, not {self.minimum_pthat:g}.")
        if min(self.process_events.values()) < 1:
            raise UserError(f"A unit must have at least 10 events, not {self.events_per_unit}.")
        check(self)
        detector, _ = self.changes
        if detector.pile_up and self.beam_spot:
            raise UserError("Pile-up is spread around the origin; leave out --beam-spot or the pile-up.")

    @property
    def changes(self) -> tuple[Detector, Physics]:
        """What the variations change in the detector and in the physics."""
        return changes(self.variations)

    @property
    def generation(self) -> "SimulationSettings":
        """The settings without changes of the detector: those that agree in it have the same events."""
        physics = tuple(name for name in self.variations if changes((name,))[1])
        return dataclasses.replace(self, variations=physics)

    @property
    def process_events(self) -> dict[str, int]:
        """Number of events of each process in a unit."""
        return {name: round(share * self.events_per_unit) for name, share in PROCESSES.items()}
