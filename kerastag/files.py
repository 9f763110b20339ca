"""Writing that leaves either the old or the new content, never half of one."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerastag import results

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


def read_json(path: Path) -> Any:
    """The content of a JSON file, with results in their types."""
    return json.loads(path.read_text(encoding="utf-8"), object_hook=results.revived)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed writer left in `folder`."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        shutil.rmtree(scratch, ignore_errors=True)
