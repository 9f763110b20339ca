"""The 613 inputs of CMS's DeepFlavour (DeepJet) tagger in its own order, under DeepNTuple's branch names; cm and GeV.

A jet has 15 quantities of its own, 25 charged candidates with 16 variables, 25 neutral ones with 6, and 4 secondary vertices
with 12, all in stored order. The network was trained with 0 in empty slots, so 0 is the default there and attacks leave it
alone. A cell of a filled slot that is exactly 0 is left alone as well.

In jets with too few tracks CMS writes -999 for the quantities that are derived from tracks. These are 0.8 % of the training
jets, as the stored means of 7 inputs show, so the network knows the value. The four quantities "above charm" have the default
-1 instead, which they are in jets whose tracks stay below the mass of charm. The tagger finds their -999 by
`trackSumJetEtRatio`, which is absent in the same jets.

What is special or tabulated is known from CMS's software (CMSSW, RecoBTag/FeatureTools and pat::PackedCandidate), not found in
data:

* Signed impact parameters and their significances below -1 become -1, so there is no negative tagger of them. Significances of
  flight distances end at 800, p_T^rel of charged candidates at 4 GeV, and χ²/ndf of vertices at ±1,000, where a vertex without
  degrees of freedom is as well.
* Candidates that keep no track have χ² = -1 and impact parameters of 0. The χ²/ndf of the others is a whole number.
* PUPPI weights are packed into 8 bits, hadronic fractions into hundredths. Weights of 1 and fractions of 1 are frequent.
* ΔR to the nearest vertex has 0.4 subtracted and ends at 0, which stands for no vertex within 0.4. The same holds for ptrel of
  a candidate harder than its jet, and for ΔR of neutral candidates and vertices to the jet beyond 0.6 and 0.5. All these zeros
  equal the default.

Files are DeepNTuples, or have a tree `jets` as those of `kerastag simulate --candidates`.

Reference: Bols et al., JINST 15 (2020) P12012, arXiv:2008.10519, section 3.
"""

from typing import Any

from kerastag.schema.structure import FlavourClass, Schema, Spectator, Tie
from kerastag.schema.variables import Group, Variable

ABSENT = -999.0
TAG_PREFIX = "TagVarCSV_"
_CLIPPED = -1.0
CHARGED_SLOTS, NEUTRAL_SLOTS, VERTEX_SLOTS = 25, 25, 4


def _tag(name: str, unit: str, label: str, default: float, **facts: Any) -> Variable:
    return Variable(name, TAG_PREFIX + name, unit, label, default, **facts)


def _count(name: str, label: str) -> Variable:
    return Variable(name, name, "", label, default=-1.0, integer=True)


_JET = Group(
    "jet",
    (
        Variable("jet_pt", "jet_pt", "GeV", r"jet $p_T$", valid_min=0.0),
        Variable("jet_eta", "jet_eta", "", r"jet $\eta$", default=-3.0),
        _count("nCpfcand", "charged candidates"),
        _count("nNpfcand", "neutral candidates"),
        _count("nsv", "secondary vertices"),
        _count("npv", "primary vertices"),
        _tag("trackSumJetEtRatio", "", r"$E_T$(tracks)/$E_T$(jet)", ABSENT),
        _tag("trackSumJetDeltaR", "", r"$\Delta R$(tracks, jet)", ABSENT),
        _tag("vertexCategory", "", "category: vertex, pseudo-vertex, none", ABSENT, integer=True),
        _tag("trackSip2dValAboveCharm", "cm", "signed 2-D IP above charm", -1.0, sentinel=ABSENT),
        _tag("trackSip2dSigAboveCharm", "", r"signed 2-D IP/$\sigma$ above charm", -1.0, sentinel=ABSENT),
        _tag("trackSip3dValAboveCharm", "cm", "signed 3-D IP above charm", -1.0, sentinel=ABSENT),
        _tag("trackSip3dSigAboveCharm", "", r"signed 3-D IP/$\sigma$ above charm", -1.0, sentinel=ABSENT),
        _tag("jetNSelectedTracks", "", "selected tracks", -1.0, integer=True),
        _tag("jetNTracksEtaRel", "", r"tracks with $\eta_{rel}$", -1.0, integer=True),
    ),
    optional=False,
)


def _slot(prefix: str, name: str, unit: str, label: str, **facts: Any) -> Variable:
    return Variable(f"{prefix}{name}_{{slot}}", prefix + name, unit, label, **facts)


def _charged(name: str, unit: str, label: str, **facts: Any) -> Variable:
    return _slot("Cpfcan_", name, unit, label, **facts)


def _neutral(name: str, unit: str, label: str, **facts: Any) -> Variable:
    return _slot("Npfcan_", name, unit, label, **facts)


def _vertex(name: str, unit: str, label: str, **facts: Any) -> Variable:
    return _slot("sv_", name, unit, label, **facts)


_CHARGED = Group(
    "charged candidate",
    (
        _charged("BtagPf_trackEtaRel", "", r"$\eta_{rel}$"),
        _charged("BtagPf_trackPtRel", "GeV", r"$p_T^{rel}$", special=(4.0,)),
        _charged("BtagPf_trackPPar", "GeV", r"$p_\parallel$"),
        _charged("BtagPf_trackDeltaR", "", r"$\Delta R$(track, jet)"),
        _charged("BtagPf_trackPParRatio", "", r"$p_\parallel/p$", untied="the momentum is no input"),
        _charged("BtagPf_trackSip2dVal", "cm", "signed 2-D IP", special=(_CLIPPED,)),
        _charged("BtagPf_trackSip2dSig", "", r"signed 2-D IP/$\sigma$", special=(_CLIPPED,)),
        _charged("BtagPf_trackSip3dVal", "cm", "signed 3-D IP", special=(_CLIPPED,)),
        _charged("BtagPf_trackSip3dSig", "", r"signed 3-D IP/$\sigma$", special=(_CLIPPED,)),
        _charged("BtagPf_trackJetDistVal", "cm", "distance to jet axis"),
        _charged("ptrel", "", r"$p_T/p_T$(jet) - 1"),
        _charged("drminsv", "", r"$\Delta R$ to nearest vertex"),
        _charged("VTX_ass", "", "vertex association", integer=True),
        _charged("puppiw", "", "PUPPI weight", special=(1.0,), tabulated=True),
        _charged("chi2", "", r"$\chi^2$", special=(-1.0,), tabulated=True),
        _charged("quality", "", "track quality", integer=True),
    ),
    slots=CHARGED_SLOTS,
)

_NEUTRAL = Group(
    "neutral candidate",
    (
        _neutral("ptrel", "", r"$p_T/p_T$(jet) - 1"),
        _neutral("deltaR", "", r"$\Delta R$(candidate, jet)"),
        _neutral("isGamma", "", "photon", integer=True),
        _neutral("HadFrac", "", "hadronic fraction of the energy", special=(1.0,), tabulated=True),
        _neutral("drminsv", "", r"$\Delta R$ to nearest vertex"),
        _neutral("puppiw", "", "PUPPI weight", special=(1.0,), tabulated=True),
    ),
    slots=NEUTRAL_SLOTS,
)

_VERTEX = Group(
    "vertex",
    (
        _vertex("pt", "GeV", r"$p_T$"),
        _vertex("deltaR", "", r"$\Delta R$(vertex, jet)"),
        _vertex("mass", "GeV", "mass"),
        _vertex("ntracks", "", "tracks", integer=True),
        _vertex("chi2", "", r"$\chi^2$"),
        _vertex("normchi2", "", r"$\chi^2/\mathrm{ndf}$", special=(-1000.0, 1000.0)),
        _vertex("dxy", "cm", "$L_{xy}$"),
        _vertex("dxysig", "", r"$L_{xy}/\sigma$", special=(800.0,)),
        _vertex("d3d", "cm", "$L_{3D}$"),
        _vertex("d3dsig", "", r"$L_{3D}/\sigma$", special=(800.0,)),
        _vertex("costhetasvpv", "", "cosine of the pointing angle"),
        _vertex("enratio", "", r"$E$(vertex)/$E$(jet)"),
    ),
    slots=VERTEX_SLOTS,
)

_SIGNIFICANCES = (
    ("trackSip2dSigAboveCharm", "trackSip2dValAboveCharm"),
    ("trackSip3dSigAboveCharm", "trackSip3dValAboveCharm"),
    ("Cpfcan_BtagPf_trackSip2dSig_{slot}", "Cpfcan_BtagPf_trackSip2dVal_{slot}"),
    ("Cpfcan_BtagPf_trackSip3dSig_{slot}", "Cpfcan_BtagPf_trackSip3dVal_{slot}"),
    ("sv_dxysig_{slot}", "sv_dxy_{slot}"),
    ("sv_d3dsig_{slot}", "sv_d3d_{slot}"),
    ("sv_normchi2_{slot}", "sv_chi2_{slot}"),
)

DEEPFLAVOUR = Schema(
    name="deepflavour",
    version="1.0",
    description="The 613 inputs of CMS's DeepFlavour tagger: jet, 25 charged and 25 neutral candidates, 4 secondary vertices.",
    tree=("deepntuplizer/tree", "jets"),
    groups=(_JET, _CHARGED, _NEUTRAL, _VERTEX),
    classes=(
        FlavourClass.of("b", "(isB != 0) | (isBB != 0) | (isGBB != 0) | (isLeptonicB != 0) | (isLeptonicB_C != 0)"),
        FlavourClass.of("c", "(isC != 0) | (isCC != 0) | (isGCC != 0)"),
        FlavourClass.of("light", "(isUD != 0) | (isS != 0) | (isG != 0)"),
    ),
    spectators=(
        Spectator("event", "event_no"),
        Spectator("parton_flavour", "jet_parton_flavour"),
        Spectator("hadron_flavour", "jet_hadron_flavour"),
        Spectator("generator_weight", "generator_weight", default=1.0, real=True),
    ),
    pt="jet_pt",
    eta="jet_eta",
    ties=tuple(Tie(feature, ((value, 1.0),)) for feature, value in _SIGNIFICANCES),
)
