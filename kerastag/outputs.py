"""Folders of results: what made them, that one process alone writes there, and what a killed one has left.

A folder holds results of one command. `made_by.json` says which, with its arguments and the process that wrote last.
"""

import contextlib
import datetime
import functools
import inspect
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import filelock

from kerastag.errors import UserError
from kerastag.files import SCRATCH, read_json, write_json

P = ParamSpec("P")
T = TypeVar("T")
MARKER = "made_by.json"
_LOCK = ".lock"


def check(folder: Path, command: str) -> None:
    """Make sure that a folder may hold results of a command.

    Raises:
        UserError: if it is no folder, or holds anything that this command has not made.
    """
    _refuse_dangling_link(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file; choose a folder for --output.")
    maker = made_by(folder)
    if maker not in (command, None):
        raise UserError(f"'{folder}' holds results of kerastag {maker}; choose another --output.")
    if maker is None and contents(folder):
        raise UserError(f"The folder '{folder}' is not empty and was not made by kerastag {command}; choose another --output.")


def _refuse_dangling_link(path: Path) -> None:
    """Of a link to nothing the system says that it exists when it is to be made, and that it does not when it is to be read."""
    for link in (path, *path.parents):
        if link.is_symlink() and not link.exists():
            raise UserError(
                f"'{link}' is a link to '{link.readlink()}', which does not exist; make that, or choose another name."
            )


def made_by(folder: Path) -> str | None:
    """The command whose results a folder holds; None if none has left its mark."""
    if (folder / MARKER).is_file():
        return str(read_json(folder / MARKER, {"command": str})["command"])
    # What marked folders before there were marks.
    earlier = {"config.json": ("settings", "train"), "production.json": ("settings", "simulate")}
    for name, (field, command) in earlier.items():
        if (folder / name).is_file() and field in (folder / name).read_text(encoding="utf-8", errors="replace"):
            return command
    return None


def contents(folder: Path) -> list[Path]:
    """What lies in a folder beside marks and what killed writers have left; nothing if there is no folder."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.name not in (MARKER, _LOCK) and not path.name.startswith(SCRATCH)]


def keeps(run: Callable[P, T]) -> Callable[P, T]:
    """A function that writes into the folder `output`, and has the name of a command: it keeps the folder for itself."""
    signature = inspect.signature(run)

    @functools.wraps(run)
    def kept(*args: P.args, **kwargs: P.kwargs) -> T:
        with claimed(signature.bind(*args, **kwargs).arguments["output"], run.__name__):
            return run(*args, **kwargs)

    return kept


@contextlib.contextmanager
def claimed(folder: Path, command: str) -> Iterator[None]:
    """Keep a folder for this process while it writes results of a command; made if it is not there.

    If nothing comes of it, a new folder is removed again.

    Raises:
        UserError: as `check`; if another process writes there; or if the folder or a file in it cannot be written.
    """
    check(folder, command)
    existed = folder.is_dir()
    with _one_sentence(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, "choose another --output, or wait for it"):
            try:
                _remove_leftovers(folder)
                write_json(folder / MARKER, _description(command))
                yield
            finally:
                if not contents(folder):
                    (folder / MARKER).unlink(missing_ok=True)
                    if not existed:
                        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def workshop(target: Path, command: str) -> Iterator[Path]:
    """The folder `<target>.parts` in which a command makes a file or folder, kept for this process; what is there stays.

    Raises:
        UserError: if it holds anything else; if another process works there; or if it or a file in it cannot be written.
    """
    _refuse_dangling_link(target)
    parts = target.with_name(f"{target.name}.parts")
    check(parts, command)
    with _one_sentence(parts):
        parts.mkdir(parents=True, exist_ok=True)
        with locked(parts, "choose another file, or wait for it"):
            _remove_leftovers(parts)
            write_json(parts / MARKER, _description(command))
            yield parts


@contextlib.contextmanager
def _one_sentence(folder: Path) -> Iterator[None]:
    """Say what the operating system refused, and where results are that were made before."""
    try:
        yield
    except OSError as error:
        kept = f"; what is done is kept in '{folder}'" if contents(folder) else ""
        raise UserError(f"{sentence(error)}{kept}.") from error


@contextlib.contextmanager
def locked(folder: Path, advice: str) -> Iterator[None]:
    """Hold the lock of an existing folder, which ends with the process, however that ends.

    Raises:
        UserError: if another process holds it; the message ends in `advice`.
    """
    lock = filelock.FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(f"{_owner(folder)} writes into '{folder}' now; {advice}.") from error
    try:
        yield
    finally:
        lock.release()


def sentence(error: OSError) -> str:
    """What the operating system refused, with the path."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"'{error.filename}': {reason}" if error.filename else reason


def _owner(folder: Path) -> str:
    try:
        marker = read_json(folder / MARKER, {"command": str, "host": str, "process": int, "since": str})
    except UserError:
        return "Another process"
    return f"kerastag {marker['command']}, process {marker['process']} on {marker['host']} since {marker['since']},"


def _description(command: str) -> dict[str, object]:
    return {
        "command": command,
        "arguments": sys.argv[1:],
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed writer has left in a folder and below; not in folders with a mark of their own."""
    for path, names, _ in os.walk(folder):
        here = Path(path)
        for name in [name for name in names if name.startswith(SCRATCH)]:
            shutil.rmtree(here / name, ignore_errors=True)
        names[:] = [name for name in names if not name.startswith(SCRATCH) and not (here / name / MARKER).exists()]
