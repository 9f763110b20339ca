"""The parts of a schema: variables in groups, their slots, flavour classes and spectators."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from kerastag.errors import UserError


@dataclasses.dataclass(frozen=True)
class Variable:
    """A quantity measured for the jet, for each track or for each vertex.

    Attributes:
        name: Name of the feature; holds `{slot}` where its group has slots.
        branch: ROOT branch, or an expression of branches in uproot's language (`"Jet_pt * (1 - Jet_rawFactor)"`). In a
            group with slots a branch that holds `{slot}` is flat, one branch a slot; any other is jagged.
        unit: Physical unit, "" if it has none.
        label: Axis label, matplotlib's mathtext.
        default: Value that stands for "absent", verbatim in physical units; a tuple gives one per slot.
        integer: Whether only whole numbers make sense; such cells are never attacked.
        valid_min: Smallest value that is physically possible; below it a value becomes the default. None: no limit.
        valid_max: Largest such value.
        sentinel: Value by which files say that it is absent; it becomes the default. None: they use no finite one.
    """

    name: str
    branch: str
    unit: str = ""
    label: str = ""
    default: float | tuple[float, ...] = 0.0
    integer: bool = False
    valid_min: float | None = None
    valid_max: float | None = None
    sentinel: float | None = None


@dataclasses.dataclass(frozen=True)
class Group:
    """Variables that belong to one kind of object: the jet itself, its tracks or its vertices.

    Attributes:
        name: "jet", "track", "vertex", …
        variables: The variables; features run variable by variable, all slots of one before the next.
        slots: How many leading objects are inputs; None for quantities of the jet, which have no slots.
        count: Branch with the number of objects that are filled. Flat slots at or beyond it are absent.
        order: Expression by which jagged objects are sorted, largest first; None keeps the stored order.
        select: Expression that a jagged object must fulfil to enter a slot.
        optional: Whether a jet can be without it. Optional groups get presence flags in a model.
    """

    name: str
    variables: tuple[Variable, ...]
    slots: int | None = None
    count: str | None = None
    order: str | None = None
    select: str | None = None
    optional: bool = True


@dataclasses.dataclass(frozen=True)
class Helix:
    """Names, with `{slot}`, of the features that are the helix of a track; φ and θ are relative to the jet axis.

    Attributes:
        group: Name of the tracks' group.
        d0, z0: Impact parameters.
        d0_variance, z0_variance: Their squared uncertainties; that of d0 tells which tracks exist.
        phi, theta: Direction minus that of the jet, rad.
        q_over_p: Charge over momentum, 1/GeV.
    """

    group: str
    d0: str
    d0_variance: str
    z0: str
    z0_variance: str
    phi: str
    theta: str
    q_over_p: str


@dataclasses.dataclass(frozen=True)
class FlavourClass:
    """An output class of a tagger: its name, the expression that is true for its jets, and how it is drawn."""

    name: str
    branch: str
    label: str
    color: str


@dataclasses.dataclass(frozen=True)
class Spectator:
    """A quantity that travels with a jet and is no input. An absent optional branch gives the default."""

    name: str
    branch: str
    default: float = -1
    optional: bool = True


@dataclasses.dataclass(frozen=True)
class Feature:
    """One input column: a `Variable`, whose name without its slot is `variable`, in one slot of its group."""

    name: str
    variable: str
    branch: str
    unit: str
    label: str
    default: float
    integer: bool
    group: str
    slot: int | None
    valid_min: float | None
    valid_max: float | None
    sentinel: float | None

    @property
    def axis_label(self) -> str:
        """Label with unit, for an axis."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


def _features(group: Group) -> list[Feature]:
    """Expand a group to its columns, variable by variable, slot by slot."""
    columns = []
    for variable in group.variables:
        for slot in [None] if group.slots is None else range(group.slots):
            default = variable.default
            columns.append(
                Feature(
                    name=variable.name.format(slot=slot),
                    variable=variable.name.replace("_{slot}", ""),
                    branch=variable.branch.format(slot=slot),
                    unit=variable.unit,
                    label=variable.label if slot is None else f"{variable.label}, {group.name} {slot + 1}",
                    default=default[slot] if isinstance(default, tuple) else default,
                    integer=variable.integer,
                    group=group.name,
                    slot=slot,
                    valid_min=variable.valid_min,
                    valid_max=variable.valid_max,
                    sentinel=variable.sentinel,
                )
            )
    return columns


@dataclasses.dataclass(frozen=True)
class Schema:
    """Everything that reading, training, attacking and plotting must know of an input format.

    Attributes:
        name: Name, also of the data set's config.
        version: Raised whenever a feature, default or selection changes.
        description: One sentence.
        tree: Path of the TTree inside each ROOT file, with one entry per jet or per event; of several the first that is there.
        groups: The input groups; their features, one after the other, are the columns of x.
        classes: The output classes, in the order of the logits.
        spectators: Quantities kept beside the inputs.
        pt: Name of the feature that is the jet's transverse momentum, for weights.
        eta: Name of the feature that is the jet's pseudorapidity, for weights.
        helix: Which features are the helices of tracks; None if there are none.
    """

    name: str
    version: str
    description: str
    tree: str | tuple[str, ...]
    groups: tuple[Group, ...]
    classes: tuple[FlavourClass, ...]
    spectators: tuple[Spectator, ...]
    pt: str
    eta: str
    helix: Helix | None = None

    @functools.cached_property
    def features(self) -> tuple[Feature, ...]:
        """The input columns in order."""
        return tuple(feature for group in self.groups for feature in _features(group))

    @property
    def trees(self) -> tuple[str, ...]:
        """Paths of the TTrees to look for."""
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
        """Columns of each object that may be absent: one tuple per track slot, vertex slot or vertex group."""
        optional = {group.name for group in self.groups if group.optional}
        objects: dict[tuple, list[int]] = {}
        for column, feature in enumerate(self.features):
            if feature.group in optional:
                objects.setdefault((feature.group, feature.slot), []).append(column)
        return tuple(tuple(columns) for columns in objects.values())

    @functools.cached_property
    def helix_features(self) -> dict[str, tuple[str, ...]]:
        """For each parameter of `helix` its feature of every track; nothing if the schema has no helices."""
        if self.helix is None:
            return {}
        (slots,) = (group.slots for group in self.groups if group.name == self.helix.group)
        templates = dataclasses.asdict(self.helix)
        del templates["group"]
        return {name: tuple(template.format(slot=slot) for slot in range(slots)) for name, template in templates.items()}

    @property
    def largest_group(self) -> Group | None:
        """The group of most slots, the tracks; None if no group has slots."""
        found = max(self.groups, key=lambda group: group.slots or 0)
        return found if found.slots else None

    def index(self, name: str) -> int:
        """Column of the feature called `name`.

        Raises:
            UserError: if there is no such feature; the message names the nearest that exist.
        """
        if name not in self.names:
            raise UserError(f"Schema {self.name} has no feature '{name}'; the nearest are {nearest(name, self.names)}.")
        return self.names.index(name)

    def restricted(self, inputs: Sequence[str]) -> "Schema":
        """The schema with some of its groups alone, or their leading slots: ("jet", "track:2").

        Args:
            inputs: Names of groups, each with a colon and a number of slots behind it where not all are wanted; none for
                everything. A helix goes where its tracks or the jet's pseudorapidity are not there.

        Raises:
            UserError: if there is no such group or slot.
        """
        if not inputs:
            return self
        slots = {}
        for entry in inputs:
            name, _, number = entry.partition(":")
            slots[name] = self._slots(name, number)
        groups = tuple(dataclasses.replace(g, slots=slots[g.name]) for g in self.groups if g.name in slots)
        made = dataclasses.replace(self, groups=groups, helix=None)
        whole = self.helix is not None and self.helix.group in slots and self.eta in made.names
        return dataclasses.replace(made, helix=self.helix) if whole else made

    def _slots(self, name: str, number: str) -> int | None:
        """How many slots of a group are wanted, `number` being what stands behind its name."""
        by_name = {group.name: group.slots for group in self.groups}
        if name not in by_name:
            raise UserError(f"{self.name} has no group of inputs '{name}'; it has {', '.join(by_name)}.")
        there = by_name[name]
        if not number:
            return there
        if there is None or not number.isdecimal() or not 1 <= int(number) <= there:
            what = f"1 to {there} slots" if there else "no slots"
            raise UserError(f"'{name}:{number}' asks for slots of the group '{name}', which has {what}.")
        return int(number)

    def to_dict(self) -> dict:
        """The whole description as plain Python data, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict) -> "Schema":
        """The inverse of `to_dict`, also after a round trip through JSON (lists for tuples)."""
        groups = tuple(
            Group(**{**group, "variables": tuple(_variable(variable) for variable in group["variables"])})
            for group in content["groups"]
        )
        classes = tuple(FlavourClass(**flavour) for flavour in content["classes"])
        spectators = tuple(Spectator(**spectator) for spectator in content["spectators"])
        helix = Helix(**content["helix"]) if content["helix"] else None
        tree = content["tree"] if isinstance(content["tree"], str) else tuple(content["tree"])
        parts = {"tree": tree, "groups": groups, "classes": classes, "spectators": spectators, "helix": helix}
        return cls(**{**content, **parts})


def _variable(content: dict) -> Variable:
    default = content["default"]
    return Variable(**{**content, "default": tuple(default) if isinstance(default, list | tuple) else default})


def nearest(name: str, choices: Sequence[str]) -> str:
    """The existing names that look most like `name`, for an error message."""
    import difflib

    found = difflib.get_close_matches(name, choices, n=3, cutoff=0.0)
    return ", ".join(f"'{choice}'" for choice in found) or "none at all"
