"""Writing that leaves either the old or the new content, never half of one."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kerastag import results
from kerastag.errors import UserError

# How the names of temporary folders begin.
SCRATCH = ".writing_"


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, of the same suffix; what is written there, file or folder, is renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=path.parent) as scratch:
        new = Path(scratch) / path.name
        yield new
        if path.is_dir():  # a folder cannot be renamed onto one that has content
            os.replace(path, Path(scratch) / "old")
        os.replace(new, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with replaced(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole; results become plain data."""
    write_text(path, json.dumps(results.plain(content), indent=2) + "\n")


def read_json(path: Path, fields: Mapping[str, type] | None = None) -> Any:
    """The content of a JSON file of ours, with results in their types.

    Args:
        path: The file.
        fields: What an object must have, each of what type; None if it need not be an object.

    Raises:
        UserError: if it cannot be read, is no JSON, or lacks a field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_hook=results.revived)
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}.") from error
    except RecursionError as error:
        raise UserError(f"'{path}' is damaged: it is nested too deeply.") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"'{path}' is damaged: {error}.") from error
    if fields is not None:
        check_fields(path, content, fields)
    return content


def check_fields(path: Path, content: Any, fields: Mapping[str, type]) -> None:
    """Check what a file holds.

    Args:
        path: The file, for the message.
        content: What was read.
        fields: What it must have, each of what type.

    Raises:
        UserError: if it is no object, or a field is missing or of another type.
    """
    if not isinstance(content, dict):
        raise UserError(f"'{path}' is damaged: it holds no object.")
    for name, kind in fields.items():
        value = content.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UserError(f"'{path}' is damaged: its field '{name}' is missing or no {kind.__name__}.")
