"""CMS DeepNTuple in its early quark/gluon form: jets of tt̄ simulation with charged candidates and secondary vertices.

Lengths are cm, momenta GeV. Why these inputs:

* Candidates stay in stored order, which follows impact-parameter significance. Sorted by |dxy|, the leading ones would be
  pile-up and interaction products. Those beyond |dxy| = 0.5 cm or |dz| = 1 cm, half of them pile-up, get no slot.
* `dxy` has no lifetime sign; sign(-dxy·sin(phirel))·|dxy| replaces it.
* Variances span ten decades; their square roots, the uncertainties, are inputs.
* The pointing angle replaces its cosine. Half the cosines lie within 0.001 of 1, so a budget in units of their σ would be
  larger than the differences between vertices.
* Defaults are 0 where only positive values occur, else slightly below the smallest possible value. A recipe that scales absent
  cells like any other (`paper`) then finds them near the rest.
* CMS packs the three uncertainties of a candidate into 7 bits each: those of η, and those of pT and φ times pT, come from
  tables with steps of 12 % in the variance. Below 0.95 GeV most candidates keep no uncertainties. All three are then at the
  lower end of their table, which is exp(-10) for η.
* The impact parameters flip for a negative tagger; the order of candidates has no sign. Distances of vertices have none either,
  and stay.
* Left out: neutral candidates, the quark-gluon discriminants jet_qgl and QG_*, and all generator-level branches.
"""

import math
from typing import Any

from kerastag.schema.structure import FlavourClass, Schema, Spectator, Tie
from kerastag.schema.variables import Group, Variable

# The uncertainty of η of candidates that keep none.
_NO_UNCERTAINTY = math.exp(-10)

_JET = Group(
    "jet",
    (
        Variable("jet_pt", "jet_pt", "GeV", r"jet $p_T$", valid_min=0.0),
        Variable("jet_abs_eta", "abs(jet_eta)", "", r"jet $|\eta|$", default=-1.0),
        Variable("n_charged", "n_Cpfcand", "", "charged candidates", default=-1.0, integer=True),
        Variable("n_neutral", "n_Npfcand", "", "neutral candidates", default=-1.0, integer=True),
        Variable("n_vertices", "n_sv", "", "secondary vertices", default=-1.0, integer=True),
        Variable("n_primary_vertices", "npv", "", "primary vertices", default=-1.0, integer=True),
    ),
    optional=False,
)


def _track(name: str, branch: str, unit: str, label: str, default: float = 0.0, **facts: Any) -> Variable:
    return Variable(f"track_{{slot}}_{name}", branch, unit, label, default, **facts)


def _vertex(name: str, branch: str, unit: str, label: str, default: float = 0.0, **facts: Any) -> Variable:
    return Variable(f"vertex_{{slot}}_{name}", branch, unit, label, default, **facts)


_TRACK = Group(
    "track",
    (
        _track("pt", "Cpfcan_pt", "GeV", "$p_T$", valid_min=0.0),
        _track("eta_rel", "Cpfcan_etarel", "", r"$\Delta\eta$", -1.0),
        _track("phi_rel", "Cpfcan_phirel", "rad", r"$\Delta\phi$", -1.0),
        _track(
            "signed_dxy",
            "copysign(Cpfcan_dxy, -Cpfcan_dxy * sin(Cpfcan_phirel))",
            "cm",
            r"lifetime-signed $d_{xy}$",
            -0.55,
            flips=True,
        ),
        _track("dz", "Cpfcan_dz", "cm", "$d_z$", -1.1, flips=True),
        _track("pt_error", "sqrt(Cpfcan_dptdpt)", "GeV", r"$\sigma(p_T)$", valid_min=0.0, tabulated=True),
        _track(
            "eta_error",
            "sqrt(Cpfcan_detadeta)",
            "",
            r"$\sigma(\eta)$",
            valid_min=0.0,
            special=(_NO_UNCERTAINTY,),
            tabulated=True,
        ),
        _track("phi_error", "sqrt(Cpfcan_dphidphi)", "rad", r"$\sigma(\phi)$", valid_min=0.0, tabulated=True),
        _track("vertex_association", "Cpfcan_VTX_ass", "", "vertex association", -1.0, integer=True),
        _track("chi2", "Cpfcan_chi2", "", r"$\chi^2/\mathrm{ndf}$", -1.0, integer=True, valid_min=0.0),
    ),
    slots=8,
    select="(abs(Cpfcan_dxy) < 0.5) & (abs(Cpfcan_dz) < 1)",
)

_VERTEX = Group(
    "vertex",
    (
        _vertex("pt", "sv_pt", "GeV", "$p_T$", valid_min=0.0),
        _vertex("mass", "sv_mass", "GeV", "mass", valid_min=0.0),
        _vertex("n_tracks", "sv_ntracks", "", "tracks", integer=True, valid_min=0.0),
        _vertex("chi2", "sv_chi2", "", r"$\chi^2$", valid_min=0.0),
        _vertex("dxy", "sv_dxy", "cm", "$L_{xy}$"),
        _vertex("dxy_significance", "sv_dxy / sv_dxyerr", "", r"$L_{xy}/\sigma$"),
        _vertex("d3d", "sv_d3d", "cm", "$L_{3D}$"),
        _vertex("d3d_significance", "sv_d3d / sv_d3derr", "", r"$L_{3D}/\sigma$"),
        _vertex("pointing_angle", "arccos(fmin(sv_costhetasvpv, 1))", "rad", "pointing angle", -0.1, valid_min=0.0),
    ),
    slots=2,
)

DEEPNTUPLE = Schema(
    name="deepntuple",
    version="1.0",
    description="CMS DeepNTuple (quark/gluon form): 6 jet inputs, 8 tracks, 2 secondary vertices.",
    tree="deepntuplizer/tree",
    groups=(_JET, _TRACK, _VERTEX),
    classes=(
        FlavourClass.of("b", "isB != 0"),
        FlavourClass.of("c", "isC != 0"),
        FlavourClass.of("light", "(isUDS != 0) | (isG != 0)"),
    ),
    spectators=(
        Spectator("event", "event_no"),
        Spectator("parton_flavour", "jet_parton_flavour"),
        Spectator("hadron_flavour", "jet_hadron_flavour"),
        Spectator("generator_weight", "generator_weight", default=1.0, real=True),
    ),
    pt="jet_pt",
    eta="jet_abs_eta",
    ties=(
        # Only their products with pT are tabulated.
        Tie("track_{slot}_pt_error", (("track_{slot}_pt", -1.0),)),
        Tie("track_{slot}_phi_error", (("track_{slot}_pt", -1.0),)),
        Tie("vertex_{slot}_dxy_significance", (("vertex_{slot}_dxy", 1.0),)),
        Tie("vertex_{slot}_d3d_significance", (("vertex_{slot}_d3d", 1.0),)),
    ),
)
