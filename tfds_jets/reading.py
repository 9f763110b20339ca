"""ROOT files of jets → cleaned NumPy chunks in the column order of a schema.

A tree, or RNTuple, has one entry per jet, or one per event with the jets nested in it, as in NanoAOD. Reading is chunked, so
memory stays bounded whatever a file's size, and vectorised: there is no Python loop over jets.
"""

import dataclasses
import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from uproot.behaviors.RNTuple import HasFields
from uproot.language.python import PythonLanguage

from kerastag.checksums import sha256
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Feature, Group, Schema
from kerastag.schema.structure import nearest
from tfds_jets.cleaning import Cleaning, clean

# Simulated jets that come with the package.
SAMPLE_FILE = Path(__file__).parent / "pythia_jets.root"
CHUNK = "64 MB"  # of a tree, read at once


@dataclasses.dataclass(frozen=True)
class RootFile:
    """A ROOT file, known by its content wherever the path must not matter.

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
    """Find every `*.root` below `directory`, ordered by content so that neither names nor folders matter.

    Raises:
        UserError: if there is none, or if two have the same content (their jets would count twice).
    """
    paths = sorted(path for path in Path(directory).expanduser().rglob("*.root") if path.is_file())
    if not paths:
        raise UserError(f"No *.root file below '{directory}'; point --manual_dir at a folder that holds some.")
    by_content: dict[str, RootFile] = {}
    for path in paths:
        file = RootFile.of(path)
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
        try:
            yield from _read_file(file, schema, selection, cleaning)
        except UserError:
            raise
        except Exception as error:  # uproot raises many kinds on damaged files
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(f"'{file.path}' cannot be read, it may be damaged: {reason}") from error


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


def _read_file(file: RootFile, schema: Schema, selection: str, cleaning: Cleaning) -> Iterator[Jets]:
    """Jets of one file, chunk by chunk."""
    _check_header(file.path)
    with uproot.open(file.path) as root:
        tree = _tree(root, file.path, schema.trees)
        expressions, absent_spectators = _expressions(tree, file.path, schema, selection)
        if not tree.num_entries:
            raise UserError(f"Tree '{tree.name}' in '{file.path}' is empty; remove the file.")
        first = 0
        for chunk in _chunks(tree, file.path, expressions):
            columns = _by_jet(chunk, schema)
            entry = np.arange(first, first + len(columns[schema.classes[0].branch]), dtype=np.int64)
            first += len(entry)
            yield _jets(columns, entry, file, schema, selection, absent_spectators, cleaning)


def _chunks(tree: uproot.TTree, path: Path, expressions: list[str]) -> Iterator[dict[str, ak.Array]]:
    """Values of each expression, some entries at a time. Of an RNTuple uproot gives fields alone, and computes nothing."""
    if not isinstance(tree, HasFields):
        for chunk in tree.iterate(expressions, step_size=CHUNK):
            yield {expression: chunk[expression] for expression in expressions}
        return
    language, keys = PythonLanguage(), set(tree.keys())
    symbols = (language.free_symbols(expression, keys, [], str(path), tree.name) for expression in expressions)
    names = list(dict.fromkeys(name for some in symbols for name in some))
    fields = [types.SimpleNamespace(name=name, cache_key=name, parent=tree) for name in names]
    context = [(expression, {"is_primary": True, "is_cut": False, "branches": fields}) for expression in expressions]
    for chunk in tree.iterate(names, step_size=CHUNK):
        values = {name: chunk[name] for name in names}
        yield language.compute_expressions(tree, values, context, set(names), {}, str(path), tree.name)


def _check_header(path: Path) -> None:
    """Check that a file is ROOT and as long as its header says; uproot reads a truncated file as far as it gets.

    Raises:
        UserError: if it is not.
    """
    with path.open("rb") as stream:
        header = stream.read(20)
    if len(header) < 20 or not header.startswith(b"root"):
        raise UserError(f"'{path}' is not a ROOT file.")
    version = int.from_bytes(header[4:8], "big")
    # TFile's fEND, of 8 bytes in files beyond 2 GB, which are marked by their version.
    end = int.from_bytes(header[12:20] if version >= 1_000_000 else header[12:16], "big")
    if path.stat().st_size < end:
        raise UserError(f"'{path}' is truncated: it has {path.stat().st_size:,} of {end:,} bytes.")


def _tree(root: uproot.ReadOnlyDirectory, path: Path, names: tuple[str, ...]) -> uproot.TTree:
    """The first of the trees called `names` that the file has.

    Raises:
        UserError: if there is none.
    """
    for name in names:
        if name in root:
            if hasattr(root[name], "num_entries"):
                return root[name]
            raise UserError(f"'{name}' in '{path}' is a {root[name].classname}, not a tree.")
    trees = root.keys(recursive=True, cycle=False, filter_classname=["TTree", "TNtuple", "ROOT::RNTuple"])
    expected = " or ".join(repr(name) for name in names)
    raise UserError(f"'{path}' has no tree {expected}; it holds {', '.join(repr(tree) for tree in trees) or 'no tree'}.")


def _by_jet(columns: dict[str, ak.Array], schema: Schema) -> dict[str, ak.Array]:
    """Columns with one entry per jet; where jets are nested in events, each jet gets the values of its event.

    Raises:
        UserError: if two columns differ in their number of jets.
    """
    jet_branch = next(feature.branch for feature in schema.features if feature.slot is None)
    if columns[jet_branch].ndim == 1:
        return columns
    jets = ak.num(columns[jet_branch])
    flat = {}
    for expression, values in columns.items():
        if values.ndim == 1:
            values = ak.broadcast_arrays(values, columns[jet_branch])[0]
        elif not ak.all(ak.num(values) == jets):
            raise UserError(f"'{expression}' and '{jet_branch}' differ in their number of jets in some event.")
        flat[expression] = ak.flatten(values)
    return flat


def _expressions(tree: uproot.TTree, path: Path, schema: Schema, selection: str) -> tuple[list[str], set[str]]:
    """All expressions to read, and the names of optional spectators that this file does not have.

    Raises:
        UserError: if an expression needs a branch that does not exist; the message names the nearest.
    """
    expressions = [feature.branch for feature in schema.features]
    expressions += [flavour.branch for flavour in schema.classes]
    expressions += [extra for group in schema.groups for extra in (group.count, group.order, group.select) if extra]
    expressions += [selection] if selection else []
    branches = set(tree.keys())
    for expression in expressions:
        if branch := _missing_branch(expression, branches, path, tree.name):
            raise UserError(
                f"Tree '{tree.name}' in '{path}' has no branch '{branch}'; "
                f"the nearest that exist are {nearest(branch, sorted(branches))}."
            )
    absent = {
        spectator.name
        for spectator in schema.spectators
        if spectator.optional and _missing_branch(spectator.branch, branches, path, tree.name)
    }
    expressions += [spectator.branch for spectator in schema.spectators if spectator.name not in absent]
    return list(dict.fromkeys(expressions)), absent


def _missing_branch(expression: str, branches: set[str], path: Path, tree: str) -> str | None:
    """The first branch that an expression needs and a tree lacks.

    Raises:
        UserError: if it is not a valid expression.
    """
    try:
        PythonLanguage().free_symbols(expression, branches, [], str(path), tree)
    except uproot.KeyInFileError as error:
        return error.key
    except SyntaxError as error:
        raise UserError(f"'{expression}' is not a valid expression: {error.msg}.") from error
    return None


def _jets(
    columns: dict[str, ak.Array],
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


def _flags(columns: dict[str, ak.Array], expression: str) -> np.ndarray:
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


def _features(columns: dict[str, ak.Array], schema: Schema, jets: int) -> tuple[np.ndarray, np.ndarray]:
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


def _spectators(columns: dict[str, ak.Array], schema: Schema, absent: set[str], jets: int) -> dict[str, np.ndarray]:
    """Spectators of the schema, `(jets,)` each; the default for those named in `absent`."""
    spectators: dict[str, np.ndarray] = {}
    for spectator in schema.spectators:
        is_absent = spectator.name in absent
        values = np.full(jets, spectator.default) if is_absent else ak.to_numpy(columns[spectator.branch])
        spectators[spectator.name] = values.astype(spectator_dtype(spectator.name))
    return spectators


def spectator_dtype(name: str) -> type:
    """NumPy type of a spectator: real for a weight, whole otherwise."""
    return np.float32 if name.endswith("weight") else np.int64


def _fill(values: np.ndarray, absent: np.ndarray, columns: dict[str, ak.Array], group: Group, features: list[Feature]) -> None:
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
            absent[row] = ak.to_numpy(columns[group.count]) <= feature.slot


def _fill_jagged(
    values: np.ndarray, absent: np.ndarray, columns: dict[str, ak.Array], group: Group, features: list[Feature]
) -> None:
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


def _slot_index(columns: dict[str, ak.Array], group: Group, counts: np.ndarray) -> np.ndarray:
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
