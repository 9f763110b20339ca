"""What a simulated variation changes: fields of the detector, settings of the generator. Imports nothing heavy."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Detector:
    """Changes of the detector; all are 0 in the nominal simulation, and those of several variations add up.

    Attributes:
        d0_resolution: Relative change of the σ with which d0 is smeared, known to the covariance.
        d0_resolution_untold: The same, unknown to the covariance.
        z0_resolution: As `d0_resolution`, of z0.
        z0_resolution_untold: As `d0_resolution_untold`, of z0.
        d0_bias: Shift of d0 with its geometric sign, mm.
        d0_bias_phi: Amplitude of a shift of d0 as cos 2φ, mm, as of a tracker pressed into an ellipse.
        track_loss: Share of tracks that are lost.
        core_loss: Share of tracks that is lost for each other track within `tracking.CORE` of it.
        fakes: Tracks made of random hits, for each track of the event.
        momentum_scale: Relative shift of the momenta of tracks.
        jet_energy_scale: Relative shift of the momenta of jets after calibration.
        jet_energy_resolution: Relative spread of the momenta of jets, on top of the calorimeter's.
        beam_spot: Shift of all collisions along x, mm, which the fit of the primary vertex does not know of.
        pile_up: Mean number of further collisions in an event.
    """

    d0_resolution: float = 0.0
    d0_resolution_untold: float = 0.0
    z0_resolution: float = 0.0
    z0_resolution_untold: float = 0.0
    d0_bias: float = 0.0
    d0_bias_phi: float = 0.0
    track_loss: float = 0.0
    core_loss: float = 0.0
    fakes: float = 0.0
    momentum_scale: float = 0.0
    jet_energy_scale: float = 0.0
    jet_energy_resolution: float = 0.0
    beam_spot: float = 0.0
    pile_up: float = 0.0

    def __add__(self, other: "Detector") -> "Detector":
        """Both changes."""
        return Detector(*(mine + theirs for mine, theirs in zip(_values(self), _values(other), strict=True)))


def _values(detector: Detector) -> tuple[float, ...]:
    return dataclasses.astuple(detector)


@dataclasses.dataclass(frozen=True)
class Physics:
    """Changes of the generator.

    Attributes:
        pythia: Lines for Pythia.
        bottom_multiplicity: Tilt of the decay channels of b hadrons, see `generator.tilt_decays`.
        charm_multiplicity: The same of c hadrons.
        reseeded: Whether events are drawn anew without any other change.
    """

    pythia: tuple[str, ...] = ()
    bottom_multiplicity: float = 0.0
    charm_multiplicity: float = 0.0
    reseeded: bool = False

    def __add__(self, other: "Physics") -> "Physics":
        """Both changes."""
        return Physics(
            self.pythia + other.pythia,
            self.bottom_multiplicity + other.bottom_multiplicity,
            self.charm_multiplicity + other.charm_multiplicity,
            self.reseeded or other.reseeded,
        )

    def __bool__(self) -> bool:
        """Whether anything changes, so that other events come out."""
        return self != Physics()


Change = Detector | Physics
