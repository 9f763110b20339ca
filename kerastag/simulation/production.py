"""Samples of any size: units made by several processes, kept as parts until all are there, then joined into one ROOT file.

A part is written whole or not at all, and which units a file consists of depends on nothing but the settings, so a
production that is killed goes on where it was and ends in the same jets.
"""

import concurrent.futures
import contextlib
import dataclasses
import itertools
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

import awkward as ak
import numpy as np
import uproot
from tqdm.auto import tqdm

from kerastag.errors import UserError
from kerastag.files import remove_leftovers, replaced, write_json
from kerastag.schema import JET_FLAVOR
from kerastag.simulation import helix
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.unit import Simulation, Unit

_JETS_PER_EVENT = 0.56  # about; the first guess of how many units a production takes
_DIGITS = 14
_STEPS_PER_SIGMA = 256
# Units that are made ahead of the one that is waited for, for each process.
_AHEAD = 2
# Parts that are written at once, each branch as one basket.
_PARTS_PER_BASKET = 6


@dataclasses.dataclass
class Summary:
    """What a production did.

    Attributes:
        found: Jets of an earlier run that were used.
        jets: Jets made in this run.
        events: Events generated in this run.
        unlisted: Jets of this run left out, see `Unit`.
        seconds: Wall time.
        work_seconds: Time of all processes together.
        generator_seconds: That part of it which Pythia took.
        size: Bytes of the file.
    """

    found: int = 0
    jets: int = 0
    events: int = 0
    unlisted: int = 0
    seconds: float = 0.0
    work_seconds: float = 0.0
    generator_seconds: float = 0.0
    size: int = 0

    def add(self, other: "Summary") -> None:
        """Add what another did in this run."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def produce(target: Path, jets: int, settings: SimulationSettings, processes: int) -> Summary:
    """Simulate `jets` jets into the ROOT file `target`; parts of an interrupted production of the same kind are used.

    Raises:
        UserError: if `target` exists, or parts of another kind lie beside it.
    """
    if target.exists():
        raise UserError(f"'{target}' exists already; choose another file.")
    if jets < 1:
        raise UserError(f"The number of jets must be positive, not {jets}.")
    if processes < 1:
        raise UserError(f"The number of processes must be positive, not {processes}.")
    description = {"settings": dataclasses.asdict(settings), "versions": versions()}
    parts = target.with_name(f"{target.name}.parts")
    _claim(parts, description)
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


def _claim(parts: Path, description: dict) -> None:
    """Begin a folder of parts, or go on with it if it was begun for the same."""
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
    return parts / f"{unit:06d}.npz"


def _make_parts(parts: Path, jets: int, settings: SimulationSettings, processes: int, summary: Summary, progress: tqdm) -> int:
    """Make the parts that are missing; return how many it takes for `jets` jets."""
    context = multiprocessing.get_context("spawn")
    total, waiting = 0, {}
    with concurrent.futures.ProcessPoolExecutor(processes, context, _begin_worker, (settings,)) as pool:
        try:
            for unit in itertools.count():
                if total >= jets:
                    return unit
                mean = max(total / unit, 1) if unit else _JETS_PER_EVENT * settings.events_per_unit
                ahead = min(_AHEAD * processes, math.ceil((jets - total) / mean))
                for number in range(unit, unit + ahead):
                    if number not in waiting and not _part(parts, number).exists():
                        waiting[number] = pool.submit(_make_part, parts, number)
                if unit in waiting:
                    made = waiting[unit].result()
                    summary.add(made)
                    count = made.jets
                else:
                    count = _jets_in(_part(parts, unit))
                    summary.found += count
                total += count
                progress.update(min(count, progress.total - progress.n))
        finally:
            pool.shutdown(cancel_futures=True)


_simulation: Simulation


def _begin_worker(settings: SimulationSettings) -> None:
    """Set up a worker: quiet, leaving interrupts to its parent, and gone when that is gone."""
    global _simulation
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # FastJet greets each process
    _simulation = Simulation(settings)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _make_part(parts: Path, number: int) -> Summary:
    """Make a unit and keep it as a part."""
    unit = _simulation.unit(number)
    with replaced(_part(parts, number)) as new:
        jets, tracks = columns(unit)
        content = {f"jet.{name}": values for name, values in jets.items()}
        content |= {f"track.{name}": values for name, values in tracks.items()}
        np.savez(new, counts=unit.counts.astype(np.int32), **content)
    return Summary(
        jets=len(unit.counts),
        events=unit.events,
        unlisted=unit.unlisted,
        work_seconds=unit.seconds,
        generator_seconds=unit.generator_seconds,
    )


def _jets_in(part: Path) -> int:
    with np.load(part) as content:
        return len(content["counts"])


def columns(unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The jet and track columns of a unit as they are stored, in four bytes each and with only the digits that matter.

    Track parameters are rounded to less than 1/256 of their uncertainty, all other reals to a relative 6e-5.
    """
    jets = {name: _stored(values) for name, values in unit.jets.items()}
    jets["event"] = unit.jets["event"].astype(np.int64)
    tracks = {name: _stored(values) for name, values in unit.tracks.items()}
    for name in helix.PARAMETERS:
        sigma = np.sqrt(unit.tracks[name + name])
        tracks[name] = on_grid(unit.tracks[name], sigma / _STEPS_PER_SIGMA)
    return jets, tracks


def _stored(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int32) if np.issubdtype(values.dtype, np.integer) else significant(values)


def significant(values: np.ndarray) -> np.ndarray:
    """Reals rounded to 14 binary digits, float32; infinities and NaN stay."""
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.round(fraction * 2.0**_DIGITS), exponent - _DIGITS).astype(np.float32)


def on_grid(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Reals rounded to multiples of the largest powers of two that are not above `step`, float32."""
    step = 2.0 ** np.floor(np.log2(step))
    return (np.round(values / step) * step).astype(np.float32)


def _join(parts: Path, units: int, jets: int, target: Path, description: dict) -> None:
    """Write the first `jets` jets of the parts into one ROOT file."""
    with uproot.recreate(target, compression=uproot.LZMA(6)) as file:
        file["metadata"] = json.dumps(description, sort_keys=True)
        tree, left = None, jets
        for first in range(0, units, _PARTS_PER_BASKET):
            content = _records([_part(parts, unit) for unit in range(first, min(first + _PARTS_PER_BASKET, units))], left)
            if tree is None:
                tree = file.mktree(JET_FLAVOR.tree, {name: values.type.content for name, values in content.items()})
            tree.extend(content)
            left -= len(content["event"])


def _records(paths: list[Path], most: int) -> dict[str, ak.Array]:
    """The content of some parts, at most `most` jets: jet branches and a jagged record of tracks."""
    joined = _joined(paths)
    counts = joined["counts"][:most]
    jets = {name.removeprefix("jet."): ak.Array(joined[name][:most]) for name in joined if name.startswith("jet.")}
    rows = int(counts.sum())
    tracks = {name.removeprefix("track."): joined[name][:rows] for name in joined if name.startswith("track.")}
    return jets | {"track": ak.unflatten(ak.zip(tracks), counts)}


def _joined(paths: list[Path]) -> dict[str, np.ndarray]:
    """The arrays of several parts, one after the other."""
    with contextlib.ExitStack() as stack:
        contents = [stack.enter_context(np.load(path)) for path in paths]
        return {name: np.concatenate([content[name] for content in contents]) for name in contents[0].files}
