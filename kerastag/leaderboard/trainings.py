"""What is known of the training of a tagger from its run directory."""

import csv
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
    config = Path(found.source) / "config.json"
    return read_json(config, {"settings": dict})["settings"] if config.is_file() else {}


def epochs_and_seconds(found: NamedTagger, jets: int) -> tuple[int, float] | None:
    """Epochs of the training and its time without evaluation; None where they are not known.

    Args:
        found: The tagger.
        jets: Training jets.
    """
    file = Path(found.source) / "history.csv"
    if not file.is_file():
        return None
    with file.open(newline="") as stream:
        rates = [float(row["jets_per_second"]) for row in csv.DictReader(stream) if row.get("jets_per_second")]
    return (len(rates), sum(jets / rate for rate in rates)) if rates else None


def other_seeds(found: NamedTagger, paths: Sequence[str], dataset: JetDataset) -> list[NamedTagger]:
    """Trainings that differ from one in the seed alone.

    Raises:
        UserError: if one cannot be loaded, or differs in something else.
    """
    others, known = [load(path, dataset.schema) for path in paths], settings_of(found)
    seeds = [known.get("seed")]
    for other in others:
        settings = settings_of(other)
        names = {**known, **settings}.keys() - {*FOLDERS, "seed"}
        differ = sorted(name for name in names if settings.get(name) != known.get(name))
        if not known or differ or settings.get("seed") in seeds:
            what = f"has another {', '.join(differ)}" if differ else "has the same"
            raise UserError(
                f"'{other.source}' (--other-seeds) must be a training like '{found.source}' but for its seed; it {what}."
            )
        seeds.append(settings["seed"])
    return others
