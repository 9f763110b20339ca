"""What is in files of jets, and a schema to begin with."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import tables
from kerastag.errors import UserError
from kerastag.files import write_text
from kerastag.schema import toml
from tfds_jets import draft, inspection, sources
from tfds_jets.addresses import LIST
from tfds_jets.inspection import Column
from tfds_jets.reading import find_files

# Frequent values of a column that are shown, and the share from which on they are.
_SHOWN, _SHARE = 2, 0.01
_HEADER = """\
# A schema that `kerastag inspect` has drafted from {source}.
# Look at every line; unknown fields are refused. What could not be told:
{questions}
"""


def overview(paths: Sequence[Path], output: Path | None = None, tree: str | None = None, name: str | None = None) -> None:
    """Print trees, branches and a draft of a schema.

    Args:
        paths: Files of the same kind, or folders of them; the first that has entries is looked at, the others must have its
            branches.
        output: File for the draft; None prints it.
        tree: Path of the tree; None for the one of most branches.
        name: Name of the schema; None for that of the file.

    Raises:
        UserError: if a file cannot be read, none has entries, or the output exists.
    """
    if output is not None and output.exists():
        raise UserError(f"'{output}' exists; choose another name for --output.")
    paths = [file for path in paths for file in _files(path)]
    first, chosen, columns = _first_with_entries(paths, tree)
    print(f"\n{tables.markdown(_HEAD, [_row(column) for column in columns])}\n")
    for path in paths:
        if missing := _missing(path, chosen, columns):
            print(f"'{path}' lacks {', '.join(missing[:5])}{' and more' if len(missing) > 5 else ''}.")
    drafted = draft.draft(columns, chosen, name or _identifier(output or first))
    toml.check(drafted.schema)
    questions = "\n".join(f"# - {question}" for question in drafted.open_questions) or "# nothing"
    text = _HEADER.format(source=f"'{first}'", questions=questions) + "\n" + toml.text(drafted.schema)
    if output is None:
        print(text)
        return
    write_text(output, text)
    print("What could not be told:\n", *(f"- {question}" for question in drafted.open_questions), sep="\n")
    print(f"\nDraft {output}; edit it, then: kerastag schema {output}; kerastag train --schema {output} --manual-dir FOLDER")


def _files(path: Path) -> list[Path]:
    """A file, or those below a folder, by name."""
    if re.match(r"[a-z0-9+]+:/", str(path)):  # of "//" a path keeps one
        raise UserError(f"'{path}' lies elsewhere; write its address to {LIST} in a folder, and inspect that folder.")
    return sorted(file.path for file in find_files(path)) if path.is_dir() else [path]


def _first_with_entries(paths: Sequence[Path], tree: str | None) -> tuple[Path, str, tuple[Column, ...]]:
    """The first file that has entries, the path of its tree, and its columns."""
    for path in paths:
        if not path.is_file():
            raise UserError(f"There is no file '{path}'.")
        if path.suffix not in sources.SUFFIXES:
            raise UserError(f"'{path}' is none of {', '.join(sources.SUFFIXES)}.")
        trees = inspection.trees(path)
        for name, (entries, branches) in trees.items():
            print(f"'{path}': tree '{name}', {entries:,} entries, {branches:,} branches.")
        chosen = tree or max(trees, key=lambda name: (trees[name][0] > 0, trees[name][1]), default="")
        if path.suffix == ".root" and not trees:
            raise UserError(f"'{path}' holds no tree.")
        columns = inspection.columns(path, chosen, lambda portions: tqdm(portions, "Reading", disable=None, leave=False))
        if columns:
            return path, chosen, columns
        print(f"'{path}' has no entries, and is passed over.")
    raise UserError("None of the files has entries.")


def _missing(path: Path, tree: str, columns: Sequence[Column]) -> list[str]:
    """Branches that a file lacks."""
    with sources.opened(path, (tree,)) as table:
        return [f"'{column.name}'" for column in columns if column.name not in table.branches]


_HEAD = ["branch", "type", "in each entry", "smallest", "largest", "distinct", "frequent values"]


def _row(column: Column) -> list[str]:
    lists = {0: "a value", 1: "a list", 2: "a list of lists"}[min(column.depth, 2)]
    if len(column.lengths):
        lists += f", {np.mean(column.lengths):.3g} on average, at most {column.lengths.max()}"
    frequent = [f"{value:g} ({share:.2g})" for value, share in column.frequent[:_SHOWN] if share >= _SHARE]
    if column.not_finite:
        frequent.append(f"not finite ({column.not_finite:.2g})")
    if not column.kind:
        return [column.name, "no numbers", "", "", "", "", ""]
    range_of = [f"{column.low:.6g}", f"{column.high:.6g}"] if column.distinct else ["", ""]
    return [column.name, column.kind, lists, *range_of, f"{column.distinct:,}", ", ".join(frequent)]


def _identifier(path: Path) -> str:
    """Name of a schema from that of a file."""
    name = "".join(letter if letter.isalnum() else "_" for letter in path.stem)
    return name if name[:1].isalpha() else f"jets_{name}"
