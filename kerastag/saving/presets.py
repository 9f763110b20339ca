"""Taggers by a short name: those that come along, and those of the Hugging Face Hub."""

import re
from pathlib import Path
from types import ModuleType

from kerastag.errors import UserError

# Beside the package in a clone; an installed package has none.
SHIPPED = Path(__file__).parents[2] / "saved_models"
HUB = "hf://"
_HUB_NAME = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def shipped() -> list[str]:
    """Names of the taggers that come along."""
    return sorted(folder.parent.name for folder in SHIPPED.glob("*/tagger.keras"))


def short(source: str) -> str:
    """The name of a tagger that comes along in place of its path, by which it is found from every folder; others stay."""
    path = Path(source)
    return path.name if path.name in shipped() and path.resolve() == (SHIPPED / path.name).resolve() else source


def locate(name: str) -> Path | None:
    """Where a tagger lies that is named by its path, as one that comes along, or as `hf://user/name`; None for anything else.

    What comes from the Hub is read like any other file: nothing in it is unpickled, and no code of it is run.

    Raises:
        UserError: if a name of the Hub is none, cannot be fetched, or `huggingface_hub` is not installed.
    """
    if name.startswith(HUB):
        return _from_hub(name)
    if Path(name).exists():
        return Path(name)
    return SHIPPED / name if name in shipped() else None


def _from_hub(name: str) -> Path:
    """The folder of a repository of the Hub, fetched unless it is there; the Hub's client checks what it fetches."""
    match = _HUB_NAME.fullmatch(name)
    if match is None:
        raise UserError(f"'{name}' names nothing on the Hub; write hf://user/name, or hf://user/name@revision.")
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(
            f"'{name}' needs the package huggingface_hub: install kerastag with the extra 'hub', or give the path of a copy."
        ) from error
    try:
        return Path(huggingface_hub.snapshot_download(match["repository"], revision=match["revision"]))
    except Exception as error:  # its connections have errors of their own, of another package in each version
        hub, reason = huggingface_hub.constants.ENDPOINT, _reason(error, huggingface_hub.errors)
        raise UserError(f"'{name}' cannot be fetched from {hub}: {reason}.") from error


def _reason(error: BaseException, errors: ModuleType) -> str:
    """Why the Hub's client failed; the first line of what it says itself is often "404 Client Error." alone."""
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is not open to you; check the name, or log in with `hf auth login`"
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__:
        return f"no copy is in the cache, and the Hub does not answer as it should ({_reason(error.__cause__, errors)})"
    return ": ".join((type(error).__name__, *str(error).strip().splitlines()[:1])).rstrip(".")
