"""A first schema for files that nobody has described, made of names and values; what it cannot tell it says."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

import numpy as np

from kerastag.errors import UserError
from kerastag.flavours import style
from kerastag.schema import FlavourClass, Group, Schema, Spectator, Variable
from tfds_jets.inspection import Column

# Names that say what a branch is.
_PT = re.compile(r"(^|[_.])pt$|jet_?pt$|^pt", re.IGNORECASE)
_ETA = re.compile(r"(^|[_.])eta$|jet_?eta$|^eta", re.IGNORECASE)
_PHI = re.compile(r"(^|[_.])phi$", re.IGNORECASE)
_EVENT = re.compile(r"^(evt|event)[_.]?(num|number|no|id)?$", re.IGNORECASE)
_WEIGHT = re.compile(r"(gen|mc|event|evt)[_.]?weight$|^weight$", re.IGNORECASE)
_LABEL = re.compile(r"hadron_?flav|flavou?r|truth.*(pdg|label)|true?th|pdg|label", re.IGNORECASE)
_FLAG = re.compile(r"(?:^|[_.])(?:is_?|label_)([A-Za-z]\w*)$")
# What simulation alone knows and where objects are; and of jets, what other taggers say.
_NO_INPUT = re.compile(r"gen|truth|mc_|hadron|parton|pdg|flav|label|weight|idx|index", re.IGNORECASE)
_ANSWER = re.compile(r"btag|score|prob|disc", re.IGNORECASE)
_MOMENTUM = re.compile(r"(pt|energy|mass|px|py|pz|^e)$", re.IGNORECASE)
# Names of classes by the number that stands for them in the numbering of the Particle Data Group.
_OF_PDG = {5: "b", 4: "c", 0: "light", 1: "uds", 2: "uds", 3: "uds", 21: "g", 15: "tau", 11: "e", 13: "mu"}
# Classes in this order, the others behind them; and more values than these are no classes.
_ORDER, _MOST_CLASSES = ["b", "c", "light", "uds", "g", "tau"], 40
# Objects of an event that make up jets; and how many names a sentence lists.
_CONSTITUENTS, _NAMED = re.compile(r"cand|tra?c?k|sv|vert|constit", re.IGNORECASE), 8
# Values that stand for "absent" where they are the smallest and frequent.
_SENTINELS = (-999.0, -9999.0, -99.0, -1000.0, -99999.0)
# Share of one value from which on a column tells nothing, and a few jets would decide whether it can be trained on.
_NEARLY_ALL = 0.998
# Slots of a group: as many as 95 % of the jets fill, at most.
_QUANTILE, _MOST_SLOTS = 0.95, 16


@dataclasses.dataclass(frozen=True)
class Draft:
    """A schema to edit, and what is to be looked at first.

    Attributes:
        schema: The schema.
        open_questions: What could not be told, a sentence each.
    """

    schema: Schema
    open_questions: tuple[str, ...]


def draft(columns: Sequence[Column], tree: str, name: str) -> Draft:
    """A schema of columns.

    Args:
        columns: Those of one file.
        tree: Path of the tree, "" for files without.
        name: Name of the schema.

    Raises:
        UserError: if there is nothing that looks like the transverse momentum of jets.
    """
    numeric = [column for column in columns if column.kind]
    called_jets = [column for column in numeric if column.depth < 2 and "jet" in column.name.lower()]
    pt = _first(called_jets, _PT) or _first([column for column in numeric if column.depth == 0], _PT)
    if pt is None:
        raise UserError("No branch looks like the transverse momentum of jets; write the schema by hand.")
    questions = _about("no numbers", [column for column in columns if not column.kind])
    of_jets = [column for column in numeric if _alike(column, pt)]
    prefix = _prefix([pt.name])
    if pt.depth:  # a collection of the event; others may have as many objects by chance
        of_jets = [column for column in of_jets if column.name.startswith(prefix)]
    label_columns, classes = _classes(of_jets, questions)
    events = [column for column in numeric if column.depth == 0]
    event, weight = _first(events, _EVENT), _first(events, _WEIGHT)
    known = {column.name for column in (*label_columns, event, weight) if column}
    answers = [column for column in of_jets if _ANSWER.search(column.name)]
    questions += _about("since it looks like the answer of a tagger", answers)
    inputs = _inputs([column for column in of_jets if column.name not in known and column not in answers], questions)
    groups = [Group("jet", tuple(_variable(column, "", questions) for column in inputs), optional=False)]
    groups += _groups(numeric, pt, known, questions)
    spectators = [Spectator("event", event.name)] if event else []
    spectators += [Spectator("generator_weight", weight.name, default=1.0, real=True)] if weight else []
    if not event:
        questions.append("No branch numbers the events; jets of one event may fall into different splits.")
    if not weight:
        questions.append("No branch weights the events; all count the same.")
    eta = _first(inputs, _ETA)
    schema = Schema(
        name=name,
        groups=tuple(groups),
        classes=classes,
        tree=tree,
        description="Drafted from a file; look at every line.",
        spectators=tuple(spectators),
        pt=_identifier(pt.name) if pt in inputs else "",
        eta=_identifier(eta.name) if eta else "",
    )
    return Draft(schema, (*dict.fromkeys(questions), *_marks(schema)))


def _marks(schema: Schema) -> Iterator[str]:
    """A sentence for each value that is taken for "absent"."""
    variables = [variable for group in schema.groups for variable in group.variables]
    for value in dict.fromkeys(variable.sentinel for variable in variables if variable.sentinel is not None):
        names = [variable.branch for variable in variables if variable.sentinel == value]
        yield f'{value:g} is taken for "absent" in {_listed(names)}.'


def _listed(names: Sequence[str]) -> str:
    """The first of some names, in quotes."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more


def _first(columns: Sequence[Column], pattern: re.Pattern) -> Column | None:
    """The column of the shortest name that fits."""
    found = [column for column in columns if pattern.search(column.name)]
    return min(found, key=lambda column: (len(column.name), column.name), default=None)


def _alike(column: Column, jets: Column) -> bool:
    """Whether a column has a value for each jet."""
    return column.depth == jets.depth and np.array_equal(column.lengths, jets.lengths)


def _classes(columns: Sequence[Column], questions: list[str]) -> tuple[list[Column], tuple[FlavourClass, ...]]:
    """Columns that tell the class of a jet, and the classes."""
    flags = {match[1]: column for column in columns if (match := _FLAG.search(column.name)) and _is_flag(column)}
    if len(flags) > 1:
        questions.append(f"Each of {', '.join(flags)} is taken for a class; a jet must belong to one.")
        return list(flags.values()), _as_classes({name: f"{column.name} != 0" for name, column in flags.items()})
    told = [column for column in columns if column.whole and column.distinct <= _MOST_CLASSES and _LABEL.search(column.name)]
    if not told:
        questions.append("No branch tells the class of a jet; the two classes are made up and must be written by hand.")
        return [], _as_classes({"a": "FILL_IN == 0", "b": "FILL_IN == 1"})
    label = min(told, key=lambda column: ("hadron" not in column.name.lower(), "flav" not in column.name.lower(), column.name))
    numbers: dict[str, list[int]] = {}
    for value in sorted(int(value) for value, _ in label.frequent):
        unknown = f"class_{value}".replace("-", "minus_")
        numbers.setdefault(_OF_PDG.get(abs(value), unknown), []).append(value)
    if not numbers.keys() <= set(_OF_PDG.values()):
        questions.append(f"What some values of '{label.name}' stand for could not be told; name these classes.")
    questions.append(f"'{label.name}' tells the classes, as the numbering of the Particle Data Group has them.")
    order = sorted(numbers, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return told, _as_classes({name: " or ".join(f"{label.name} == {value}" for value in numbers[name]) for name in order})


def _as_classes(expressions: dict[str, str]) -> tuple[FlavourClass, ...]:
    return tuple(FlavourClass(name, text, **style(name, number)) for number, (name, text) in enumerate(expressions.items()))


def _is_flag(column: Column) -> bool:
    return column.low >= 0 and column.high <= 1 and column.whole


def _inputs(columns: Sequence[Column], questions: list[str]) -> list[Column]:
    """Columns that may be inputs; says which are not, and why."""
    around = [column for column in columns if _PHI.search(column.name)]
    known_to_others = [column for column in columns if _NO_INPUT.search(column.name)]
    shares = {column: max(dict(column.frequent).values(), default=0) for column in columns}
    of_one_value = [column for column in columns if column.distinct < 2 or shares[column] > _NEARLY_ALL]
    questions += _about("since no direction around the beam is special", around)
    questions += _about("since it looks like truth or an index", known_to_others)
    questions += _about("since all or nearly all have one value", of_one_value)
    left_out = {*around, *known_to_others, *of_one_value}
    return [column for column in columns if column not in left_out]


def _about(what: str, columns: Sequence[Column]) -> list[str]:
    """A sentence about columns, if there are any."""
    return [f"Left out, {what}: {_listed([column.name for column in columns])}."] if columns else []


def _groups(columns: Sequence[Column], jets: Column, known: set[str], questions: list[str]) -> Iterator[Group]:
    """Groups of tracks and the like: lists of the same lengths within jets, and objects of the event that name their jet."""
    within: list[list[Column]] = []
    for column in columns:
        if column.depth == jets.depth + 1 and column.name not in known:
            same = [some for some in within if np.array_equal(some[0].lengths, column.lengths)]
            same[0].append(column) if same else within.append([column])
    for number, some in enumerate(within):
        name = _prefix([column.name for column in some]).strip("_.").rpartition("_")[2] or f"objects_{number}"
        yield from _group(name, {column: column.name for column in some}, some[0].lengths, None, questions)
    if jets.depth == 1:
        pointers = [column for column in columns if re.search(r"_jet_?(idx|index)$", column.name, re.IGNORECASE)]
        chosen = [column for column in pointers if _constituents(column, jets)]
        for index in chosen:
            yield from _indexed(index, columns, jets, questions)
        others = [column for column in pointers if column not in chosen]
        questions += _about("though it names jets as well; a group with index = takes it in", others)


def _constituents(index: Column, jets: Column) -> bool:
    """Whether an index belongs to tracks and the like, and to these jets: `FatJetPFCand_jetIdx` numbers other ones."""
    owner, of_jets = index.name.rpartition("_")[0].lower(), jets.name.rpartition("_")[0].lower()
    return bool(_CONSTITUENTS.search(owner)) and (owner.startswith(of_jets) or "jet" not in owner)


def _indexed(index: Column, columns: Sequence[Column], jets: Column, questions: list[str]) -> Iterator[Group]:
    """A collection of the event whose objects name their jet, and what they point to."""
    prefix = index.name.rpartition("_")[0]
    own = [c for c in columns if c.name.startswith(f"{prefix}_") and np.array_equal(c.lengths, index.lengths)]
    expressions = {column: column.name for column in own if column is not index}
    for pointer in [column for column in own if re.search(r"idx$", column.name, re.IGNORECASE) and column is not index]:
        target = pointer.name.rpartition("_")[2][: -len("idx")].lower()
        pointed = [column for column in columns if column.name.rpartition("_")[0].lower() == target and column.depth == 1]
        expressions |= {column: f"{column.name}[{pointer.name}]" for column in pointed}
    number = max(int(jets.lengths.sum()), 1)
    yield from _group(
        prefix, expressions, np.full(number, len(expressions) and index.lengths.sum() / number), index.name, questions
    )


def _group(
    name: str, expressions: dict[Column, str], lengths: np.ndarray, index: str | None, questions: list[str]
) -> Iterator[Group]:
    """A group with slots; none if nothing of it is an input."""
    inputs = _inputs(list(expressions), questions)
    if not inputs:
        return
    slots = int(min(max(np.quantile(lengths, _QUANTILE), 1), _MOST_SLOTS)) if len(lengths) else 1
    questions.append(f"'{name}' has {slots} slots in stored order; say order = to sort, by momentum or significance.")
    variables = tuple(_variable(column, name, questions, expressions[column]) for column in inputs)
    yield Group(name, variables, slots=slots, index=index)


def _prefix(names: Sequence[str]) -> str:
    """What names have in common up to the last underscore or dot."""
    first, last = min(names), max(names)
    common = next((first[:n] for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), first)
    return common[: max(common.rfind("_"), common.rfind(".")) + 1]


def _variable(column: Column, group: str, questions: list[str], branch: str = "") -> Variable:
    """A variable of a column; in a group with slots its name has one."""
    name, low, sentinel = _identifier(column.name), column.low, None
    if column.low in _SENTINELS and dict(column.frequent).get(column.low, 0) > 0:
        sentinel, low = column.low, column.next_to_low
    unit = "GeV" if _MOMENTUM.search(column.name) else ""
    if not unit and not column.whole:
        questions.append("Units are given for momenta alone; those of lengths and angles could not be told.")
    return Variable(
        name=f"{name}_{{slot}}" if group else name,
        branch=branch or column.name,
        unit=unit,
        label=column.name.replace("_", " "),
        default=_default(low, column),
        integer=column.whole,
        sentinel=sentinel,
    )


def _identifier(name: str) -> str:
    """Name of a feature from that of a branch."""
    return re.sub(r"\W", "_", name)


def _default(low: float, column: Column) -> float:
    """A value that stands for "absent": 0 where no jet has that, else just below the smallest."""
    if low > 0:
        return 0.0
    return float(np.floor(low) - 1) if column.whole else float(f"{low - 0.05 * (column.high - low):.3g}")
