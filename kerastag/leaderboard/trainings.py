"""What is known of the training of a tagger from its run directory."""

import csv
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.files import read_json
from kerastag.recipes import FOLDERS
from kerastag.saving.taggers import NamedTagger, load


def facts(found: NamedTagger) -> dict[str, Any]:
    """Architecture, defence and seed by their names in an entry, as far as they are known."""
    if found.record is not None:
        return {"architecture": found.record.name}
    settings = settings_of(found)
    known = {"architecture": settings.get("model"), "defence": settings.get("defense"), "seed": settings.get("seed")}
    return {name: value for name, value in known.items() if isinstance(value, int if name == "seed" else str)}


def settings_of(found: NamedTagger) -> dict[str, Any]:
    """Settings of the training; empty where they are not known."""
    return _config(found).get("settings", {})


def command(found: NamedTagger) -> str | None:
    """What trained a tagger, without the folders of this machine; None where it is not known."""
    words = _config(found).get("command")
    if not (isinstance(words, list) and words and all(isinstance(word, str) for word in words)):
        return None
    return shlex.join(map(without_folders, words))


def without_folders(word: str) -> str:
    """A word of a command line for everybody's eyes: the path of a folder on this machine is its name."""
    name, equals, path = word.rpartition("=")
    return name + equals + (Path(path).name if Path(path).is_absolute() else path)


def _config(found: NamedTagger) -> dict[str, Any]:
    """What a run directory says of its training; empty where there is none."""
    file = Path(found.source) / "config.json"
    return read_json(file, {"settings": dict}) if file.is_file() else {}


def epochs_and_seconds(found: NamedTagger) -> tuple[int, float] | None:
    """Epochs of the training and its time without evaluation; None where they are not known.

    Raises:
        UserError: if the history is damaged.
    """
    file, config = Path(found.source) / "history.csv", _config(found)
    if not file.is_file() or not config:
        return None
    try:
        jets = sum(config["jets"]["train"].values())
        with file.open(newline="") as stream:
            rates = [float(row["jets_per_second"]) for row in csv.DictReader(stream) if row.get("jets_per_second")]
        return (len(rates), sum(jets / rate for rate in rates)) if rates else None
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UserError(f"'{file}', or config.json beside it, is damaged: {error!r}.") from error


def other_seeds(found: NamedTagger, paths: Sequence[str], dataset: JetDataset) -> list[NamedTagger]:
    """Trainings that differ from one in the seed alone.

    Raises:
        UserError: if one cannot be loaded, or differs in something else.
    """
    if not paths:
        return []
    others, known = [load(path, dataset.schema) for path in paths], settings_of(found)
    if not known:
        raise UserError(
            f"--other-seeds needs a run directory as --evaluate, whose config.json says how it was trained; '{found.source}' "
            "is none."
        )
    data, seeds = _config(found).get("fingerprint"), [known.get("seed")]
    for other in others:
        settings = settings_of(other)
        if not settings:
            raise UserError(f"'{other.source}' (--other-seeds) is no run directory: it has no config.json.")
        names = {**known, **settings}.keys() - {*FOLDERS, "seed"}
        differ = sorted(name for name in names if settings.get(name) != known.get(name))
        differ += ["data set"] if _config(other).get("fingerprint") != data else []
        if differ or settings.get("seed") in seeds:
            what = f"has another {', '.join(differ)}" if differ else "has the same seed as another"
            raise UserError(
                f"'{other.source}' (--other-seeds) must be a training like '{found.source}' but for its seed; it {what}."
            )
        seeds.append(settings["seed"])
    return others
