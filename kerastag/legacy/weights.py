"""The file of a legacy tagger's weights: from a folder of the user's, or downloaded once, and checked before it is read."""

import hashlib
import os
from pathlib import Path

from kerastag.errors import UserError
from kerastag.legacy.registry import LegacyTagger

FOLDER_VARIABLE = "KERASTAG_WEIGHTS"


def find(tagger: LegacyTagger, weights_dir: str | Path | None = None) -> Path:
    """Path of the tagger's file, checked by size and SHA-256.

    Args:
        tagger: Whose weights.
        weights_dir: Folder that holds the file under `tagger.path`; None for the folder that the environment variable
            KERASTAG_WEIGHTS names, or, where it is not set, for a download into the user's cache.

    Raises:
        UserError: if the file is missing or another one, or the download fails.
    """
    folder = weights_dir or os.environ.get(FOLDER_VARIABLE)
    path = Path(folder).expanduser() / tagger.path if folder else _downloaded(tagger)
    if not path.is_file():
        raise UserError(f"The weights of {tagger.name} are not in '{folder}'; {_by_hand(tagger, path)}")
    _check(tagger, path)
    return path


def _by_hand(tagger: LegacyTagger, path: Path) -> str:
    return f"get {tagger.url} and put it at '{path}', or name another folder with {FOLDER_VARIABLE}."


def _check(tagger: LegacyTagger, path: Path) -> None:
    size = path.stat().st_size
    if size < tagger.size:
        raise UserError(f"'{path}' is truncated: it has {size:,} of {tagger.size:,} bytes; {_by_hand(tagger, path)}")
    with path.open("rb") as stream:
        if size != tagger.size or hashlib.file_digest(stream, "sha256").hexdigest() != tagger.sha256:
            raise UserError(
                f"'{path}' is not the file of {tagger.name} (its SHA-256 should be {tagger.sha256}); {_by_hand(tagger, path)}"
            )


def _downloaded(tagger: LegacyTagger) -> Path:
    """The file in the cache, downloaded if it is not there."""
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
        raise UserError(f"The weights of {tagger.name} cannot be downloaded; {_by_hand(tagger, path)}") from error
    except ValueError as error:  # the SHA-256 differs
        raise UserError(
            f"{tagger.url} is not the file of {tagger.name} any more (its SHA-256 should be {tagger.sha256}); "
            f"put the right one at '{path}', or name another folder with {FOLDER_VARIABLE}."
        ) from error
    except OSError as error:
        raise UserError(f"The weights of {tagger.name} cannot be written to '{path}': {error.strerror}.") from error
    return path
