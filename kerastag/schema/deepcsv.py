"""The 66 inputs of CMS's DeepCSV tagger in its own order, under PFNano's branch names. Lengths are cm, momenta GeV.

Files mark an absent value by -999; in PFNano, track slots beyond the number of tracks hold arbitrary values. The network was
trained with 0 for absent values, so 0 is the default. There are two exceptions with the default -1. Whole numbers have it,
because 0 has a meaning for them. The four quantities "above charm" have it, because they are -1 in jets whose tracks stay
below the mass of charm. Where files have -999 for these, a jet has too few tracks, and DeepCSV gives no answer.

Files have a tree `jets` with an entry per jet, as the sample of the package, or PFNano's `Events` with jets nested in events.
The jet's pT is the uncalibrated one.

Impact parameters have the sign of the lifetime, and flip; tracks come by descending significance in the plane. Which track is
"above charm" depends on that order, so a flip of its sign would not give what the tracks in reverse give: it stays. Flight
distances flip, but files hold vertices in front of the jet alone, not those behind. In jets with more than six tracks the most
negative ones are not there.

Reference: CMS, JINST 13 (2018) P05011, arXiv:1712.07158, section 5.1.
"""

from typing import Any

from kerastag.schema.structure import FlavourClass, Schema, Spectator, Tie
from kerastag.schema.variables import Group, Variable

ABSENT = -999.0
PREFIX = "Jet_DeepCSV_"
TRACK_SLOTS, VERTEX_TRACK_SLOTS = 6, 4


_ANY_TRACK = "it belongs to a track that need not be among the six"
_NO_VALUE = "the impact parameter is no input"
_NO_MOMENTUM = "the momentum is no input"


def _real(name: str, unit: str, label: str, default: float = 0.0, branch: str | None = None, **facts: Any) -> Variable:
    return Variable(name, PREFIX + (branch or name), unit, label, default, sentinel=ABSENT, **facts)


def _whole(name: str, label: str) -> Variable:
    return Variable(name, PREFIX + name, "", label, -1.0, integer=True, valid_min=0.0, sentinel=ABSENT)


_JET = Group(
    "jet",
    (
        Variable("jetPt", "Jet_pt * (1 - Jet_rawFactor)", "GeV", r"jet $p_T$ before calibration"),
        Variable("jetAbsEta", "abs(Jet_eta)", "", r"jet $|\eta|$", default=-1.0),
        _whole("jetNSecondaryVertices", "secondary vertices"),
        _real("trackSumJetEtRatio", "", r"$E_T$(tracks)/$E_T$(jet)"),
        _real("trackSumJetDeltaR", "", r"$\Delta R$(tracks, jet)"),
        _whole("vertexCategory", "category: vertex, pseudo-vertex, none"),
    ),
    optional=False,
)

_ABOVE_CHARM = Group(
    "charm",
    (
        _real("trackSip2dValAboveCharm", "cm", "signed 2-D IP above charm", -1.0, untied=_ANY_TRACK),
        _real("trackSip2dSigAboveCharm", "", r"signed 2-D IP/$\sigma$ above charm", -1.0),
        _real("trackSip3dValAboveCharm", "cm", "signed 3-D IP above charm", -1.0, untied=_ANY_TRACK),
        _real("trackSip3dSigAboveCharm", "", r"signed 3-D IP/$\sigma$ above charm", -1.0),
    ),
)

_COUNT = Group(
    "count",
    (_whole("jetNSelectedTracks", "selected tracks"), _whole("jetNTracksEtaRel", r"tracks with $\eta_{rel}$")),
    optional=False,
)

_TRACK = Group(
    "track",
    (
        _real("trackJetDist_{slot}", "cm", "distance to jet axis", branch="trackJetDistVal_{slot}"),
        _real("trackPtRel_{slot}", "GeV", r"$p_T^{rel}$"),
        _real("trackDeltaR_{slot}", "", r"$\Delta R$(track, jet)"),
        _real("trackPtRatio_{slot}", "", r"$p_T^{rel}/p$", untied=_NO_MOMENTUM),
        _real("trackSip3dSig_{slot}", "", r"signed 3-D IP/$\sigma$", untied=_NO_VALUE, flips=True),
        _real("trackSip2dSig_{slot}", "", r"signed 2-D IP/$\sigma$", untied=_NO_VALUE, flips=True),
        _real("trackDecayLenVal_{slot}", "cm", "decay length"),
    ),
    slots=TRACK_SLOTS,
    count=PREFIX + "jetNSelectedTracks",
    descends=True,
)

_VERTEX_TRACK = Group(
    "vertex track",
    (_real("trackEtaRel_{slot}", "", r"$\eta_{rel}$"),),
    slots=VERTEX_TRACK_SLOTS,
    count=PREFIX + "jetNTracksEtaRel",
)

_VERTEX = Group(
    "vertex",
    (
        _real("vertexMass", "GeV", "corrected vertex mass"),
        _whole("vertexNTracks", "tracks at vertices"),
        _real("vertexEnergyRatio", "", r"$E$(vertices)/$E$(tracks)", special=(1.0,)),
        _real("vertexJetDeltaR", "", r"$\Delta R$(vertex, jet)"),
    ),
)

_FLIGHT = Group(
    "flight",
    (
        _real("flightDistance2dVal", "cm", "2-D flight distance", flips=True),
        _real("flightDistance2dSig", "", r"2-D flight distance/$\sigma$", flips=True),
        _real("flightDistance3dVal", "cm", "3-D flight distance", flips=True),
        _real("flightDistance3dSig", "", r"3-D flight distance/$\sigma$", flips=True),
    ),
)

_TIES = (
    Tie("trackSip2dSigAboveCharm", (("trackSip2dValAboveCharm", 1.0),)),
    Tie("trackSip3dSigAboveCharm", (("trackSip3dValAboveCharm", 1.0),)),
    Tie("flightDistance2dSig", (("flightDistance2dVal", 1.0),)),
    Tie("flightDistance3dSig", (("flightDistance3dVal", 1.0),)),
)

DEEPCSV = Schema(
    name="deepcsv",
    version="1.0",
    description="The 66 inputs of CMS's DeepCSV tagger: jet, 6 tracks, secondary vertices.",
    tree=("jets", "Events"),
    groups=(_JET, _ABOVE_CHARM, _COUNT, _TRACK, _VERTEX_TRACK, _VERTEX, _FLIGHT),
    classes=(
        FlavourClass.of("b", "Jet_hadronFlavour == 5"),
        FlavourClass.of("c", "Jet_hadronFlavour == 4"),
        FlavourClass.of("light", "Jet_hadronFlavour == 0"),
    ),
    spectators=(
        Spectator("event", "event"),
        Spectator("parton_flavour", "jet_parton_flavour"),
        Spectator("hadron_flavour", "Jet_hadronFlavour"),
        Spectator("generator_weight", "generator_weight", default=1.0, real=True),
    ),
    pt="jetPt",
    eta="jetAbsEta",
    ties=_TIES,
)
