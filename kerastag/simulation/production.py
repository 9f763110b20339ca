"""Samples of any size: units made by several processes, kept as parts until all are there, then joined into one ROOT file.

A part is written whole or not at all, and which units a file consists of depends on nothing but the settings, so a
production that is killed goes on where it was and ends in the same jets.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import math
import multiprocessing
import os
import shutil
import signal
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from tqdm.auto import tqdm

from kerastag.errors import UserError
from kerastag.files import remove_leftovers, replaced, write_json
from kerastag.schema import JET_FLAVOR
from kerastag.simulation import helix
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.unit import Simulation, Unit, concatenated

_JETS_PER_EVENT = 0.56  # about; from it follows how many units a production starts with
_DIGITS = 14  # binary digits of a stored real
_STEPS_PER_SIGMA = 256  # of a stored track parameter
_AHEAD = 2  # units that each process makes ahead of the one that is waited for
_PARTS_PER_BASKET = 6  # parts that are written at once, each branch as one basket


@dataclasses.dataclass
class Summary:
    """Numbers and times of a production.

    Attributes:
        reused: Jets taken from an interrupted run.
        jets: Jets made in this run.
        events: Events generated in this run.
        unlisted: Jets of this run left out, see `Unit`.
        seconds: Wall time.
        work_seconds: Time of all processes together.
        generator_seconds: Part of `work_seconds` that Pythia took.
        size: Bytes of the file.
    """

    reused: int = 0
    jets: int = 0
    events: int = 0
    unlisted: int = 0
    seconds: float = 0.0
    work_seconds: float = 0.0
    generator_seconds: float = 0.0
    size: int = 0

    def add(self, other: "Summary") -> None:
        """Add the numbers and times of another summary."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def produce(target: Path, jets: int, settings: SimulationSettings, processes: int) -> Summary:
    """Simulate jets into a ROOT file; parts of an interrupted production with the same settings are used.

    Args:
        target: File to make.
        jets: Number of jets.
        settings: Settings of the sample.
        processes: Number of processes.

    Raises:
        UserError: if `target` exists, or parts made with other settings or versions lie beside it.
    """
    if target.exists():
        raise UserError(f"'{target}' exists already; choose another file.")
    for name, number in (("jets", jets), ("processes", processes)):
        if number < 1:
            raise UserError(f"The number of {name} must be positive, not {number}.")
    description = {"settings": dataclasses.asdict(settings), "versions": versions()}
    parts = target.with_name(f"{target.name}.parts")
    _begin_parts(parts, description)
    started = time.perf_counter()
    summary = Summary()
    with tqdm(total=jets, unit=" jets", unit_scale=True, disable=None) as progress:
        units = _make_parts(parts, jets, settings, processes, summary, progress)
    with replaced(parts / target.name) as new:
        _join(parts, units, jets, new, description)
    os.replace(parts / target.name, target)
    shutil.rmtree(parts)
    summary.seconds, summary.size = time.perf_counter() - started, target.stat().st_size
    return summary


def versions() -> dict[str, str]:
    """Versions of everything that shapes the jets."""
    return {name: metadata.version(name) for name in ("kerastag", "pythia8mc", "fastjet", "numpy")}


def _begin_parts(parts: Path, description: dict[str, Any]) -> None:
    """Make a folder of parts, or go on with one of the same description."""
    note = parts / "production.json"
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"'{parts}' cannot be made: {error.strerror}; choose another file.") from error
    remove_leftovers(parts)
    if not note.exists():
        write_json(note, description)
    elif json.loads(note.read_text(encoding="utf-8")) != description:
        raise UserError(f"'{parts}' holds parts made with other settings or versions; delete it or choose another file.")


def _part(parts: Path, unit: int) -> Path:
    """File of the part that a unit becomes."""
    return parts / f"{unit:06d}.npz"


def _make_parts(parts: Path, jets: int, settings: SimulationSettings, processes: int, summary: Summary, progress: tqdm) -> int:
    """Make the parts that are missing; return how many it takes for `jets` jets."""
    context = multiprocessing.get_context("spawn")
    unit, total = 0, 0
    waiting: dict[int, concurrent.futures.Future[Summary]] = {}
    with concurrent.futures.ProcessPoolExecutor(processes, context, _begin_worker, (settings,)) as pool:
        try:
            while total < jets:
                mean = max(total / unit, 1) if unit else _JETS_PER_EVENT * settings.events_per_unit
                ahead = min(_AHEAD * processes, math.ceil((jets - total) / mean))
                for number in range(unit, unit + ahead):
                    if number not in waiting and not _part(parts, number).exists():
                        waiting[number] = pool.submit(_make_part, parts, number)
                work = waiting[unit].result() if unit in waiting else Summary(reused=_jets_in(_part(parts, unit)))
                summary.add(work)
                total += work.jets + work.reused
                progress.update(min(total, jets) - progress.n)
                unit += 1
        finally:
            pool.shutdown(cancel_futures=True)
    return unit


# The simulation of a worker process.
_simulation: Simulation


def _begin_worker(settings: SimulationSettings) -> None:
    """Set up a worker: quiet, leaving interrupts to its parent, and gone when that is gone."""
    global _simulation
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # FastJet prints a greeting in each process
    _simulation = Simulation(settings)


def _end_with_parent() -> None:
    """Wait for the parent to end, then end at once."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _make_part(parts: Path, number: int) -> Summary:
    """Make a unit and write it as a part."""
    unit = _simulation.unit(number)
    with replaced(_part(parts, number)) as new:
        jets, tracks = columns(unit)
        content: dict[str, Any] = {"counts": unit.counts.astype(np.int32)}
        content |= {f"jet.{name}": values for name, values in jets.items()}
        content |= {f"track.{name}": values for name, values in tracks.items()}
        np.savez(new, **content)
    return Summary(
        jets=len(unit.counts),
        events=unit.events,
        unlisted=unit.unlisted,
        work_seconds=unit.seconds,
        generator_seconds=unit.generator_seconds,
    )


def _jets_in(part: Path) -> int:
    """Number of jets of a part."""
    with np.load(part) as content:
        return len(content["counts"])


def columns(unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Round the columns of a unit to the digits that matter, four bytes a value.

    Track parameters are rounded to less than 1/256 of their uncertainty, all other reals to a relative 6e-5.

    Returns:
        Jet columns and track columns by name.
    """
    jets = {name: _stored(values) for name, values in unit.jets.items()}
    jets["event"] = unit.jets["event"].astype(np.int64)
    tracks = {name: _stored(values) for name, values in unit.tracks.items()}
    for name in helix.PARAMETERS:
        sigma = np.sqrt(unit.tracks[name + name])
        tracks[name] = on_grid(unit.tracks[name], sigma / _STEPS_PER_SIGMA)
    return jets, tracks


def _stored(values: np.ndarray) -> np.ndarray:
    """Whole numbers as int32, reals rounded."""
    return values.astype(np.int32) if np.issubdtype(values.dtype, np.integer) else significant(values)


def significant(values: np.ndarray) -> np.ndarray:
    """Reals rounded to 14 binary digits, float32; infinities and NaN stay."""
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.round(fraction * 2.0**_DIGITS), exponent - _DIGITS).astype(np.float32)


def on_grid(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Reals rounded to multiples of the largest powers of two that are not above `step`, float32."""
    step = 2.0 ** np.floor(np.log2(step))
    return (np.round(values / step) * step).astype(np.float32)


def _join(parts: Path, units: int, jets: int, target: Path, description: dict[str, Any]) -> None:
    """Write the first jets of the parts into one ROOT file.

    Args:
        parts: Folder of the parts.
        units: Number of parts.
        jets: Number of jets.
        target: File to make.
        description: Settings and versions, written as metadata.
    """
    with uproot.recreate(target, compression=uproot.LZMA(6)) as file:
        file["metadata"] = json.dumps(description, sort_keys=True)
        tree, missing = None, jets
        for first in range(0, units, _PARTS_PER_BASKET):
            numbers = range(first, min(first + _PARTS_PER_BASKET, units))
            content = _records([_part(parts, number) for number in numbers], missing)
            if tree is None:
                tree = file.mktree(JET_FLAVOR.tree, {name: values.type.content for name, values in content.items()})
            tree.extend(content)
            missing -= len(content["event"])


def _records(paths: list[Path], most: int) -> dict[str, ak.Array]:
    """The content of parts, at most `most` jets: jet branches and a jagged record of tracks."""
    with contextlib.ExitStack() as stack:
        joined = concatenated([stack.enter_context(np.load(path)) for path in paths])
    counts = joined["counts"][:most]
    jets = {name.removeprefix("jet."): ak.Array(joined[name][:most]) for name in joined if name.startswith("jet.")}
    rows = int(counts.sum())
    tracks = {name.removeprefix("track."): joined[name][:rows] for name in joined if name.startswith("track.")}
    return jets | {"track": ak.unflatten(ak.zip(tracks), counts)}
