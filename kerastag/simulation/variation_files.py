"""Files of variations: a folder with a ROOT file for each, made of the events of an existing sample."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uproot

from kerastag.errors import UserError
from kerastag.schema import JET_FLAVOR
from kerastag.simulation.production import Size, file_description
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.variations import AND, samples
from tfds_jets.reading import SAMPLE_FILE as SAMPLE_FILE
from tfds_jets.reading import simulation_of


def path(folder: Path, variations: Sequence[str]) -> Path:
    """File of a sample in a folder.

    Args:
        folder: Folder.
        variations: What the sample changes.
    """
    return folder / f"{AND.join(variations)}.root"


def metadata(sample: Path) -> dict[str, Any]:
    """What a simulated file says of itself, see `tfds_jets.reading.simulation_of`.

    Raises:
        UserError: if there is no such file, or it is none of `simulate`.
    """
    if (content := simulation_of(sample)) is None:
        raise UserError(f"'{sample}' is no file that `kerastag simulate` made.")
    return content


def settings_of(content: Mapping[str, Any]) -> SimulationSettings:
    """The settings in the metadata of a file."""
    settings = content["settings"]
    return SimulationSettings(**settings | {"variations": tuple(settings.get("variations", ()))})


def last_event(sample: Path) -> int:
    """Number of the last event of a file."""
    with uproot.open(sample) as file:
        return int(file[JET_FLAVOR.tree]["event"].array(library="np")[-1])


def missing(samples: Mapping[Path, SimulationSettings], size: Size) -> dict[Path, SimulationSettings]:
    """The samples whose file does not exist yet.

    Raises:
        UserError: if a file exists that was made with other settings.
    """
    for sample, settings in samples.items():
        if not sample.exists():
            continue
        if _without_words(metadata(sample)) != _without_words(file_description(settings, size)):
            raise UserError(f"'{sample}' was made with other settings or versions; delete it or choose another --output.")
        with uproot.open(sample) as file:
            jets = int(file[JET_FLAVOR.tree].num_entries)
        if size.jets is not None and jets != size.jets:
            raise UserError(f"'{sample}' has {jets:,} jets, not {size.jets:,}; delete it or choose another --output.")
    return {sample: settings for sample, settings in samples.items() if not sample.exists()}


def _without_words(content: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without what the variations are in words."""
    return {name: value for name, value in content.items() if name != "changes"}


def paths(requested: Sequence[str], output: Path) -> dict[Path, tuple[str, ...]]:
    """The file of each sample of a request, and what it changes.

    Args:
        requested: Names as `variations.samples` takes them.
        output: Folder; or a file that ends in ".root", for a single sample.

    Raises:
        UserError: if there is no such variation, or a file is named for several.
    """
    chosen = samples(requested)
    if output.suffix != ".root":
        return {path(output, names): names for names in chosen}
    if len(chosen) > 1:
        raise UserError(f"'{output}' cannot hold {len(chosen)} variations; name a folder with --output.")
    return {output: chosen[0]}
