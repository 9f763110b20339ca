"""Files of weights of legacy taggers: from a folder or downloaded once, and checked before they are read."""

import hashlib
import os
from pathlib import Path

from kerastag.errors import UserError
from kerastag.legacy.registry import LegacyTagger

FOLDER_VARIABLE = "KERASTAG_WEIGHTS"


def find(tagger: LegacyTagger, weights_dir: str | Path | None = None) -> Path:
    """Path of a tagger's file of weights, whose size and SHA-256 have been checked.

    Args:
        tagger: The tagger.
        weights_dir: Folder that holds the file under `tagger.path`. None for the folder in the environment variable
            KERASTAG_WEIGHTS, or without it, for a download into the user's cache.

    Raises:
        UserError: if the file is missing or not the right one, or the download fails.
    """
    folder = weights_dir or os.environ.get(FOLDER_VARIABLE)
    path = Path(folder).expanduser() / tagger.path if folder else _downloaded(tagger)
    if not path.is_file():
        raise UserError(f"The weights of {tagger.name} are not in '{folder}'; {_how_to_get(tagger, path)}")
    _check(tagger, path)
    return path


def _how_to_get(tagger: LegacyTagger, path: Path) -> str:
    return f"get {tagger.url} and put it at '{path}', or name another folder with {FOLDER_VARIABLE}."


def _check(tagger: LegacyTagger, path: Path) -> None:
    size = path.stat().st_size
    if size < tagger.size:
        raise UserError(f"'{path}' is truncated: it has {size:,} of {tagger.size:,} bytes; {_how_to_get(tagger, path)}")
    if size != tagger.size or _sha256(path) != tagger.sha256:
        problem = f"'{path}' is not the file of {tagger.name} (its SHA-256 should be {tagger.sha256})"
        raise UserError(f"{problem}; {_how_to_get(tagger, path)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _downloaded(tagger: LegacyTagger) -> Path:
    """Path of the file in the cache, where it is downloaded first if need be."""
    import pooch
    import requests

    folder = pooch.os_cache("kerastag")
    path = Path(folder) / tagger.path
    if path.is_file():
        return path
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(tagger.url, f"sha256:{tagger.sha256}", fname=path.name, path=path.parent, progressbar=True)
    except requests.RequestException as error:
        raise UserError(f"The weights of {tagger.name} cannot be downloaded; {_how_to_get(tagger, path)}") from error
    except ValueError as error:  # the SHA-256 differs
        raise UserError(
            f"{tagger.url} is not the file of {tagger.name} any more (its SHA-256 should be {tagger.sha256}); "
            f"put the right one at '{path}', or name another folder with {FOLDER_VARIABLE}."
        ) from error
    except OSError as error:
        raise UserError(f"The weights of {tagger.name} cannot be written to '{path}': {error.strerror}.") from error
    return path
