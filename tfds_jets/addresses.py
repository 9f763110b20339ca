"""Files of jets that lie elsewhere: their addresses stand in a list, and they are fetched beside it, once.

An address is one of fsspec's: `root://`, `https://`, `s3://` and others, most of which need a package of their own.
"""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from tqdm.auto import tqdm

from kerastag.checksums import sha256
from kerastag.errors import UserError
from kerastag.files import replaced
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
        parts = urlsplit(self.address)
        name = PurePosixPath(parts.netloc + parts.path).name
        return f"{hashlib.sha256(self.address.encode()).hexdigest()[:8]}_{name}"


def fetch(directory: Path) -> None:
    """Fetch what the lists below a folder name and is not there yet.

    Args:
        directory: The folder; each list `addresses.txt` has an address a line, and perhaps a SHA-256 behind it.

    Raises:
        UserError: if a list is damaged, a package is missing, or a file cannot be fetched or is another one.
    """
    for path in sorted(directory.rglob(LIST)):
        for one in _read(path):
            copy = path.parent / one.name
            if not copy.is_file():
                _copy(one, copy)
            elif one.sha256 and sha256(copy) != one.sha256:
                raise UserError(f"'{copy}' is not what '{path}' says, by its SHA-256; delete it, and it is fetched again.")


def _read(path: Path) -> Iterator[Address]:
    """The lines of a list; empty ones and those that begin with # are passed over."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' cannot be read: {error}.") from error
    for number, line in enumerate(lines, start=1):
        address, _, digest = line.strip().partition(" ")
        if not address or address.startswith("#"):
            continue
        one = Address(address, digest.strip().lower())
        if "://" not in address or PurePosixPath(one.name).suffix not in SUFFIXES:
            raise UserError(f"Line {number} of '{path}' is no address of a {', '.join(SUFFIXES)} file: '{address}'.")
        if one.sha256 and (len(one.sha256) != 64 or set(one.sha256) - set("0123456789abcdef")):
            raise UserError(f"Line {number} of '{path}' has no SHA-256 behind the address: '{digest.strip()}'.")
        yield one


def _copy(one: Address, copy: Path) -> None:
    """Fetch a file whole, or not at all."""
    import fsspec

    try:
        with fsspec.open(one.address, "rb") as source, replaced(copy) as new:
            size = getattr(source, "size", None)
            progress = tqdm.wrapattr(source, "read", size, desc=f"Fetching {copy.name}", leave=False, disable=None)
            with progress as stream, new.open("wb") as file:
                shutil.copyfileobj(stream, file, _BLOCK)
            if one.sha256 and sha256(new) != one.sha256:
                raise UserError(f"'{one.address}' is not the file that was expected: its SHA-256 is {sha256(new)}.")
    except UserError:
        raise
    except ImportError as error:  # fsspec's message names the package
        raise UserError(f"'{one.address}' cannot be read here: {error}.") from error
    except Exception as error:  # each kind of address has errors of its own
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise UserError(f"'{one.address}' cannot be fetched: {reason}.") from error
