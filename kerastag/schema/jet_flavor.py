"""The 184 inputs of the Jet Flavor 2016 data set (Guest et al., arXiv:1607.08633) as arXiv:2203.13890 uses them.

Lengths are mm, momenta GeV; phi and theta of a track are relative to the jet axis. The sign of D0 is geometric. Tracks are
sorted by descending D0/sqrt(D0D0). Each default lies just below the smallest value in the published training jets, or is 0
where physics allows only positive values.

The lifetime signs are those of D0·sin(PHI) and Z0·sin(THETA). They flip with D0 and Z0, but then other tracks would lead. In a
mirror through beam and jet axis D0, PHI, the charge and the azimuth of a vertex change their signs; the physics is the same. So
PHI, the charge, that azimuth and Z0 flip for a negative tagger, and D0 stays. Covariances stay, whose signs are the detector's:
that of PHI and D0 is always negative. What has no sign cannot flip: significances of the jet, jet probability, and vertices,
whose displacement is a length.
"""

import math
from collections.abc import Iterator
from typing import Any

from kerastag.schema.structure import FlavourClass, Helix, Schema, Spectator, Summary, Tie
from kerastag.schema.variables import Group, Variable

# Probability that a prompt track lies farther out than its unsigned d0 significance, with Gaussian integrals that lack √2:
# √π/2·Σ w·erfc(s/√2w') over cores of weight w and width w', and Σ exp(-a - b·s)/b over tails.
JET_PROBABILITY_CORES = ((0.32 * 0.56, 0.56), (0.19 * 0.89, 0.89))
JET_PROBABILITY_TAILS = ((3.09, 0.81), (6.07, 0.23))

_PION_MASS = 0.1395721435546875  # of a vertex of one track, as files keep it, GeV
_OF_ALL_TRACKS = "it is made of all tracks; where these are no more than six, it could follow them, and does not"
_FIT = "it comes out of the fit of all tracks at the vertex"
# Files keep about ten bits of a number, so an angle may be slightly larger than π.
_ROUNDED_PI = 3.142

_JET = Group(
    "jet",
    (
        Variable("jet_pt", "jet_pt", "GeV", r"jet $p_T$"),
        Variable("jet_eta", "jet_eta", "", r"jet $\eta$", default=-3.0),
        Variable("track_2_d0_significance", "track_2_d0_significance", "", r"2nd $|d_0|/\sigma$", valid_min=0.0),
        Variable("track_3_d0_significance", "track_3_d0_significance", "", r"3rd $|d_0|/\sigma$", valid_min=0.0),
        Variable("track_2_z0_significance", "track_2_z0_significance", "", r"2nd $|z_0|/\sigma$", valid_min=0.0),
        Variable("track_3_z0_significance", "track_3_z0_significance", "", r"3rd $|z_0|/\sigma$", valid_min=0.0),
        Variable(
            "n_tracks_over_d0_threshold",
            "n_tracks_over_d0_threshold",
            "",
            r"tracks with $|d_0|/\sigma > 1.8$",
            default=-0.001,
            integer=True,
            valid_min=0.0,
        ),
        Variable(
            "jet_prob",
            "jet_prob",
            "",
            "jet probability",
            default=-0.001,
            valid_min=0.0,
            sentinel=-1.0,
            untied="where more tracks make it than the six leading ones; elsewhere it follows these",
        ),
        Variable("jet_width_eta", "jet_width_eta", "", r"jet width in $\eta$", valid_min=0.0, untied=_OF_ALL_TRACKS),
        Variable("jet_width_phi", "jet_width_phi", "rad", r"jet width in $\phi$", valid_min=0.0, untied=_OF_ALL_TRACKS),
    ),
    optional=False,
)

_VERTEX = Group(
    "vertex",
    (
        Variable("vertex_significance", "vertex_significance", "", "vertex significance", valid_min=0.0, sentinel=-1.0),
        Variable(
            "n_secondary_vertices", "n_secondary_vertices", "", "secondary vertices", integer=True, valid_min=1.0, sentinel=-1.0
        ),
        Variable(
            "n_secondary_vertex_tracks",
            "n_secondary_vertex_tracks",
            "",
            "tracks at secondary vertices",
            integer=True,
            valid_min=1.0,
            sentinel=-1.0,
        ),
        Variable(
            "delta_r_vertex",
            "delta_r_vertex",
            "",
            r"$\Delta R$(vertex, jet)",
            valid_min=0.0,
        ),
        Variable("vertex_mass", "vertex_mass", "GeV", "vertex mass", valid_min=0.0, sentinel=-1.0),
        Variable(
            "vertex_energy_fraction", "vertex_energy_fraction", "", "vertex energy fraction", valid_min=0.0, special=(1.0,)
        ),
    ),
)


def _track(name: str, unit: str, label: str, default: float | tuple[float, ...] = 0.0, **facts: Any) -> Variable:
    return Variable(f"track_{{slot}}_{name}", f"track_{name}", unit, label, default, **facts)


def _covariance(name: str, unit: str, label: str, default: float | tuple[float, ...] = 0.0, **facts: Any) -> Variable:
    return _track(name, unit, label, default, tabulated=True, **facts)


_TRACK = Group(
    "track",
    (
        _track("D0", "mm", "$d_0$", (-7.92894, -7.99566, -8.00002, -8.00068, -7.99889, -8.00028)),
        _track("Z0", "mm", "$z_0$", (-393.905, -185.666, -253.084, -237.929, -209.216, -272.433), flips=True),
        _track(
            "PHI",
            "rad",
            r"$\phi$",
            (-0.400934, -0.400985, -0.400956, -0.400959, -0.400948, -0.40093),
            valid_min=-math.pi,
            valid_max=math.pi,
            flips=True,
        ),
        _track("THETA", "rad", r"$\theta$", (-0.397828, -0.398026, -0.397841, -0.397209, -0.39752, -0.396707)),
        _track("QOVERP", "1/GeV", "$q/p$", (-2.00089, -2.00089, -2.00061, -2.00039, -2.00067, -1.99867), flips=True),
        _covariance("D0D0", "mm²", r"cov($d_0$, $d_0$)", valid_min=0.0),
        _covariance("Z0D0", "mm²", r"cov($z_0$, $d_0$)", -3.55404e-05),
        _covariance("Z0Z0", "mm²", r"cov($z_0$, $z_0$)", valid_min=0.0),
        _covariance("PHID0", "mm rad", r"cov($\phi$, $d_0$)", -2.22598e-05),
        _covariance("PHIZ0", "mm rad", r"cov($\phi$, $z_0$)", -2.57313e-06),
        _covariance("PHIPHI", "rad²", r"cov($\phi$, $\phi$)", valid_min=0.0),
        _covariance("THETAD0", "mm rad", r"cov($\theta$, $d_0$)", -1.63849e-07),
        _covariance(
            "THETAZ0",
            "mm rad",
            r"cov($\theta$, $z_0$)",
            (1.3957e-06, 1.30425e-06, 8.1567e-07, 1.42289e-06, 1.42289e-06, 1.42289e-06),
        ),
        _covariance(
            "THETAPHI",
            "rad²",
            r"cov($\theta$, $\phi$)",
            (-1.48111e-09, -1.27775e-09, -1.48111e-09, -1.27775e-09, -1.27775e-09, -1.27775e-09),
        ),
        _covariance("THETATHETA", "rad²", r"cov($\theta$, $\theta$)", valid_min=0.0),
        _covariance("QOVERPD0", "mm/GeV", r"cov($q/p$, $d_0$)", -1.87058e-05),
        _covariance("QOVERPZ0", "mm/GeV", r"cov($q/p$, $z_0$)", -6.48033e-06),
        _covariance(
            "QOVERPPHI",
            "rad/GeV",
            r"cov($q/p$, $\phi$)",
            (8.35556e-09, 9.5057e-09, 8.22917e-09, 1.08042e-08, 1.08042e-08, 1.08042e-08),
        ),
        _covariance(
            "QOVERPTHETA",
            "rad/GeV",
            r"cov($q/p$, $\theta$)",
            (-5.68441e-09, -5.44631e-09, -5.68441e-09, -4.36869e-09, -5.44631e-09, -4.36869e-09),
        ),
        _covariance("QOVERPQOVERP", "1/GeV²", r"cov($q/p$, $q/p$)", valid_min=0.0),
        _track("weight", "", "weight in the vertex fit", valid_min=0.0, valid_max=1.0, untied=_FIT),
        _track("vertex_mass", "GeV", "mass of the track's vertex", valid_min=0.0, special=(_PION_MASS,), untied=_FIT),
        _track(
            "vertex_displacement",
            "mm",
            "displacement of the track's vertex",
            -0.001,
            valid_min=0.0,
            special=(0.0,),
            untied=_FIT,
        ),
        _track(
            "vertex_delta_eta_jet",
            "",
            r"$\Delta\eta$(vertex, jet)",
            (-8.11261, -8.11261, -7.57414, -8.10895, -8.10895, -8.11261),
        ),
        _track(
            "vertex_delta_phi_jet",
            "rad",
            r"$\Delta\phi$(vertex, jet)",
            (-3.14259, -3.14259, -3.14259, -3.14259, -3.14259, -3.14258),
            valid_min=-_ROUNDED_PI,
            valid_max=_ROUNDED_PI,
            flips=True,
        ),
        _track("vertex_displacement_significance", "", r"vertex displacement$/\sigma$", -0.001, valid_min=0.0, special=(0.0,)),
        _track("vertex_n_tracks", "", "tracks at the track's vertex", integer=True, valid_min=1.0),
        _track("vertex_energy_fraction", "", "energy fraction of the track's vertex", valid_min=0.0, special=(1.0,)),
    ),
    slots=6,
    order="track_D0 / sqrt(track_D0D0)",
)

# Tracks of a vertex share its quantities; jets of one secondary vertex too.
_SAME_VERTEX = ("mass", "displacement", "delta_eta_jet", "delta_phi_jet", "energy_fraction")
# The significances of the jet are |d0|/σ rounded to 1/256 of σ.
_ROUNDED_SIGNIFICANCE = 0.003

_PARAMETERS = ("D0", "Z0", "PHI", "THETA", "QOVERP")


def _covariances() -> Iterator[Tie]:
    """A covariance of two parameters follows the variances of both: where resolutions change, correlations stay."""
    for row, first in enumerate(_PARAMETERS):
        for second in _PARAMETERS[:row]:
            variances = tuple((f"track_{{slot}}_{name}{name}", 0.5) for name in (first, second))
            yield Tie(f"track_{{slot}}_{first}{second}", variances)


_TIES = (
    *(Tie(f"track_{{slot}}_vertex_{name}", ((f"track_{{slot}}_vertex_{name}", 1.0),), factor=1.0) for name in _SAME_VERTEX),
    *_covariances(),
    Tie("track_{slot}_vertex_displacement_significance", (("track_{slot}_vertex_displacement", 1.0),)),
    *(
        Tie(
            f"track_{number}_{name.lower()}_significance",
            ((f"track_{{slot}}_{name}", 1.0), (f"track_{{slot}}_{name}{name}", -0.5)),
            1.0,
            _ROUNDED_SIGNIFICANCE,
            beside=f"track_{number}_{other.lower()}_significance",
        )
        for number in (2, 3)
        for name, other in (("D0", "Z0"), ("Z0", "D0"))
    ),
)


def _of_vertices(feature: str, function: str, *sources: str) -> Summary:
    """A summary of the secondary vertices, which several tracks share."""
    names = tuple(f"track_{{slot}}_vertex_{source}" for source in sources)
    return Summary(feature, function, names, "track_{slot}_vertex_displacement", distinct=True)


_SUMMARIES = (
    # The inputs of the probability are rounded, its logarithm is a sum over tracks.
    Summary("jet_prob", "jet_probability", ("track_{slot}_D0", "track_{slot}_D0D0"), "track_{slot}_D0D0", tolerance=0.01),
    _of_vertices("vertex_mass", "total", "mass"),
    _of_vertices("vertex_energy_fraction", "total", "energy_fraction"),
    _of_vertices("vertex_significance", "vertex_significance", "displacement", "displacement_significance"),
    _of_vertices("delta_r_vertex", "mean_delta_r", "n_tracks", "delta_eta_jet", "delta_phi_jet"),
)

JET_FLAVOR = Schema(
    name="jet_flavor",
    version="1.0",
    description="Jet Flavor 2016, Delphes simulation: 16 jet inputs and 28 of each of the 6 leading tracks.",
    tree="jets",
    groups=(_JET, _VERTEX, _TRACK),
    classes=(
        FlavourClass.of("b", "jet_parton_flavour == 5"),
        FlavourClass.of("c", "jet_parton_flavour == 4"),
        FlavourClass.of("light", "jet_parton_flavour == 0"),
    ),
    spectators=(
        Spectator("event", "event"),
        Spectator("parton_flavour", "jet_parton_flavour"),
        Spectator("hadron_flavour", "jet_hadron_flavour"),
        Spectator("generator_weight", "generator_weight", default=1.0, real=True),
    ),
    pt="jet_pt",
    eta="jet_eta",
    helix=Helix(
        group="track",
        d0="track_{slot}_D0",
        d0_variance="track_{slot}_D0D0",
        z0="track_{slot}_Z0",
        z0_variance="track_{slot}_Z0Z0",
        phi="track_{slot}_PHI",
        theta="track_{slot}_THETA",
        q_over_p="track_{slot}_QOVERP",
    ),
    ties=_TIES,
    summaries=_SUMMARIES,
)
