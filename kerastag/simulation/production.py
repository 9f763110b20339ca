"""Samples of any size: units made by several processes, kept as parts until all are there, then joined into one ROOT file.

A part is written whole or not at all, and which units a file consists of depends on nothing but the settings, so a
production that is killed goes on where it was and ends in the same jets.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import math
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from tqdm.auto import tqdm

from kerastag import outputs
from kerastag.errors import UserError
from kerastag.files import read_json, replaced, write_json
from kerastag.schema import JET_FLAVOR
from kerastag.simulation.precision import columns
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.unit import Simulation, Unit, concatenated
from kerastag.simulation.variations import find
from tfds_jets.splitting import FRACTIONS

_JETS_PER_EVENT = 0.56  # about; from it follows how many units a production starts with
_AHEAD = 2  # units that each process makes ahead of the one that is waited for
_PARTS_PER_BASKET = 6  # parts that are written at once, each branch as one basket


@dataclasses.dataclass
class Summary:
    """Numbers and times of a production.

    Attributes:
        reused: Jets taken from an interrupted run.
        jets: Jets made in this run.
        kept: Jets of the file, the last unit's beyond its end left out.
        events: Events generated in this run.
        unlisted: Jets of this run left out, see `Unit`.
        seconds: Wall time.
        work_seconds: Time of all processes together.
        generator_seconds: Part of `work_seconds` that Pythia took.
        size: Bytes of the file.
    """

    reused: int = 0
    jets: int = 0
    kept: int = 0
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


@dataclasses.dataclass(frozen=True)
class Size:
    """How many jets a sample has.

    Attributes:
        jets: Number of jets; None where events decide.
        last_event: Number of the last event whose jets are in; None where jets are counted.
    """

    jets: int | None = None
    last_event: int | None = None


@dataclasses.dataclass
class _Sample:
    """A file in the making.

    Attributes:
        target: File to make.
        settings: Its settings.
        summary: Numbers and times so far.
    """

    target: Path
    settings: SimulationSettings
    summary: Summary = dataclasses.field(default_factory=Summary)

    @property
    def parts(self) -> Path:
        """Folder of its parts."""
        return self.target.with_name(f"{self.target.name}.parts")

    def part(self, unit: int) -> Path:
        """File of the part that a unit becomes."""
        return self.parts / f"{unit:06d}.npz"


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
    ((_, summary),) = produce_all({target: settings}, Size(jets=jets), processes)
    return summary


def produce_all(samples: Mapping[Path, SimulationSettings], size: Size, processes: int) -> Iterator[tuple[Path, Summary]]:
    """Simulate several samples; those whose events are the same have them generated once.

    Args:
        samples: Settings of each file to make.
        size: Size of each.
        processes: Number of processes.

    Yields:
        Each file as soon as it is written, with numbers and times.

    Raises:
        UserError: if a file exists, or parts made with other settings or versions lie beside it.
    """
    for target in samples:
        if target.exists():
            raise UserError(f"'{target}' exists already; choose another file.")
    for name, number in (("jets", size.jets), ("processes", processes)):
        if number is not None and number < 1:
            raise UserError(f"The number of {name} must be positive, not {number}.")
    groups: dict[SimulationSettings, list[_Sample]] = {}
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        for target, settings in samples.items():
            groups.setdefault(settings.generation, []).append(_Sample(target, settings))
            _check_parts(stack.enter_context(outputs.workshop(target, "simulate")), description(settings))
        pool = stack.enter_context(concurrent.futures.ProcessPoolExecutor(processes, context, _begin_worker))
        stack.callback(pool.shutdown, cancel_futures=True)
        for group in groups.values():
            yield from _produce_group(pool, group, size, processes)


def _produce_group(
    pool: concurrent.futures.Executor, group: list[_Sample], size: Size, processes: int
) -> Iterator[tuple[Path, Summary]]:
    """Make the files of samples whose events are the same."""
    started = time.perf_counter()
    units = _make_parts(pool, group, size, processes)
    seconds = (time.perf_counter() - started) / len(group)
    for sample in group:
        started = time.perf_counter()
        with replaced(sample.parts / sample.target.name) as new:
            sample.summary.kept = _join(sample, units, size, new)
        os.replace(sample.parts / sample.target.name, sample.target)
        shutil.rmtree(sample.parts)
        sample.summary.seconds = seconds + time.perf_counter() - started
        sample.summary.size = sample.target.stat().st_size
        yield sample.target, sample.summary


def description(settings: SimulationSettings) -> dict[str, Any]:
    """What a file says of itself: settings and versions; `split`, `candidates`, `variations` where they are not the default."""
    content = dataclasses.asdict(settings)
    for name in ("split", "candidates"):
        if content[name] == getattr(SimulationSettings, name):
            del content[name]
    content["variations"] = list(settings.variations)
    if not settings.variations:
        del content["variations"]
    return {"settings": content, "versions": versions()}


def file_description(settings: SimulationSettings, size: Size) -> dict[str, Any]:
    """What a finished file says of itself: `description`, where it ends if events decide, and what is changed in words."""
    end = {} if size.last_event is None else {"last_event": size.last_event}
    changes = {"changes": {name: find(name).help for name in settings.variations}} if settings.variations else {}
    return description(settings) | end | changes


def versions() -> dict[str, str]:
    """Versions of everything that shapes the jets."""
    return {name: metadata.version(name) for name in ("kerastag", "pythia8mc", "fastjet", "numpy")}


def _check_parts(parts: Path, description: dict[str, Any]) -> None:
    """Begin a folder of parts, or go on with one of the same description."""
    note = parts / "production.json"
    if not note.exists():
        write_json(note, description)
    elif read_json(note) != description:
        raise UserError(f"'{parts}' holds parts made with other settings or versions; delete it or choose another file.")


def _make_parts(pool: concurrent.futures.Executor, group: list[_Sample], size: Size, processes: int) -> int:
    """Make the parts that are missing; return how many a file takes."""
    waiting: dict[int, concurrent.futures.Future[dict[Path, Summary]]] = {}
    unit = 0
    name = group[0].target.stem if len(group) == 1 else f"{len(group)} samples"
    with tqdm(total=size.jets, desc=name, unit=" jets", unit_scale=True, disable=None) as progress:
        while missing := _missing_units(group, unit, size):
            for number in range(unit, unit + min(_AHEAD * processes, missing)):
                parts = {sample.part(number): sample.settings for sample in group if not sample.part(number).exists()}
                if number not in waiting and parts:
                    waiting[number] = pool.submit(_make_unit, number, parts)
            made = waiting.pop(unit).result() if unit in waiting else {}
            for sample in group:
                part = sample.part(unit)
                sample.summary.add(made.get(part) or Summary(reused=_jets_in(part)))
            unit += 1
            progress.update(min(_fewest_jets(group), size.jets or _fewest_jets(group)) - progress.n)
    return unit


def _fewest_jets(group: list[_Sample]) -> int:
    """Jets of the sample that has the fewest so far."""
    return min(sample.summary.jets + sample.summary.reused for sample in group)


def _missing_units(group: list[_Sample], unit: int, size: Size) -> int:
    """About how many units are missing after the first `unit` ones, 0 if none is."""
    settings = group[0].settings
    events = sum(settings.process_events.values())
    if size.last_event is not None:
        return size.last_event // events + 1 - unit
    assert size.jets is not None
    jets = _fewest_jets(group)
    share = FRACTIONS.get(settings.split, 1.0)
    mean = max(jets / unit, 1) if unit else _JETS_PER_EVENT * events * share
    return max(math.ceil((size.jets - jets) / mean), 0)


def _begin_worker() -> None:
    """Set up a worker: quiet, leaving interrupts to its parent, and gone when that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # FastJet and Pythia's showers print greetings in each process


def _end_with_parent() -> None:
    """Wait for the parent to end, then end at once."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


@functools.lru_cache(maxsize=1)
def _simulation(generation: SimulationSettings) -> Simulation:
    """The simulation of a worker process, kept as long as the events are the same."""
    return Simulation(generation)


def _make_unit(number: int, parts: dict[Path, SimulationSettings]) -> dict[Path, Summary]:
    """Make a unit of samples whose events are the same, and write each as a part."""
    samples = list(parts.values())
    units = _simulation(samples[0].generation).units(number, samples)
    return {part: _write_part(part, unit) for part, unit in zip(parts, units, strict=True)}


def _write_part(part: Path, unit: Unit) -> Summary:
    """Write a unit."""
    with replaced(part) as new:
        jets, objects = columns(unit)
        counts = {"track": unit.counts} | {kind: of_kind.counts for kind, of_kind in unit.objects.items()}
        content: dict[str, Any] = {f"counts.{kind}": values.astype(np.int32) for kind, values in counts.items()}
        content |= {f"jet.{name}": values for name, values in jets.items()}
        for kind, of_kind in objects.items():
            content |= {f"{kind}.{name}": values for name, values in of_kind.items()}
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
        return len(content["counts.track"])


def _join(sample: _Sample, units: int, size: Size, target: Path) -> int:
    """Write the jets of the parts into one ROOT file; return their number.

    Args:
        sample: Sample with its parts.
        units: Number of parts.
        size: Where the sample ends.
        target: File to make.
    """
    jets = 0
    with uproot.recreate(target, compression=uproot.LZMA(6)) as file:
        file["metadata"] = json.dumps(file_description(sample.settings, size), sort_keys=True)
        tree = None
        for first in range(0, units, _PARTS_PER_BASKET):
            numbers = range(first, min(first + _PARTS_PER_BASKET, units))
            missing = None if size.jets is None else size.jets - jets
            content = _records([sample.part(number) for number in numbers], missing, size.last_event)
            if tree is None:
                tree = file.mktree(JET_FLAVOR.tree, {name: values.type.content for name, values in content.items()})
            tree.extend(content)
            jets += len(content["event"])
    return jets


def _records(paths: list[Path], most: int | None, last_event: int | None) -> dict[str, ak.Array]:
    """The content of parts, at most `most` jets and those up to an event: jet branches, and jagged records of all else."""
    with contextlib.ExitStack() as stack:
        joined = concatenated([stack.enter_context(np.load(path)) for path in paths])
    if last_event is not None:
        most = int(np.searchsorted(joined["jet.event"], last_event, side="right"))
    counts = {kind: values[:most] for kind, values in _of_kind(joined, "counts").items()}
    jets = {name: ak.Array(values[:most]) for name, values in _of_kind(joined, "jet").items()}
    for kind, number in counts.items():
        objects = ak.zip({name: values[: number.sum()] for name, values in _of_kind(joined, kind).items()})
        jets[kind] = ak.unflatten(objects, number)
    return jets


def _of_kind(columns: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Columns named `kind.name`, by name."""
    return {name.removeprefix(f"{kind}."): values for name, values in columns.items() if name.startswith(f"{kind}.")}
