"""The 1,360 inputs of CMS's DeepDoubleX taggers (102X, V02), which tell H → bb and H → cc jets from others.

A jet has 5 quantities of its own, 60 slots of candidates with 8 variables, 40 of charged candidates with 21, and 5 of secondary
vertices with 7. CMS fills 40 of the 60 slots. Empty slots are 0.

Names and order are those of CMS's public producer, cms-sw/cmssw
RecoBTag/ONNXRuntime/plugins/DeepDoubleXONNXJetTagsProducer.cc, version "V2". They stand for branches too. CERN Open Data 12102
has the inputs of DeepDoubleBvL under other names, and the config `hbb_12102` reads them; H → cc jets are not in it.

There is no negative tagger: signed impact parameters below -1 are -1, as in `kerastag.schema.deepflavour`.

Reference: CMS-DP-2018-046.
"""

from typing import Any

from kerastag.schema.structure import FlavourClass, Schema, Tie
from kerastag.schema.variables import Group, Variable

CANDIDATE_SLOTS, CHARGED_SLOTS, VERTEX_SLOTS = 60, 40, 5


def _variable(name: str, unit: str = "", **facts: Any) -> Variable:
    return Variable(name, name, unit, name, **facts)


# Facts of CMS's converters, see `kerastag.schema.deepflavour`. A jet without subjets is at a ΔR of -1 to them.
_FACTS: dict[str, dict[str, Any]] = {
    **{f"trackSip{dimensions}d{kind}": {"special": (-1.0,)} for dimensions in (2, 3) for kind in ("Val", "Sig")},
    **{f"drsubjet{number}": {"special": (-1.0,)} for number in (1, 2)},
    **{name: {"special": (1.0,), "tabulated": True} for name in ("hadFrac", "puppiw")},
    "chi2": {"special": (-1.0,), "tabulated": True},
    "quality": {"integer": True},
    "ntracks": {"integer": True},
}


def _slots(prefix: str, *variables: tuple[str, str]) -> tuple[Variable, ...]:
    return tuple(
        Variable(f"{prefix}_{name}_{{slot}}", f"{prefix}_{name}", unit, name, **_FACTS.get(name, {}))
        for name, unit in variables
    )


_JET = Group(
    "jet",
    (
        _variable("jetNTracks", integer=True),
        _variable("tau1_trackEtaRel_0", default=-1.0),
        _variable("tau1_trackEtaRel_1", default=-1.0),
        _variable("tau1_vertexDeltaR", default=-1.0),
        _variable("tau1_vertexEnergyRatio", default=-1.0),
    ),
    optional=False,
)

_CANDIDATE = Group(
    "candidate",
    _slots(
        "pf",
        ("deltaR_noclip", ""),
        ("drminsv", ""),
        ("drsubjet1", ""),
        ("drsubjet2", ""),
        ("erel", ""),
        ("hadFrac", ""),
        ("ptrel_noclip", ""),
        ("puppiw", ""),
    ),
    slots=CANDIDATE_SLOTS,
)

_CHARGED = Group(
    "charged candidate",
    _slots(
        "cpf",
        ("trackEtaRel", ""),
        ("trackJetDistVal", "cm"),
        ("trackPParRatio", ""),
        ("trackPtRatio", ""),
        ("trackSip2dSig", ""),
        ("trackSip2dVal", "cm"),
        ("trackSip3dSig", ""),
        ("trackSip3dVal", "cm"),
        ("deltaR", ""),
        ("drminsv", ""),
        ("drsubjet1", ""),
        ("drsubjet2", ""),
        ("dxy", "cm"),
        ("dxysig", ""),
        ("dz", "cm"),
        ("dzsig", ""),
        ("erel", ""),
        ("etarel", ""),
        ("chi2", ""),
        ("ptrel_noclip", ""),
        ("quality", ""),
    ),
    slots=CHARGED_SLOTS,
)

_VERTEX = Group(
    "vertex",
    _slots(
        "sv",
        ("costhetasvpv", ""),
        ("deltaR", ""),
        ("dxysig", ""),
        ("mass", "GeV"),
        ("ntracks", ""),
        ("pt", "GeV"),
        ("ptrel", ""),
    ),
    slots=VERTEX_SLOTS,
)

_SIGNIFICANCES = (
    ("cpf_trackSip2dSig_{slot}", "cpf_trackSip2dVal_{slot}"),
    ("cpf_trackSip3dSig_{slot}", "cpf_trackSip3dVal_{slot}"),
    ("cpf_dxysig_{slot}", "cpf_dxy_{slot}"),
    ("cpf_dzsig_{slot}", "cpf_dz_{slot}"),
)

_CLASSES = {
    "QCD": FlavourClass.of("QCD", "isQCD != 0"),
    "Hbb": FlavourClass.of("Hbb", "isHbb != 0"),
    "Hcc": FlavourClass.of("Hcc", "isHcc != 0"),
}


def _schema(name: str, *classes: str) -> Schema:
    return Schema(
        name=f"deepdoublex_{name.lower()}",
        version="1.0",
        description=f"The 1,360 inputs of CMS's DeepDouble{name} tagger: jet, candidates, secondary vertices.",
        tree="tree",
        groups=(_JET, _CANDIDATE, _CHARGED, _VERTEX),
        classes=tuple(_CLASSES[flavour] for flavour in classes),
        spectators=(),
        pt="jetNTracks",
        eta="jetNTracks",
        ties=tuple(Tie(feature, ((value, 1.0),)) for feature, value in _SIGNIFICANCES),
    )


DEEPDOUBLEX = {
    "BvL": _schema("BvL", "QCD", "Hbb"),
    "CvL": _schema("CvL", "QCD", "Hcc"),
    "CvB": _schema("CvB", "Hbb", "Hcc"),
}
