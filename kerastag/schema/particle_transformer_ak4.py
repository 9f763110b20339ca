"""The 1,016 inputs of CMS's Particle Transformer for AK4 jets, in its own order, under DeepNTuple's branch names; cm and GeV.

A jet has 25 charged candidates with 16 variables, 25 neutral ones with 8, and 12 secondary vertices with 14, in stored order.
Each of these objects ends in its four-vector px, py, pz, e. No quantity of the jet itself is an input; its pT and η are
spectators. Empty slots are 0, so 0 is the default, and the network takes slots with px = 0 for empty.

* The variables of charged candidates are those of `kerastag.schema.deepflavour`; what is special, tabulated or tied there is so
  here. Neutral candidates and vertices have |Δη| and |Δφ| to the jet in addition, with 0.5 subtracted and an end at 0.
* A four-vector moves as a whole, in proportion to its energy, and takes the pT of a vertex along. Moved on its own, a component
  would give objects masses that none has, of which the network makes much. Nothing else follows: ratios of pT and distances to
  the jet, which say the same in other words, move on their own.
* CMS's producer fills 5 of the 12 slots of vertices, BTVNano stores 12. The network takes any number.
* DeepNTuples hold pT, η, φ and e, of which px, py and pz are made here. In early ones, such as those of `deepntuple`,
  `Npfcan_etarel` and `Npfcan_phirel` are signed distances; they are not what the network was trained on.
* `kerastag simulate --candidates` and `convert_pfnano` write the same names into a tree `jets`.
* BTVNano has a branch for each slot, `Jet_DeepJet_Cpfcan_<name>_<slot>` and the like: the config `btvnano` reads them.
"""

from typing import Any

from kerastag.schema.deepflavour import CHARGED_SLOTS, DEEPFLAVOUR, NEUTRAL_SLOTS
from kerastag.schema.structure import Kinematics, Schema, Spectator, Tie
from kerastag.schema.variables import Group, Variable

VERTEX_SLOTS = 12
# The last variables of every object, in this order.
FOUR_VECTOR = ("px", "py", "pz", "e")

_DEEPFLAVOUR = {group.name: group.variables for group in DEEPFLAVOUR.groups}


def _variable(prefix: str, name: str, unit: str, label: str, branch: str = "", **facts: Any) -> Variable:
    return Variable(f"{prefix}{name}_{{slot}}", branch or prefix + name, unit, label, **facts)


def _distances(prefix: str) -> tuple[Variable, ...]:
    """|Δη| and |Δφ| to the jet, less 0.5."""
    return tuple(
        _variable(prefix, name, unit, label, valid_min=-0.5, valid_max=0.0)
        for name, unit, label in (("etarel", "", r"$|\Delta\eta|$ - 0.5"), ("phirel", "rad", r"$|\Delta\phi|$ - 0.5"))
    )


def _four_vector(prefix: str) -> tuple[Variable, ...]:
    pt, eta, phi = (prefix + name for name in ("pt", "eta", "phi"))
    return (
        _variable(prefix, "px", "GeV", "$p_x$", f"{pt} * cos({phi})"),
        _variable(prefix, "py", "GeV", "$p_y$", f"{pt} * sin({phi})"),
        _variable(prefix, "pz", "GeV", "$p_z$", f"{pt} * sinh({eta})"),
        _variable(prefix, "e", "GeV", "energy", valid_min=0.0),
    )


def _with_distances(group: str, prefix: str, after: str) -> tuple[Variable, ...]:
    """Variables of a group of DeepFlavour, with those of `_distances` behind one of them."""
    variables = _DEEPFLAVOUR[group]
    place = [variable.branch for variable in variables].index(prefix + after) + 1
    return (*variables[:place], *_distances(prefix), *variables[place:])


_GROUPS = (
    Group(
        "charged candidate",
        (*_DEEPFLAVOUR["charged candidate"], *_four_vector("Cpfcan_")),
        slots=CHARGED_SLOTS,
    ),
    Group(
        "neutral candidate",
        (*_with_distances("neutral candidate", "Npfcan_", after="ptrel"), *_four_vector("Npfcan_")),
        slots=NEUTRAL_SLOTS,
    ),
    Group(
        "vertex",
        (*_with_distances("vertex", "sv_", after="mass"), *_four_vector("sv_")),
        slots=VERTEX_SLOTS,
    ),
)

# With the significances of DeepFlavour, what follows the energy of the same object.
_FOLLOWERS = (*(f"{prefix}{name}" for prefix in ("Cpfcan_", "Npfcan_", "sv_") for name in FOUR_VECTOR[:3]), "sv_pt")
_TIES = (
    *(tie for tie in DEEPFLAVOUR.ties if "{slot}" in tie.feature),
    *(Tie(f"{name}_{{slot}}", ((f"{name.partition('_')[0]}_e_{{slot}}", 1.0),)) for name in _FOLLOWERS),
)

PARTICLE_TRANSFORMER_AK4 = Schema(
    name="particle_transformer_ak4",
    version="1.0",
    description="The 1,016 inputs of CMS's Particle Transformer for AK4 jets: candidates and secondary vertices.",
    tree=DEEPFLAVOUR.tree,
    groups=_GROUPS,
    classes=DEEPFLAVOUR.classes,
    spectators=(
        *DEEPFLAVOUR.spectators,
        Spectator("jet_pt", "jet_pt", real=True),
        Spectator("jet_eta", "jet_eta", default=-9.0, real=True),
    ),
    ties=_TIES,
    kinematics=tuple(
        Kinematics(group.name, momentum=tuple(variable.name for variable in group.variables[-len(FOUR_VECTOR) :]))
        for group in _GROUPS
    ),
)
