"""Files of jets that lie elsewhere: their addresses stand in a list, and they are fetched beside it, once.

An address is one of fsspec's: `root://`, `https://`, `s3://` and others, most of which need a package of their own.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm.auto import tqdm

from kerastag import outputs
from kerastag.checksums import sha256
from kerastag.errors import UserError
from kerastag.files import SCRATCH, replaced
from tfds_jets.sources import SUFFIXES

LIST = "addresses.txt"
_BLOCK = 1 << 22


class Address(NamedTuple):
    """A file that lies elsewhere.

    Attributes:
        address: Where.
        sha256: SHA-256 that it must have, hexadecimal; "" if that is not known.
    """

    address: str
    sha256: str

    @property
    def name(self) -> str:
        """Name of the copy: that of the file, behind some letters that tell equal names of several folders apart."""
        name = PurePosixPath(re.split("[?#]", self.address)[0]).name
        return f"{hashlib.sha256(self.address.encode()).hexdigest()[:8]}_{name}"


def fetch(directory: Path) -> dict[Path, str]:
    """Fetch what the lists below a folder name and is not there yet.

    Args:
        directory: The folder; each list `addresses.txt` has an address a line, and perhaps a SHA-256 behind it.

    Returns:
        The SHA-256 that each copy must have, as far as the lists tell.

    Raises:
        UserError: if a list is damaged, a package is missing, a file cannot be fetched or is another one, or another process
            fetches it now.
    """
    told: dict[Path, str] = {}
    for path in sorted(directory.rglob(LIST)):
        copies = {path.parent / one.name: one for one in _read(path)}
        told |= {copy: one.sha256 for copy, one in copies.items() if one.sha256}
        missing = {copy: one for copy, one in copies.items() if not copy.is_file()}
        if missing:
            _fetch(missing, path.parent)
    return told


def _fetch(missing: Mapping[Path, Address], folder: Path) -> None:
    """Fetch files into their folder, where one process may do so at a time."""
    try:
        with outputs.locked(folder, "wait for it"):
            for left in folder.glob(f"{SCRATCH}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            for copy, one in missing.items():
                _copy(one, copy)
    except OSError as error:
        raise UserError(
            f"The files that '{folder / LIST}' names cannot be kept beside it: {outputs.sentence(error)}."
        ) from error


def _read(path: Path) -> Iterator[Address]:
    """The lines of a list; empty ones and those that begin with # are passed over."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' cannot be read: {error}.") from error
    for number, line in enumerate(lines, start=1):
        address, digest, *_ = [*line.split(None, 1), "", ""]
        if not address or address.startswith("#"):
            continue
        one = Address(address, digest.strip().lower())
        if "://" not in address or PurePosixPath(one.name).suffix not in SUFFIXES:
            raise UserError(f"Line {number} of '{path}' is no address of a {', '.join(SUFFIXES)} file: '{address}'.")
        if one.sha256 and (len(one.sha256) != 64 or set(one.sha256) - set("0123456789abcdef")):
            raise UserError(
                f"Line {number} of '{path}' has no SHA-256 behind the address, but '{digest.strip()}'; "
                "a space in an address is %20."
            )
        yield one


def _copy(one: Address, copy: Path) -> None:
    """Fetch a file whole, or not at all."""
    import fsspec

    with replaced(copy) as new:
        try:
            with fsspec.open(one.address, "rb") as source, new.open("wb") as file:
                size = getattr(source, "size", None)
                progress = tqdm.wrapattr(source, "read", size, desc=f"Fetching {copy.name}", leave=False, disable=None)
                with progress as stream:
                    shutil.copyfileobj(stream, file, _BLOCK)
        except FileNotFoundError as error:
            raise UserError(f"There is no file at '{one.address}'.") from error
        except ImportError as error:  # fsspec's message names the package
            raise UserError(f"'{one.address}' cannot be read here: {error}.") from error
        except Exception as error:  # each kind of address has errors of its own
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            raise UserError(f"'{one.address}' cannot be fetched: {reason}.") from error
        if one.sha256 and sha256(new) != one.sha256:
            raise UserError(f"'{one.address}' is not the file that was expected: its SHA-256 is {sha256(new)}.")
