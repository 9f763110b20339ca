"""A schema and its parts beside variables: helices, ties, flavour classes and spectators."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerastag import flavours
from kerastag.errors import UserError, nearest
from kerastag.schema import discriminators, plain
from kerastag.schema.discriminators import Discriminator, Separation
from kerastag.schema.variables import OF_ATTACKS, Feature, Group, columns


@dataclasses.dataclass(frozen=True)
class Helix:
    """Names of the features that make up the helix of a track, with `{slot}`; φ and θ are relative to the jet axis.

    Attributes:
        group: Name of the group of tracks.
        d0, z0: Impact parameters.
        d0_variance, z0_variance: Their squared uncertainties; a track exists where that of d0 is not its default.
        phi, theta: Direction relative to the jet, rad.
        q_over_p: Charge over momentum, 1/GeV.
    """

    __pydantic_config__ = plain.STRICT

    group: str
    d0: str
    d0_variance: str
    z0: str
    z0_variance: str
    phi: str
    theta: str
    q_over_p: str


@dataclasses.dataclass(frozen=True)
class Kinematics:
    """Features that say where the objects of a group point and what momentum they have, with `{slot}`; `Helix` says both.

    Attributes:
        group: Name of a group with slots.
        eta, phi: Δη and Δφ to the axis of the jet; "" if there are none.
        momentum: px, py, pz and E in GeV, or pT alone, which with `eta` and `phi` makes a massless particle; () if there is
            none.
    """

    __pydantic_config__ = plain.STRICT

    group: str
    eta: str = ""
    phi: str = ""
    momentum: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Tie:
    """A feature that is no measurement of its own: when its sources s move, it moves by Π (s'/s)^p.

    Attributes:
        feature: Name of the feature that follows, with `{slot}` where it is one of each slot.
        sources: Names of the features that it follows, each with its power p. `{slot}` in them stands for the feature's own
            slot, or with `factor` for any slot; if both are the same variable, for an earlier one.
        factor: None if the feature follows in all jets. Otherwise it follows the first slot in which it is `factor` times
            Π |s|^p, and moves on its own where there is no such slot.
        tolerance: Largest difference for that comparison beside rounding, in the feature's unit.
        beside: Feature whose tie must hold in the same slot, since both are of one object; "" for none.
    """

    __pydantic_config__ = plain.STRICT

    feature: str
    sources: tuple[tuple[str, float], ...]
    factor: float | None = None
    tolerance: float = 0.0
    beside: str = ""


@dataclasses.dataclass(frozen=True)
class Summary:
    """A feature of the jet that is made of all objects of a kind: where those in the slots give its value, it follows them.

    Attributes:
        feature: Name of the feature that follows.
        function: Name in `kerastag.attacks.summaries.FUNCTIONS`.
        sources: Features that the function takes, in its order, with `{slot}`.
        present: Feature that tells whether a slot holds such an object: it is neither its default nor a special value.
        distinct: Whether slots where `present` is the same are one object.
        tolerance: Largest relative difference between the feature and the function.
    """

    __pydantic_config__ = plain.STRICT

    feature: str
    function: str
    sources: tuple[str, ...]
    present: str
    distinct: bool = False
    tolerance: float = 1e-3


@dataclasses.dataclass(frozen=True)
class FlavourClass:
    """An output class of a tagger.

    Attributes:
        name: Name of the class.
        branch: Expression of branches that is true for jets of the class.
        label: Label in figures, matplotlib's mathtext.
        color: Colour in figures.
    """

    __pydantic_config__ = plain.STRICT

    name: str
    branch: str
    label: str
    color: str

    @classmethod
    def of(cls, name: str, branch: str) -> "FlavourClass":
        """A class with the label and colour of `kerastag.flavours.STYLES`.

        Raises:
            UserError: if there is no class of that name.
        """
        if name not in flavours.STYLES:
            raise UserError(f"There is no class of jets '{name}'; there are {', '.join(flavours.STYLES)}.")
        style = flavours.STYLES[name]
        return cls(name, branch, style.label, style.color)


@dataclasses.dataclass(frozen=True)
class Spectator:
    """A quantity that is kept with a jet but is no input.

    Attributes:
        name: Name of the spectator.
        branch: ROOT branch.
        default: Value where an optional branch is absent.
        optional: Whether files may lack the branch.
        real: Whether it is a real number, kept as float64, and not a whole one.
    """

    __pydantic_config__ = plain.STRICT

    name: str
    branch: str
    default: float = -1
    optional: bool = True
    real: bool = False


@dataclasses.dataclass(frozen=True)
class Schema:
    """An input format, as reading, training, attacks and figures need it.

    Attributes:
        name: Name of the schema and of its data set's config.
        groups: Groups of inputs; their features, one after the other, are the columns of x.
        classes: Output classes, in the order of the logits.
        tree: Path of the TTree or RNTuple in each ROOT file, one entry per jet or per event; of several, the first that
            exists. Other kinds of files need none.
        version: Two numbers, raised whenever a feature, default or selection changes.
        description: One sentence.
        spectators: Quantities that are kept with each jet. `event` keeps jets of an event in one split, and `generator_weight`
            weights them; other names are free.
        pt: Name of the feature that is the jet's transverse momentum, for weights; "" if there is none.
        eta: Name of the feature that is the jet's pseudorapidity, for weights; "" if there is none.
        selection: Expression of branches that a jet must fulfil; "" keeps all.
        helix: Features that are the helices of tracks; None if there are none.
        kinematics: Directions and momenta of other groups than that of the helix, for networks on particles.
        ties: Which features follow others in an attack; what a tie follows may be held by an earlier one.
        summaries: Which features of the jet follow all slots of a group in an attack.
        ratios: Discriminators of one's own, that of headlines first; none for `discriminators.default`.
    """

    __pydantic_config__ = plain.STRICT

    name: str
    groups: tuple[Group, ...]
    classes: tuple[FlavourClass, ...]
    tree: str | tuple[str, ...] = ()
    version: str = "1.0"
    description: str = ""
    spectators: tuple[Spectator, ...] = ()
    pt: str = ""
    eta: str = ""
    selection: str = ""
    helix: Helix | None = None
    ties: tuple[Tie, ...] = ()
    summaries: tuple[Summary, ...] = ()
    ratios: tuple[Discriminator, ...] = ()
    kinematics: tuple[Kinematics, ...] = ()

    @functools.cached_property
    def discriminators(self) -> dict[str, Discriminator]:
        """What taggers are asked, by name; the first is that of headlines."""
        return {one.name: one for one in self.ratios or discriminators.default(self.class_names)}

    @functools.cached_property
    def separations(self) -> dict[str, Separation]:
        """The same in the columns of labels and logits, by name."""
        return {name: Separation.of(one, self.class_names) for name, one in self.discriminators.items()}

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the discriminators in tables, at most three."""
        return tuple(self.discriminators)[:3]

    @property
    def in_tables(self) -> tuple[Separation, ...]:
        """The discriminators of `headline`."""
        return tuple(self.separations[name] for name in self.headline)

    @property
    def main(self) -> Separation:
        """The first discriminator, which headlines, claims and working points are about."""
        return self.separations[self.headline[0]]

    @functools.cached_property
    def features(self) -> tuple[Feature, ...]:
        """Input columns, in order."""
        return tuple(feature for group in self.groups for feature in columns(group))

    @property
    def trees(self) -> tuple[str, ...]:
        """Paths of the TTrees, the preferred one first."""
        return (self.tree,) if isinstance(self.tree, str) else self.tree

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names in column order."""
        return tuple(feature.name for feature in self.features)

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return tuple(flavour.name for flavour in self.classes)

    @functools.cached_property
    def defaults(self) -> np.ndarray:
        """Defaults, float32 `(features,)`."""
        return np.array([feature.default for feature in self.features], np.float32)

    @functools.cached_property
    def integer(self) -> np.ndarray:
        """Integer flags, bool `(features,)`."""
        return np.array([feature.integer for feature in self.features], bool)

    @functools.cached_property
    def optional_objects(self) -> tuple[tuple[int, ...], ...]:
        """Columns of each object that may be absent: a tuple per track slot, vertex slot or vertex group."""
        optional = {group.name for group in self.groups if group.optional}
        objects: dict[tuple[str, int | None], list[int]] = {}
        for column, feature in enumerate(self.features):
            if feature.group in optional:
                objects.setdefault((feature.group, feature.slot), []).append(column)
        return tuple(tuple(columns) for columns in objects.values())

    @functools.cached_property
    def helix_features(self) -> dict[str, tuple[str, ...]]:
        """Names of the features of all tracks by parameter of `helix`; empty if the schema has no helices."""
        if self.helix is None:
            return {}
        templates = dataclasses.asdict(self.helix)
        tracks = templates.pop("group")
        slots = {group.name: group.slots or 0 for group in self.groups}[tracks]
        return {name: tuple(template.format(slot=slot) for slot in range(slots)) for name, template in templates.items()}

    def kinematic_features(self, group: str) -> dict[str, tuple[str, ...]]:
        """Names of the features of all slots of a group that give direction and momentum; empty if there are none.

        They are `phi`, `theta` and `q_over_p` of a helix, or `eta` and `phi`, and `pt` or `px`, `py`, `pz` and `energy`.

        Args:
            group: Name of the group.
        """
        if self.helix and self.helix.group == group:
            return {name: self.helix_features[name] for name in ("phi", "theta", "q_over_p")}
        slots = {one.name: one.slots or 0 for one in self.groups}[group]
        templates: dict[str, str] = {}
        for one in (one for one in self.kinematics if one.group == group):
            parts = ("pt",) if len(one.momentum) == 1 else ("px", "py", "pz", "energy")
            templates = {"eta": one.eta, "phi": one.phi} if one.eta else {}
            templates |= dict(zip(parts, one.momentum, strict=False))
        return {name: tuple(template.format(slot=slot) for slot in range(slots)) for name, template in templates.items()}

    @property
    def largest_group(self) -> Group | None:
        """The group with the most slots; None if no group has slots."""
        largest = max(self.groups, key=lambda group: group.slots or 0)
        return largest if largest.slots else None

    def index(self, name: str) -> int:
        """Column of a feature.

        Raises:
            UserError: if there is no feature of that name; the message lists the nearest names.
        """
        if name not in self.names:
            raise UserError(f"Schema {self.name} has no feature '{name}'; the nearest are {nearest(name, self.names)}.")
        return self.names.index(name)

    def restricted(self, inputs: Sequence[str]) -> "Schema":
        """The schema with only some groups, or some of their leading slots.

        The helix is dropped with its tracks or the jet's pseudorapidity, a tie or summary with any of its features.

        Args:
            inputs: Names of groups, with a number of slots to limit them: ("jet", "track:2"). Empty for all groups.

        Raises:
            UserError: if there is no such group or slot.
        """
        if not inputs:
            return self
        slots = {}
        for entry in inputs:
            name, _, number = entry.partition(":")
            slots[name] = self._limited_slots(name, number)
        groups = tuple(dataclasses.replace(group, slots=slots[group.name]) for group in self.groups if group.name in slots)
        names = {variable.name for group in groups for variable in group.variables}
        ties = tuple(tie for tie in self.ties if names.issuperset([tie.feature, *dict(tie.sources), tie.beside or tie.feature]))
        summaries = tuple(s for s in self.summaries if names.issuperset([s.feature, *s.sources, s.present]))
        kinematics = tuple(one for one in self.kinematics if one.group in slots)
        schema = dataclasses.replace(self, groups=groups, helix=None, kinematics=kinematics, ties=ties, summaries=summaries)
        has_helix = self.helix is not None and self.helix.group in slots and self.eta in schema.names
        return dataclasses.replace(schema, helix=self.helix) if has_helix else schema

    def _limited_slots(self, name: str, number: str) -> int | None:
        """Slots of the group `name`, at most `number` unless that is empty."""
        by_name = {group.name: group.slots for group in self.groups}
        if name not in by_name:
            raise UserError(f"{self.name} has no group of inputs '{name}'; it has {', '.join(by_name)}.")
        slots = by_name[name]
        if not number:
            return slots
        if slots is None or not number.isdecimal() or not 1 <= int(number) <= slots:
            available = f"1 to {slots} slots" if slots else "no slots"
            raise UserError(f"'{name}:{number}' asks for slots of the group '{name}', which has {available}.")
        return int(number)

    def to_dict(self) -> dict[str, Any]:
        """The schema as plain Python data, for JSON."""
        return dataclasses.asdict(self)

    def facts_of_data(self) -> dict[str, Any]:
        """What of `to_dict` shapes a data set; what tells attacks and the negative tagger alone is left out."""
        content = self.to_dict()
        del content["ties"], content["summaries"], content["ratios"], content["kinematics"]
        for group in content["groups"]:
            del group["descends"]
            for variable in group["variables"]:
                for name in (*OF_ATTACKS, "flips"):
                    del variable[name]
        return content

    def facts_of_attacks(self) -> dict[str, Any]:
        """What of `to_dict` decides where an attack may go, beside valid ranges and defaults."""
        variables = [variable for group in self.groups for variable in group.variables]
        facts = {variable.name: {name: getattr(variable, name) for name in OF_ATTACKS} for variable in variables}
        content = self.to_dict()
        return {"ties": content["ties"], "summaries": content["summaries"], "variables": facts}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Schema":
        """The inverse of `to_dict`, also after JSON has made lists of tuples.

        Raises:
            UserError: if a field is missing, unknown or of another type.
        """
        return plain.build(cls, content)
