"""ROOT files of jets → cleaned NumPy chunks in the column order of a schema.

A tree has one entry per jet, or one per event with the jets nested in it, as in NanoAOD. Reading is chunked, so memory stays
bounded whatever a file's size, and vectorised: there is no Python loop over jets.
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from uproot.language.python import PythonLanguage

from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Feature, Group, Schema
from kerastag.schema.structure import nearest

CHUNK = "64 MB"


@dataclasses.dataclass(frozen=True)
class RootFile:
    """A ROOT file and the SHA-256 of its content, which stands for it wherever the path must not matter."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "RootFile":
        """The file at `path`."""
        with path.open("rb") as stream:
            return cls(path, hashlib.file_digest(stream, "sha256").hexdigest())

    @property
    def source(self) -> int:
        """Identifier of the file made from its content, a positive int64."""
        return int(self.sha256[:15], 16)


@dataclasses.dataclass
class Cleaning:
    """What was changed or left out while reading; nothing is dropped in silence.

    Attributes:
        read: Jets seen.
        not_selected: Jets that the selection rejects.
        unknown_flavour: Jets that belong to no class, or to several.
        not_finite: int64 `(features,)`, cells that were NaN or infinite and became the default.
        out_of_range: int64 `(features,)`, cells outside the valid range that became the default.
    """

    read: int
    not_selected: int
    unknown_flavour: int
    not_finite: np.ndarray
    out_of_range: np.ndarray

    @classmethod
    def none(cls, schema: Schema) -> "Cleaning":
        """Counts of zero."""
        return cls(0, 0, 0, np.zeros(len(schema.features), np.int64), np.zeros(len(schema.features), np.int64))


def find_files(directory: Path) -> list[RootFile]:
    """Every `*.root` below `directory`, ordered by content so that neither names nor folders matter.

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
    """Yield the jets of `files` chunk by chunk and count into `cleaning` what is changed or left out.

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


def _read_file(file: RootFile, schema: Schema, selection: str, cleaning: Cleaning) -> Iterator[Jets]:
    _check_header(file.path)
    with uproot.open(file.path) as root:
        tree = _tree(root, file.path, schema.trees)
        expressions, unknown_spectators = _expressions(tree, file.path, schema, selection)
        if not tree.num_entries:
            raise UserError(f"Tree '{tree.name}' in '{file.path}' is empty; remove the file.")
        first = 0
        for chunk in tree.iterate(expressions, step_size=CHUNK):
            columns = _by_jet({expression: chunk[expression] for expression in expressions}, schema)
            entry = np.arange(first, first + len(columns[schema.classes[0].branch]), dtype=np.int64)
            first += len(entry)
            yield _jets(columns, entry, file, schema, selection, unknown_spectators, cleaning)


def _check_header(path: Path) -> None:
    """Refuse what is not ROOT, and a file shorter than its header says: uproot reads such a one as far as it gets."""
    with path.open("rb") as stream:
        header = stream.read(20)
    if len(header) < 20 or not header.startswith(b"root"):
        raise UserError(f"'{path}' is not a ROOT file.")
    version = int.from_bytes(header[4:8], "big")
    # TFile's fEND, of 8 bytes in files beyond 2 GB, which are marked by their version.
    end = int.from_bytes(header[12:20] if version >= 1_000_000 else header[12:16], "big")
    if path.stat().st_size < end:
        raise UserError(f"'{path}' is truncated: it has {path.stat().st_size:,} of {end:,} bytes.")


def _tree(root, path: Path, names: tuple[str, ...]):
    """The first of the TTrees called `names` that the file has, or one sentence."""
    for name in names:
        if name in root:
            if hasattr(root[name], "num_entries"):
                return root[name]
            raise UserError(f"'{name}' in '{path}' is a {root[name].classname}, not a tree.")
    trees = root.keys(recursive=True, cycle=False, filter_classname=["TTree", "TNtuple", "ROOT::RNTuple"])
    wanted = " or ".join(repr(name) for name in names)
    raise UserError(f"'{path}' has no tree {wanted}; it holds {', '.join(repr(tree) for tree in trees) or 'no tree'}.")


def _by_jet(columns: dict[str, ak.Array], schema: Schema) -> dict[str, ak.Array]:
    """Columns with one entry per jet, also where jets are nested in events: what belongs to the event goes to each jet."""
    of_jet = next(feature.branch for feature in schema.features if feature.slot is None)
    if columns[of_jet].ndim == 1:
        return columns
    jets = ak.num(columns[of_jet])
    flat = {}
    for expression, values in columns.items():
        if values.ndim == 1:
            values = ak.broadcast_arrays(values, columns[of_jet])[0]
        elif not ak.all(ak.num(values) == jets):
            raise UserError(f"'{expression}' and '{of_jet}' differ in their number of jets in some event.")
        flat[expression] = ak.flatten(values)
    return flat


def _expressions(tree, path: Path, schema: Schema, selection: str) -> tuple[list[str], set[str]]:
    """All expressions to read, and the names of optional spectators that this file does not have.

    Raises:
        UserError: if an expression needs a branch that does not exist; the message names the nearest.
    """
    needed = [feature.branch for feature in schema.features]
    needed += [flavour.branch for flavour in schema.classes]
    needed += [extra for group in schema.groups for extra in (group.count, group.order, group.select) if extra]
    needed += [selection] if selection else []
    keys = set(tree.keys())

    def missing(expression: str) -> str | None:
        """The first branch that the expression needs and the tree lacks."""
        try:
            PythonLanguage().free_symbols(expression, keys, [], str(path), tree.name)
        except uproot.KeyInFileError as error:
            return error.key
        except SyntaxError as error:
            raise UserError(f"'{expression}' is not a valid expression: {error.msg}.") from error
        return None

    for expression in needed:
        if branch := missing(expression):
            raise UserError(
                f"Tree '{tree.name}' in '{path}' has no branch '{branch}'; "
                f"the nearest that exist are {nearest(branch, sorted(keys))}."
            )
    unknown = {spectator.name for spectator in schema.spectators if spectator.optional and missing(spectator.branch)}
    needed += [spectator.branch for spectator in schema.spectators if spectator.name not in unknown]
    return list(dict.fromkeys(needed)), unknown


def _jets(
    columns: dict[str, ak.Array],
    entry: np.ndarray,
    file: RootFile,
    schema: Schema,
    selection: str,
    unknown_spectators: set[str],
    cleaning: Cleaning,
) -> Jets:
    """Turn one chunk of expressions into cleaned jets."""
    cleaning.read += len(entry)
    by_feature = np.full((len(schema.features), len(entry)), np.nan, np.float32)
    absent = np.zeros(by_feature.shape, bool)
    first = 0
    for group in schema.groups:
        members = [feature for feature in schema.features if feature.group == group.name]
        rows = slice(first, first + len(members))
        _fill(by_feature[rows], absent[rows], columns, group, members)
        first += len(members)
    belongs = np.stack([ak.to_numpy(columns[flavour.branch]) for flavour in schema.classes], axis=1).astype(bool)
    spectators = {"source": np.full(len(entry), file.source), "entry": entry}
    for spectator in schema.spectators:
        found = spectator.name not in unknown_spectators
        values = ak.to_numpy(columns[spectator.branch]) if found else np.full(len(entry), spectator.default)
        spectators[spectator.name] = values.astype(spectator_dtype(spectator.name))
    selected = ak.to_numpy(columns[selection]).astype(bool) if selection else np.ones(len(entry), bool)
    known = belongs.sum(axis=1) == 1
    cleaning.not_selected += int((~selected).sum())
    cleaning.unknown_flavour += int((selected & ~known).sum())
    keep = selected & known
    by_feature, absent = by_feature[:, keep], absent[:, keep]
    _clean(by_feature, absent, schema, cleaning)
    spectators = {name: values[keep] for name, values in spectators.items()}
    return Jets(np.ascontiguousarray(by_feature.T), belongs.argmax(axis=1)[keep], spectators, len(schema.classes))


def spectator_dtype(name: str) -> type:
    """NumPy type of a spectator: real for a weight, whole otherwise."""
    return np.float32 if name.endswith("weight") else np.int64


def _fill(target: np.ndarray, absent: np.ndarray, columns: dict[str, ak.Array], group: Group, features: list[Feature]) -> None:
    """Fill the rows of one group, `target` and `absent` both `(features of the group, jets)`."""
    jagged = group.slots is not None and columns[features[0].branch].ndim > 1
    slots = _slot_index(columns, group, features[0].branch) if jagged else None
    counts = ak.to_numpy(ak.num(columns[features[0].branch])) if jagged else None
    flat: dict[str, np.ndarray] = {}
    for row, feature in enumerate(features):
        if feature.branch not in flat:
            values = columns[feature.branch]
            if jagged and not np.array_equal(ak.to_numpy(ak.num(values)), counts):
                raise UserError(
                    f"'{feature.branch}' and '{features[0].branch}' differ in their number of values in some jet, "
                    f"but they describe the same {group.name}s."
                )
            flat[feature.branch] = ak.to_numpy(ak.flatten(values) if jagged else values).astype(np.float32)
        if jagged:
            index = slots[feature.slot]
            absent[row] = index < 0
            target[row, index >= 0] = flat[feature.branch][index[index >= 0]]
        else:
            target[row] = flat[feature.branch]
            if group.count is not None:
                absent[row] = ak.to_numpy(columns[group.count]) <= feature.slot


def _slot_index(columns: dict[str, ak.Array], group: Group, branch: str) -> np.ndarray:
    """Position in the flattened branch of each jet's leading objects, int64 `(slots, jets)`, -1 where there is none."""
    counts = ak.to_numpy(ak.num(columns[branch]))
    position = ak.unflatten(np.arange(counts.sum()), counts)
    if group.select:
        position = position[columns[group.select]]
    if group.order:
        key = columns[group.order]
        key = ak.nan_to_num(key if not group.select else key[columns[group.select]], nan=-np.inf)
        position = position[ak.argsort(key, axis=1, ascending=False, stable=True)]
    padded = ak.fill_none(ak.pad_none(position, group.slots, axis=1, clip=True), -1)
    return np.ascontiguousarray(ak.to_numpy(padded).astype(np.int64).T)


def _clean(by_feature: np.ndarray, absent: np.ndarray, schema: Schema, cleaning: Cleaning) -> None:
    """Replace absent, non-finite and impossible values by the default and count the latter two; sentinels count as absent.

    `by_feature`, float32 `(features, jets)`, is changed in place; `absent`, bool `(features, jets)`, marks cells whose
    object does not exist; those that a sentinel marks are added to it.
    """
    for row, feature in enumerate(schema.features):
        values = by_feature[row]
        if feature.sentinel is not None:
            absent[row] |= values == np.float32(feature.sentinel)
        not_finite = ~np.isfinite(values) & ~absent[row]
        outside = np.zeros_like(not_finite)
        if feature.valid_min is not None:
            outside |= values < feature.valid_min
        if feature.valid_max is not None:
            outside |= values > feature.valid_max
        outside &= ~absent[row] & ~not_finite & (values != np.float32(feature.default))
        cleaning.not_finite[row] += int(not_finite.sum())
        cleaning.out_of_range[row] += int(outside.sum())
        values[absent[row] | not_finite | outside] = feature.default
