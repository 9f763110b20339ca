"""Variables, their groups with slots, and the features that they become."""

import dataclasses
from collections.abc import Sequence

from kerastag.schema import plain


@dataclasses.dataclass(frozen=True)
class Variable:
    """A quantity measured for the jet, for each track or for each vertex.

    Attributes:
        name: Name of the feature; holds `{slot}` where its group has slots.
        branch: ROOT branch, or an expression of branches in uproot's language (`"Jet_pt * (1 - Jet_rawFactor)"`). In a
            group with slots, `{slot}` in it makes it flat, one branch a slot; without, it is jagged.
        unit: Physical unit, "" if it has none.
        label: Axis label, matplotlib's mathtext.
        default: Value that stands for "absent", in physical units; a tuple gives one per slot.
        integer: Whether only whole numbers make sense; such cells are never attacked.
        valid_min: Smallest value that is physically possible; smaller ones become the default. None for no limit.
        valid_max: Largest value that is physically possible; larger ones become the default. None for no limit.
        sentinel: Finite value that marks it as absent in files; it becomes the default. None if files have no such mark.
        special: Values with a meaning of their own, such as a displacement of exactly 0; such cells are never attacked.
        tabulated: Whether values come from a table, so that a small change makes one that never occurs. Such cells move
            as a block that a tie holds together, or not at all.
        untied: What it follows from that is no input, so that no `Tie` can hold it; "" if there is no such thing.
        flips: Whether it changes its sign where tracks pass the vertex on the other side, see `kerastag.schema.negative`.
    """

    __pydantic_config__ = plain.STRICT

    name: str
    branch: str
    unit: str = ""
    label: str = ""
    default: float | tuple[float, ...] = 0.0
    integer: bool = False
    valid_min: float | None = None
    valid_max: float | None = None
    sentinel: float | None = None
    special: tuple[float, ...] = ()
    tabulated: bool = False
    untied: str = ""
    flips: bool = False


# What a variable tells attacks alone; a data set is the same with and without.
OF_ATTACKS = ("special", "tabulated", "untied")


@dataclasses.dataclass(frozen=True)
class Group:
    """Variables that belong to one kind of object: the jet itself, its tracks or its vertices.

    Attributes:
        name: "jet", "track", "vertex", …
        variables: Features run variable by variable, all slots of a variable before the next.
        slots: Number of leading objects that are inputs; None for quantities of the jet, which have no slots.
        count: Branch with the number of filled slots; flat slots beyond them are absent. None if every slot counts.
        index: Branch with the number of the jet in its event to which each object belongs, where objects are those of the
            event, such as NanoAOD's `JetPFCands_jetIdx`; those below 0 belong to none. None where they lie in jets.
        order: Expression that sorts jagged objects, largest first; None keeps the stored order.
        select: Expression that is true for the jagged objects that may enter a slot; None lets all of them.
        optional: Whether a jet may lack such objects. Models get presence flags for optional groups.
        descends: Whether slots come by descending values of a variable that flips, so that the negative tagger reverses them.
    """

    __pydantic_config__ = plain.STRICT

    name: str
    variables: tuple[Variable, ...]
    slots: int | None = None
    count: str | None = None
    index: str | None = None
    order: str | None = None
    select: str | None = None
    optional: bool = True
    descends: bool = False


@dataclasses.dataclass(frozen=True)
class Feature:
    """An input column: a `Variable` in a slot of its group.

    Attributes:
        name: Name of the column.
        variable: Name without the slot.
        group: Name of the group.
        slot: Number of the slot; None if the group has none.
        branch, unit, label, default, integer, valid_min, valid_max, sentinel, special, tabulated, untied, flips: Facts of
            the variable in this slot.
    """

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
    special: tuple[float, ...]
    tabulated: bool
    untied: str
    flips: bool

    @property
    def axis_label(self) -> str:
        """Label with the unit in brackets."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


def columns(group: Group) -> list[Feature]:
    """Columns of a group, variable by variable, slot by slot."""
    slots: Sequence[int | None] = [None] if group.slots is None else range(group.slots)
    columns = []
    for variable in group.variables:
        defaults = variable.default if isinstance(variable.default, tuple) else (variable.default,) * len(slots)
        for slot, default in zip(slots, defaults[: len(slots)], strict=True):
            columns.append(
                Feature(
                    name=variable.name.format(slot=slot),
                    variable=variable.name.replace("_{slot}", ""),
                    branch=variable.branch.format(slot=slot),
                    unit=variable.unit,
                    label=variable.label if slot is None else f"{variable.label}, {group.name} {slot + 1}",
                    default=default,
                    integer=variable.integer,
                    group=group.name,
                    slot=slot,
                    valid_min=variable.valid_min,
                    valid_max=variable.valid_max,
                    sentinel=variable.sentinel,
                    special=variable.special,
                    tabulated=variable.tabulated,
                    untied=variable.untied,
                    flips=variable.flips,
                )
            )
    return columns
