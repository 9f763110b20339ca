"""Cost against the number of jets: building, an epoch of training, an evaluation, each in a process of its own.

A process of its own has the peak memory of one piece of work, with that of the imports, and no caches of another. Made-up jets
have the shape of `JET_FLAVOR` and no physics.
"""

import concurrent.futures
import multiprocessing
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastag import data
from kerastag.attacks import CLEAN, Condition
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation.comparison import compare
from kerastag.recipes import Settings
from kerastag.request import EPSILON
from kerastag.speed.clock import CLOCKS
from kerastag.speed.pipeline import quiet, write_jets
from kerastag.speed.rows import Row
from kerastag.training import fitting

# Jets of a file, and to how many the costs are carried on.
_FILE, _FAR = 1_000_000, 100_000_000
_BATCH = 8192
# The training of which an epoch is measured.
_SETTINGS = Settings.resolve({"recipe": "paper", "defense": "fgsm", "paper": True})


def rows(sizes: Sequence[int], clock: str, scratch: Path | None = None) -> Iterator[Row]:
    """Seconds and peak memory of each piece of work at each size, and what a line through them makes of 10⁸ jets.

    Args:
        sizes: Numbers of jets, ascending.
        clock: A name in `CLOCKS`.
        scratch: Folder in which about 3 kB a jet are written; None for a temporary one.
    """
    measured: dict[str, list[tuple[int, float]]] = {name: [] for name in WORK}
    for jets in sizes:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            _write(Path(folder) / "root", jets)
            for name, work in WORK.items():
                took, memory = _in_own_process(_measured, work, Path(folder), clock)
                measured[name].append((jets, took))
                yield {"what": name, "jets": jets, "s": took, "jets/s": jets / took, "peak memory, GB": memory / 1e9}
    for name, points in measured.items():
        if len(points) > 1:
            some, seconds = zip(*points, strict=True)
            far = {"jets": _FAR, "s": line(some, seconds, _FAR), "slope": slope(some, seconds)}
            yield {"what": f"{name}, by the line"} | far


def line(sizes: Sequence[int], seconds: Sequence[float], at: int) -> float:
    """Seconds at a size, by the line whose relative distances from those at `sizes` are least."""
    share, start = np.polyfit(sizes, seconds, 1, w=1 / np.asarray(seconds))
    return float(start + share * at)


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Exponent between the two largest sizes: 1 where cost grows as the number of jets."""
    return float(np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2]))


def _write(folder: Path, jets: int) -> None:
    folder.mkdir()
    for number, first in enumerate(range(0, jets, _FILE)):
        _in_own_process(write_jets, folder / f"{number}.root", min(_FILE, jets - first), number)


def _in_own_process(function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a process that ends with it.

    Raises:
        UserError: if the process is ended from outside.
    """
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError("The system has ended a process, most likely for want of memory; take smaller --sizes.") from error


def _measured(work: Callable[[Path, Callable[[], float]], float], folder: Path, clock: str) -> tuple[float, int]:
    """Seconds that a piece of work took, and the peak memory of this process, bytes."""
    with quiet():
        took = work(folder, CLOCKS[clock])
    return took, _peak_memory()


def _peak_memory() -> int:
    """Largest memory of this process so far, bytes; on Linux `getrusage` would count its parent's as well."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _build(folder: Path, now: Callable[[], float]) -> float:
    start = now()
    _dataset(folder)
    return now() - start


def _epoch(folder: Path, now: Callable[[], float]) -> float:
    """An epoch without callbacks, after some steps in which it is traced."""
    dataset = _dataset(folder)
    steps = dataset.steps("train", _BATCH)
    model = fitting.make_model(_SETTINGS, dataset, steps)
    weights = _SETTINGS.hyperparameters.weights
    for counted in (model.steps_per_execution, steps):
        start = now()
        batches = dataset.batches("train", _BATCH, shuffle=True, weights=weights)
        model.fit(batches, steps_per_epoch=counted, shuffle=False, verbose=0)
    return now() - start


def _evaluate(folder: Path, now: Callable[[], float]) -> float:
    """Areas of the test split with their intervals, clean and under FGSM."""
    dataset = _dataset(folder)
    tagger = fitting.build_tagger(_SETTINGS, dataset)
    start = now()
    under = [CLEAN, Condition("fgsm", EPSILON, physics=_SETTINGS.physics)]
    comparison = compare({"tagger": tagger}, dataset, dataset.arrays("test"), under)
    comparison.loss("tagger", under[1])
    return now() - start


def _dataset(folder: Path) -> JetDataset:
    return data.prepare("jet_flavor", data_dir=folder / "built", manual_dir=folder / "root")


WORK = {"build": _build, "epoch of FGSM training": _epoch, "evaluation": _evaluate}
"""What is measured, by name, in this order."""
