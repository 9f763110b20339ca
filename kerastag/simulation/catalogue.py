"""Every variation of the simulation, a line each. Imports nothing heavy."""

import dataclasses
import re
from collections.abc import Callable

from kerastag.errors import UserError
from kerastag.simulation.changes import Change, Detector, Physics

DETECTOR, PHYSICS = "detector", "physics"


@dataclasses.dataclass(frozen=True)
class Variation:
    """A variation as it is named.

    Attributes:
        name: Its name.
        kind: "detector" or "physics".
        help: What it changes, with number and unit.
        detector: Change of the detector.
        physics: Change of the physics.
        reference: Name of what it is compared with.
    """

    name: str
    kind: str
    help: str
    detector: Detector
    physics: Physics
    reference: str


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the catalogue.

    Attributes:
        name: Name, with "{}" where a number stands.
        kind: "detector" or "physics".
        help: What it changes, with "{}" for the number.
        change: Function from the number to the change.
        standard: Numbers of the standard variations; none for a switch.
        quantity: What is changed. Pseudo-data change a quantity once at most; "" keeps a variation out of them.
        reference: Name of what it is compared with: "nominal" for the detector; "reseeded", independent events without any
            change, for the physics.
        neutral: The number that changes nothing.
    """

    name: str
    kind: str
    help: str
    change: Callable[[float], Change]
    standard: tuple[float, ...] = ()
    quantity: str = ""
    reference: str = "nominal"
    neutral: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the standard variations. One that has a single standard number does without it if its name ends in it."""
        if self.name.endswith("_[{}]"):
            return (self.name.removesuffix("_[{}]"),)
        return tuple(self.named(number) for number in self.standard) or (self.name,)

    def named(self, number: float) -> str:
        """The name with a number."""
        return self.name.replace("[{}]", "{}").format(f"{number:g}")

    def match(self, name: str) -> Variation | None:
        """The variation of a name, or None if it is not one of this line.

        Raises:
            UserError: if it takes more away than there is.
        """
        number = r"(\d+(?:\.\d+)?)"
        pattern = re.escape(self.name).replace(r"_\[\{\}\]", f"(?:_{number})?").replace(r"\{\}", number)
        if not (match := re.fullmatch(pattern, name)):
            return None
        value = next((float(group) for group in match.groups() if group), self.standard[0] if self.standard else 0.0)
        if "down" in self.name and "{} %" in self.help and value >= 100:
            raise UserError(f"'{name}' would take away {value:g} % of it; a number below 100 leaves some.")
        change = self.change(value)
        detector = change if isinstance(change, Detector) else Detector()
        physics = change if isinstance(change, Physics) else Physics()
        help = self.help.replace("{}", f"{value:g}")
        return Variation(name, self.kind, help, detector, physics, self.reference)


def _pythia(*lines: str) -> Callable[[float], Change]:
    """Lines for Pythia, the same for every number."""
    return lambda number: Physics(lines)


def _string(name: str, nominal: float, sign: int) -> Callable[[float], Change]:
    """A parameter of the string fragmentation, moved by the number from its value in the Monash tune."""
    return lambda number: Physics((f"StringZ:{name} = {nominal + sign * number:g}",))


def _shower_scale(factor: Callable[[float], float]) -> Callable[[float], Change]:
    """Renormalisation scale of both showers; Pythia multiplies its square."""
    return lambda number: Physics(
        tuple(f"{shower}Shower:renormMultFac = {factor(number) ** 2:g}" for shower in ("Time", "Space"))
    )


def _detector(field: str, unit: float) -> Callable[[float], Change]:
    """A field of `Detector` whose number is given in a unit."""
    return lambda number: Detector(**{field: number * unit})


def _b_decays(sign: int) -> Callable[[float], Change]:
    """Multiplicity of decays of b hadrons: of those into quarks by a parameter, of all others by their branching ratios."""
    return lambda number: Physics(
        (f"ParticleDecays:multIncreaseWeak = {2 + sign * number:g}",), bottom_multiplicity=sign * number / 10
    )


_PERCENT, _MICROMETRE = 0.01, 1e-3


def _resolutions(name: str) -> list[Line]:
    """Resolution of an impact parameter, better and worse, covariance told and not told."""
    lines = []
    for direction, sign in (("up", 1), ("down", -1)):
        for suffix, told in (("", "the covariance tells"), ("_untold", "the covariance does not tell")):
            help = f"σ of {name} {{}} % {'larger' if sign > 0 else 'smaller'}, {told}"
            change = _detector(f"{name}_resolution{suffix}", sign * _PERCENT)
            line = Line(f"{name}_resolution_{direction}_{{}}{suffix}", DETECTOR, help, change, (10, 30), f"{name} resolution")
            lines.append(line)
    return lines


CATALOGUE: tuple[Line, ...] = (
    Line("nominal", DETECTOR, "nothing is changed", lambda number: Detector()),
    *_resolutions("d0"),
    *_resolutions("z0"),
    Line("d0_bias_{}um", DETECTOR, "d0 shifted by {} µm", _detector("d0_bias", _MICROMETRE), (5, 10), "d0 bias"),
    Line(
        "d0_bias_phi_{}um",
        DETECTOR,
        "d0 shifted by {} µm · cos 2φ, an alignment that left the tracker elliptic",
        _detector("d0_bias_phi", _MICROMETRE),
        (5, 10),
        "d0 bias",
    ),
    Line(
        "track_efficiency_down_{}",
        DETECTOR,
        "{} % of the tracks lost",
        _detector("track_loss", _PERCENT),
        (2, 5),
        "track efficiency",
    ),
    Line(
        "core_efficiency_down_{}",
        DETECTOR,
        "{} % of the tracks lost for each other track of pT > 0.5 GeV within ΔR 0.05, as in dense cores of jets",
        _detector("core_loss", _PERCENT),
        (5,),
        "track efficiency",
    ),
    Line("fakes_[{}]", DETECTOR, "{} fake tracks for 100 true ones", _detector("fakes", _PERCENT), (5,), "fakes"),
    Line(
        "momentum_scale_up_{}",
        DETECTOR,
        "momenta of tracks {} % larger",
        _detector("momentum_scale", _PERCENT),
        (1,),
        "momentum scale",
    ),
    Line(
        "momentum_scale_down_{}",
        DETECTOR,
        "momenta of tracks {} % smaller",
        _detector("momentum_scale", -_PERCENT),
        (1,),
        "momentum scale",
    ),
    Line(
        "jet_energy_scale_up_{}",
        DETECTOR,
        "momenta of jets {} % larger",
        _detector("jet_energy_scale", _PERCENT),
        (2,),
        "jet energy scale",
    ),
    Line(
        "jet_energy_scale_down_{}",
        DETECTOR,
        "momenta of jets {} % smaller",
        _detector("jet_energy_scale", -_PERCENT),
        (2,),
        "jet energy scale",
    ),
    Line(
        "jet_energy_resolution_up_{}",
        DETECTOR,
        "momenta of jets smeared by {} % more",
        _detector("jet_energy_resolution", _PERCENT),
        (10,),
        "jet energy resolution",
    ),
    Line(
        "beam_spot_{}um",
        DETECTOR,
        "collisions shifted by {} µm along x, unknown to the fit of the primary vertex",
        _detector("beam_spot", _MICROMETRE),
        (20,),
        "beam spot",
    ),
    Line(
        "pileup_{}",
        DETECTOR,
        "tracks of {} further collisions in the mean, spread along z, those within 2 mm of the hard one",
        _detector("pile_up", 1.0),
        (20, 60),
        "pile-up",
    ),
    Line(
        "reseeded",
        PHYSICS,
        "other events, nothing else: what the physics is compared with",
        lambda number: Physics((), reseeded=True),
    ),
    Line("tune_a14", PHYSICS, "tune A14 with NNPDF 2.3 (Tune:pp = 21)", _pythia("Tune:pp = 21"), (), "shower", "reseeded"),
    Line("mpi", PHYSICS, "multiparton interactions", _pythia("PartonLevel:MPI = on"), (), "interactions", "reseeded"),
    Line(
        "mpi_without_reconnection",
        PHYSICS,
        "multiparton interactions whose colours are not reconnected",
        _pythia("PartonLevel:MPI = on", "ColourReconnection:reconnect = off"),
        (),
        "interactions",
        "mpi",
    ),
    Line(
        "colour_reconnection_qcd",
        PHYSICS,
        "colour reconnection by QCD's colour rules, junctions included (ColourReconnection:mode = 1)",
        _pythia("ColourReconnection:mode = 1", "BeamRemnants:remnantMode = 1"),
        (),
        "reconnection",
        "reseeded",
    ),
    Line(
        "colour_reconnection_gluon_move",
        PHYSICS,
        "colour reconnection by moving gluons (ColourReconnection:mode = 2)",
        _pythia("ColourReconnection:mode = 2"),
        (),
        "reconnection",
        "reseeded",
    ),
    Line(
        "shower_scale_up_{}",
        PHYSICS,
        "renormalisation scale of both showers × {}",
        _shower_scale(lambda number: number),
        (2,),
        "shower",
        "reseeded",
        neutral=1.0,
    ),
    Line(
        "shower_scale_down_{}",
        PHYSICS,
        "renormalisation scale of both showers / {}",
        _shower_scale(lambda number: 1 / number),
        (2,),
        "shower",
        "reseeded",
        neutral=1.0,
    ),
    Line("vincia", PHYSICS, "shower Vincia (PartonShowers:model = 2)", _pythia("PartonShowers:model = 2"), (), "", "reseeded"),
    Line(
        "rfactb_up_[{}]", PHYSICS, "StringZ:rFactB + {}: softer b hadrons", _string("rFactB", 0.855, 1), (0.2,), "b", "reseeded"
    ),
    Line("rfactb_down_[{}]", PHYSICS, "StringZ:rFactB - {}: harder", _string("rFactB", 0.855, -1), (0.2,), "b", "reseeded"),
    Line(
        "rfactc_up_[{}]", PHYSICS, "StringZ:rFactC + {}: softer c hadrons", _string("rFactC", 1.32, 1), (0.3,), "c", "reseeded"
    ),
    Line("rfactc_down_[{}]", PHYSICS, "StringZ:rFactC - {}: harder", _string("rFactC", 1.32, -1), (0.3,), "c", "reseeded"),
    Line(
        "peterson",
        PHYSICS,
        "fragmentation of b and c by Peterson's function",
        _pythia("StringZ:usePetersonB = on", "StringZ:usePetersonC = on"),
        (),
        "b",
        "reseeded",
    ),
    Line(
        "b_multiplicity_up_[{}]",
        PHYSICS,
        "more particles of decays of b hadrons: ParticleDecays:multIncreaseWeak + {}, channels of n charged × exp({}·n/10)",
        _b_decays(1),
        (1,),
        "b decays",
        "reseeded",
    ),
    Line(
        "b_multiplicity_down_[{}]",
        PHYSICS,
        "fewer: ParticleDecays:multIncreaseWeak - {}, channels × exp(-{}·n/10)",
        _b_decays(-1),
        (1,),
        "b decays",
        "reseeded",
    ),
    Line(
        "c_multiplicity_up_[{}]",
        PHYSICS,
        "more particles of decays of c hadrons: channels of n charged × exp({}·n)",
        lambda number: Physics(charm_multiplicity=number),
        (0.1,),
        "c decays",
        "reseeded",
    ),
    Line(
        "c_multiplicity_down_[{}]",
        PHYSICS,
        "fewer: channels × exp(-{}·n)",
        lambda number: Physics(charm_multiplicity=-number),
        (0.1,),
        "c decays",
        "reseeded",
    ),
    Line(
        "gluon_splitting_up",
        PHYSICS,
        "a tenth more gluons split into b or c: without mass corrections of the rate (TimeShower:weightGluonToQuark = 2)",
        _pythia("TimeShower:weightGluonToQuark = 2"),
        (),
        "gluon splitting",
        "reseeded",
    ),
    Line(
        "gluon_splitting_down",
        PHYSICS,
        "a tenth fewer: strong coupling at the pair's mass (TimeShower:weightGluonToQuark = 8)",
        _pythia("TimeShower:weightGluonToQuark = 8"),
        (),
        "gluon splitting",
        "reseeded",
    ),
)
# Variations of the detector that are as large as an uncertainty of an experiment: resolutions of 10 %, an alignment of 5 µm,
# momenta of tracks of 1 %, track efficiency and jet energy of 2 %. The larger ones and the pile-up are beyond that.
UNCERTAINTIES = (
    *(
        f"{parameter}_resolution_{direction}_10{suffix}"
        for parameter in ("d0", "z0")
        for direction in ("up", "down")
        for suffix in ("", "_untold")
    ),
    "d0_bias_5um",
    "d0_bias_phi_5um",
    "track_efficiency_down_2",
    "momentum_scale_up_1",
    "momentum_scale_down_1",
    "jet_energy_scale_up_2",
    "jet_energy_scale_down_2",
)
# What was asked for and cannot be had, with the reason.
UNAVAILABLE = {
    "dire": "Pythia's shower Dire (PartonShowers:model = 3) left Pythia before 8.317, which is required here",
}
