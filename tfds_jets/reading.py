"""Files of jets → cleaned NumPy chunks in the column order of a schema.

An entry is a jet, or an event with the jets nested in it, as in NanoAOD, and perhaps with objects beside them that name their
jet. Reading is chunked, so memory stays bounded whatever a file's size, and vectorised: there is no Python loop over jets.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from kerastag.checksums import sha256
from kerastag.errors import UserError
from kerastag.files import SCRATCH
from kerastag.jets import Jets
from kerastag.schema import Feature, Group, Schema
from tfds_jets import addresses, expressions, sources
from tfds_jets.cleaning import Cleaning, clean
from tfds_jets.sources import Columns, Table

# Simulated jets that come with the package.
SAMPLE_FILE = Path(__file__).parent / "pythia_jets.root"


@dataclasses.dataclass(frozen=True)
class RootFile:
    """A file of jets, known by its content wherever the path must not matter.

    Attributes:
        path: Place of the file.
        sha256: SHA-256 of its content, hexadecimal.
    """

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "RootFile":
        """The file at `path`."""
        return cls(path, sha256(path))

    @property
    def source(self) -> int:
        """Identifier of the file made from its content, a positive int64."""
        return int(self.sha256[:15], 16)


def find_files(directory: Path) -> list[RootFile]:
    """Find every file of jets below `directory`, ordered by content so that neither names nor folders matter.

    Raises:
        UserError: if there is none, if one that a list of addresses names cannot be fetched, or if two have the same content
            (their jets would count twice).
    """
    told = addresses.fetch(Path(directory).expanduser())
    found = sorted(path for path in Path(directory).expanduser().rglob("*") if path.suffix in sources.SUFFIXES)
    paths = [path for path in found if path.is_file() and not path.parent.name.startswith(SCRATCH)]
    if not paths:
        kinds = ", ".join(f"*{suffix}" for suffix in sources.SUFFIXES[1:])
        raise UserError(
            f"No *.root file below '{directory}', none of {kinds}, and no {addresses.LIST} that names "
            "some; give another folder, which training takes as --manual-dir and tfds build as --manual_dir."
        )
    by_content: dict[str, RootFile] = {}
    for path in paths:
        file = RootFile.of(path)
        if told.get(path, file.sha256) != file.sha256:
            raise UserError(f"'{path}' is not what {addresses.LIST} says, by its SHA-256; delete it to fetch it again.")
        if file.sha256 in by_content:
            raise UserError(f"'{by_content[file.sha256].path}' and '{path}' have the same content; remove one of them.")
        by_content[file.sha256] = file
    return [file for _, file in sorted(by_content.items())]


def read(files: list[RootFile], schema: Schema, selection: str, cleaning: Cleaning) -> Iterator[Jets]:
    """Read jets chunk by chunk.

    Args:
        files: Files to read, one after the other.
        schema: Features, classes and spectators to read.
        selection: Expression of branches that a jet must fulfil; "" keeps all.
        cleaning: Counts to which those of these files are added.

    Yields:
        Cleaned jets.

    Raises:
        UserError: if a file cannot be read, or lacks the tree or a branch; the message says which.
    """
    for file in files:
        yield from read_entries(file, schema, selection, cleaning)


def read_entries(
    file: RootFile,
    schema: Schema,
    selection: str,
    cleaning: Cleaning,
    start: int = 0,
    stop: int | None = None,
    first_jet: int = 0,
) -> Iterator[Jets]:
    """Read the jets of some entries of a file chunk by chunk.

    Args:
        file: File to read.
        schema: See `read`.
        selection: See `read`.
        cleaning: See `read`.
        start: First entry.
        stop: Entry after the last one; None for the end of the file.
        first_jet: Number of jets in the entries before the first one.

    Yields:
        Cleaned jets.

    Raises:
        UserError: as `read`.
    """
    with sources.opened(file.path, schema.trees) as table:
        if not table.entries:
            cleaning.empty_files += 1
            return
        needed, absent_spectators = _expressions(table, schema, selection)
        branches = list(dict.fromkeys(name for names in needed.values() for name in names))
        for chunk in table.chunks(branches, start, table.entries if stop is None else stop):
            columns = _by_jet(evaluated(needed, chunk, file.path), schema)
            entry = np.arange(first_jet, first_jet + len(columns[schema.classes[0].branch]), dtype=np.int64)
            first_jet += len(entry)
            yield _jets(columns, entry, file, schema, selection, absent_spectators, cleaning)


def simulation_of(path: Path) -> dict[str, Any] | None:
    """What a file of `kerastag simulate` says of itself: `settings`, `versions` and, of a variation, `changes`.

    Returns:
        The content of the file's `metadata`, or None if it has none.

    Raises:
        UserError: if there is no such file.
    """
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    try:
        with uproot.open(path) as root:
            content = json.loads(str(root["metadata"]))
    except (uproot.KeyInFileError, ValueError, OSError):
        return None
    return content if isinstance(content, dict) and "settings" in content else None


def jet_branch(schema: Schema) -> str:
    """Expression that has one value for each jet."""
    return next((feature.branch for feature in schema.features if feature.slot is None), schema.classes[0].branch)


def _expressions(table: Table, schema: Schema, selection: str) -> tuple[dict[str, list[str]], set[str]]:
    """All expressions with the branches that they need, and the names of optional spectators that this file does not have.

    Raises:
        UserError: if an expression is none, or needs a branch that does not exist; the message names the nearest.
    """
    wanted = [feature.branch for feature in schema.features]
    wanted += [flavour.branch for flavour in schema.classes]
    wanted += [extra for group in schema.groups for extra in (group.count, group.index, group.order, group.select) if extra]
    wanted += [selection] if selection else []
    needed = {expression: expressions.names(expression, table.branches, table.name) for expression in dict.fromkeys(wanted)}
    absent = set()
    for spectator in schema.spectators:
        try:
            needed[spectator.branch] = expressions.names(spectator.branch, table.branches, table.name)
        except UserError:
            if not spectator.optional:
                raise
            absent.add(spectator.name)
    return needed, absent


def evaluated(needed: dict[str, list[str]], chunk: Columns, path: Path) -> Columns:
    """Values of expressions, each with the branches that it needs.

    Raises:
        UserError: if an expression cannot be computed.
    """
    try:
        return {name: expressions.evaluate(name, {branch: chunk[branch] for branch in of}) for name, of in needed.items()}
    except UserError as error:
        raise UserError(f"In '{path}': {error}") from error


def _by_jet(columns: Columns, schema: Schema) -> Columns:
    """Columns with one entry per jet; where jets are nested in events, each jet gets the values of its event.

    Raises:
        UserError: if two columns differ in their number of jets.
    """
    of_jets = jet_branch(schema)
    if columns[of_jets].ndim == 1:
        if indexed := [group.name for group in schema.groups if group.index]:
            raise UserError(f"The group '{indexed[0]}' has an index, but entries are jets, not events: '{of_jets}' is a value.")
        return columns
    jets = ak.num(columns[of_jets])
    index_of = {expression: group.index for group in schema.groups if group.index for expression in _of_objects(group)}
    flat = {}
    for expression, values in columns.items():
        if index := index_of.get(expression):
            flat[expression] = _into_jets(values, columns[index], ak.to_numpy(jets), expression, index)
            continue
        if values.ndim == 1:
            values = ak.broadcast_arrays(values, columns[of_jets])[0]
        elif expression in index_of.values():
            continue
        elif not ak.all(ak.num(values) == jets):
            raise UserError(f"'{expression}' and '{of_jets}' differ in their number of jets in some event.")
        flat[expression] = ak.flatten(values)
    return flat


def _of_objects(group: Group) -> Iterator[str]:
    """Expressions that have a value for each object of a group."""
    yield from (variable.branch for variable in group.variables)
    yield from (expression for expression in (group.order, group.select) if expression)


def _into_jets(values: ak.Array, index: ak.Array, jets: np.ndarray, expression: str, index_name: str) -> ak.Array:
    """Objects of events as lists of the jets that they belong to, in stored order.

    Args:
        values: A list per event.
        index: Number of the jet in its event, a list per event; below 0 for none.
        jets: Number of jets in each event.
        expression: Name of `values`, for the message.
        index_name: Name of `index`, for the message.

    Raises:
        UserError: if the lists differ in length, or a jet is named that the event does not have.
    """
    if values.ndim != 2 or not ak.all(ak.num(values) == ak.num(index)):
        raise UserError(f"'{expression}' and '{index_name}' differ in their number of objects in some event.")
    number = ak.to_numpy(ak.flatten(index)).astype(np.int64)
    event = np.repeat(np.arange(len(jets)), ak.to_numpy(ak.num(index)))
    if wrong := np.count_nonzero(number >= jets[event]):
        raise UserError(f"'{index_name}' names jets that their event does not have, for {wrong:,} objects.")
    belongs = number >= 0
    jet = (np.cumsum(jets) - jets)[event[belongs]] + number[belongs]
    order = np.argsort(jet, kind="stable")
    return ak.unflatten(ak.flatten(values)[belongs][order], np.bincount(jet, minlength=jets.sum()))


def _jets(
    columns: Columns,
    entry: np.ndarray,
    file: RootFile,
    schema: Schema,
    selection: str,
    absent_spectators: set[str],
    cleaning: Cleaning,
) -> Jets:
    """Turn one chunk of expressions into cleaned jets."""
    in_class = np.stack([_flags(columns, flavour.branch) for flavour in schema.classes], axis=1)
    selected = _flags(columns, selection) if selection else np.ones(len(entry), bool)
    has_class = in_class.sum(axis=1) == 1
    cleaning.read += len(entry)
    cleaning.not_selected += int((~selected).sum())
    cleaning.unknown_flavour += int((selected & ~has_class).sum())
    features, absent = _features(columns, schema, len(entry))
    spectators = {"source": np.full(len(entry), file.source), "entry": entry}
    spectators |= _spectators(columns, schema, absent_spectators, len(entry))
    rows = selected & has_class
    features, absent = features[:, rows], absent[:, rows]
    clean(features, absent, schema, cleaning)
    spectators = {name: values[rows] for name, values in spectators.items()}
    return Jets(np.ascontiguousarray(features.T), in_class.argmax(axis=1)[rows], spectators, len(schema.classes))


def _flags(columns: Columns, expression: str) -> np.ndarray:
    """Whether each jet has a property, bool `(jets,)`.

    Raises:
        UserError: if the expression is anything but 0 or 1, or false or true, in some jet.
    """
    values = ak.to_numpy(columns[expression])
    flags = values == 1
    if wrong := np.count_nonzero(~flags & (values != 0)):
        example = values[~flags & (values != 0)][0]
        raise UserError(f"'{expression}' must be 0 or 1 in every jet; {wrong:,} jets have other values, such as {example:g}.")
    return flags


def _features(columns: Columns, schema: Schema, jets: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of all features as read, float32, and whether their object does not exist, both `(features, jets)`."""
    values = np.full((len(schema.features), jets), np.nan, np.float32)
    absent = np.zeros(values.shape, bool)
    first = 0
    for group in schema.groups:
        members = [feature for feature in schema.features if feature.group == group.name]
        rows = slice(first, first + len(members))
        _fill(values[rows], absent[rows], columns, group, members)
        first += len(members)
    return values, absent


def _spectators(columns: Columns, schema: Schema, absent: set[str], jets: int) -> dict[str, np.ndarray]:
    """Spectators of the schema, `(jets,)` each; the default for those named in `absent`.

    Raises:
        UserError: if one is no number in each jet.
    """
    spectators: dict[str, np.ndarray] = {}
    for spectator in schema.spectators:
        is_absent = spectator.name in absent
        values = np.full(jets, spectator.default) if is_absent else _numbers(columns[spectator.branch], spectator.branch)
        spectators[spectator.name] = values.astype(np.float64 if spectator.real else np.int64)
    return spectators


def _numbers(column: ak.Array, branch: str) -> np.ndarray:
    """A number in each jet, `(jets,)`.

    Raises:
        UserError: if they are lists or no numbers.
    """
    kind = ak.type(column).content
    if not isinstance(kind, ak.types.NumpyType):
        raise UserError(f"'{branch}' must be a number in each jet, but is of the type '{kind}'; name another branch.")
    return ak.to_numpy(column)


def _fill(values: np.ndarray, absent: np.ndarray, columns: Columns, group: Group, features: list[Feature]) -> None:
    """Fill the rows of one group in place, `values` and `absent` both `(features of the group, jets)`.

    Raises:
        UserError: if a branch that holds a list has one value in each jet.
    """
    branch = features[0].branch
    if group.slots is not None and columns[branch].ndim > 1:
        _fill_jagged(values, absent, columns, group, features)
        return
    if len({feature.branch for feature in features}) < len(features):
        raise UserError(
            f"'{branch}' has one value in each jet, but the {group.slots} {group.name}s of a jet are read from it; "
            "it must be a list of any length."
        )
    for row, feature in enumerate(features):
        values[row] = ak.to_numpy(columns[feature.branch])
        if group.count is not None:
            absent[row] = ~(ak.to_numpy(columns[group.count]) > feature.slot)


def _fill_jagged(values: np.ndarray, absent: np.ndarray, columns: Columns, group: Group, features: list[Feature]) -> None:
    """Fill the rows of a group whose branches have any number of objects in a jet.

    Raises:
        UserError: if two branches differ in their number of objects in some jet.
    """
    counts = ak.to_numpy(ak.num(columns[features[0].branch]))
    slots = _slot_index(columns, group, counts)
    objects: dict[str, np.ndarray] = {}
    for row, feature in enumerate(features):
        if feature.branch not in objects:
            column = columns[feature.branch]
            if column.ndim == 1:
                raise UserError(f"'{feature.branch}' has one value in each jet, but '{features[0].branch}' a list of them.")
            if not np.array_equal(ak.to_numpy(ak.num(column)), counts):
                raise UserError(
                    f"'{feature.branch}' and '{features[0].branch}' differ in their number of values in some jet, "
                    f"but they describe the same {group.name}s."
                )
            objects[feature.branch] = ak.to_numpy(ak.flatten(column)).astype(np.float32)
        index = slots[feature.slot]
        absent[row] = index < 0
        values[row, index >= 0] = objects[feature.branch][index[index >= 0]]


def _slot_index(columns: Columns, group: Group, counts: np.ndarray) -> np.ndarray:
    """Position in a flattened branch of each jet's leading objects, int64 `(slots, jets)`, -1 where there is none."""
    position = ak.unflatten(np.arange(counts.sum()), counts)
    if group.select:
        position = position[columns[group.select]]
    if group.order:
        key = columns[group.order]
        key = ak.nan_to_num(key if not group.select else key[columns[group.select]], nan=-np.inf)
        position = position[ak.argsort(key, axis=1, ascending=False, stable=True)]
    padded = ak.fill_none(ak.pad_none(position, group.slots, axis=1, clip=True), -1)
    return np.ascontiguousarray(ak.to_numpy(padded).astype(np.int64).T)
