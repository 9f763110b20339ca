"""What tells data apart, and folders that must still be what was written: a list of their files with the SHA-256 of each.

Where that is remembered, a file is hashed again only when its size or its times are not those when it was found right.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kerastag.errors import UserError
from kerastag.files import SCRATCH, read_json, write_json

LIST, _VERIFIED = "checksums.json", "verified.json"
_NOT_LISTED = (LIST, _VERIFIED, ".lock")


def of_content(content: Any, default: Callable[[Any], Any] | None = None) -> str:
    """SHA-256 of plain data, in hexadecimal letters.

    Args:
        content: What `json.dumps` takes.
        default: What makes plain data of anything else, as there.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=default).encode()).hexdigest()


def seal(folder: Path, **about: Any) -> None:
    """Write down what the files of a folder are.

    Args:
        folder: The folder.
        **about: What else is to be known of it, for `about`.
    """
    write_json(folder / LIST, {"files": {name: sha256(path) for name, path in _files(folder).items()}, "about": about})


def is_sealed(folder: Path) -> bool:
    """Whether the files of a folder have been written down."""
    return (folder / LIST).is_file()


def about(folder: Path) -> dict[str, Any]:
    """What else was written down.

    Raises:
        UserError: if the list is damaged.
    """
    return _list(folder)["about"]


def check(folder: Path, remedy: str, *, remember: bool = False) -> None:
    """Make sure that a folder holds what it did when it was sealed.

    Args:
        folder: The folder.
        remedy: What the user can do otherwise, the end of the message.
        remember: Whether to write down there that it was right, so that large files are not hashed again.

    Raises:
        UserError: if a file is missing or has changed. Others may have been added.
    """
    sealed = _list(folder)["files"]
    files = {name: folder / name for name in sealed}
    if missing := [name for name, path in files.items() if not path.is_file()]:
        raise UserError(f"'{missing[0]}' is missing from '{folder}'; {remedy}.")
    known, states = _verified(folder), {name: _state(path) for name, path in files.items()}
    if states == known:
        return
    for name, path in files.items():
        if known.get(name) != states[name] and sha256(path) != sealed[name]:
            raise UserError(f"'{path}' is not as it was written: it is damaged or was changed; {remedy}.")
    if remember:
        with contextlib.suppress(OSError):  # a folder that belongs to others is hashed each time
            write_json(folder / _VERIFIED, states)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size_and_time(path: Path) -> list[int]:
    """What changes with a file's content as a rule: its size in bytes and its time in nanoseconds."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _list(folder: Path) -> dict[str, Any]:
    return read_json(folder / LIST, {"files": dict, "about": dict})


def _files(folder: Path) -> dict[str, Path]:
    """The files below a folder by relative name."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if name not in _NOT_LISTED and not name.startswith(SCRATCH)}


def _verified(folder: Path) -> Mapping[str, list[int]]:
    try:
        return read_json(folder / _VERIFIED, {})
    except UserError:  # there is none, or it is worth nothing
        return {}


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [*size_and_time(path), status.st_ctime_ns, status.st_ino]
