"""Speed of every part in one run, each beside its limit of the same run.

table.md       the tables, for a page
benchmark.csv  the same rows, unrounded
growth.png     time and memory against the number of jets, where that was measured
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf
from tqdm.auto import tqdm

from kerastag import outputs, plots, tables
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.files import write_text
from kerastag.recipes import Settings
from kerastag.request import Sample
from kerastag.runs.opening import opened
from kerastag.schema import JET_FLAVOR
from kerastag.speed import callbacks, certificates, growth, inference, machine, pipeline, products, pytorch, steps, trace
from kerastag.speed.clock import Clock
from kerastag.speed.rows import Row, markdown
from kerastag.training import fitting

PARTS = {
    "data": "Data",
    "steps": "Steps of training",
    "trace": "Where the time of a step goes",
    "callbacks": "What callbacks take of an epoch",
    "inference": "Inference",
    "certificates": "Certificates",
    "pytorch": "Steps of training, beside plain PyTorch",
    "growth": "Cost against the number of jets",
}
"""What can be measured, by name, and its title."""
USUAL = tuple(name for name in PARTS if name not in ("pytorch", "growth"))
"""What takes minutes, and needs no other packages."""
_TIME = {"wall": "Time is that of the clock on the wall", "cpu": "Time is that of the processor, of all threads together"}


def benchmark(
    output: Path | None = None,
    sample: Sample = Sample(),  # noqa: B008, it is frozen
    *,
    parts: Sequence[str] = USUAL,
    jets: int = 100_000,
    batch_size: int = 512,
    paper_batches: Sequence[int] = (8192, 65_536),
    inference_batches: Sequence[int] = (1, 64, 4096, 65_536),
    sizes: Sequence[int] = (100_000, 1_000_000),
    clock: Clock = Clock(),  # noqa: B008
    scratch: Path | None = None,
) -> None:
    """Measure, print a table after each part, and write all of them.

    Args:
        output: Folder of the results; None to print them alone.
        sample: Names the data set, of which are the jets in steps, epochs, inference and certificates.
        parts: Names in `PARTS`.
        jets: Number of made-up jets that are built and read.
        batch_size: Jets in a step of the default network.
        paper_batches: Jets in a step of the paper's network.
        inference_batches: Jets in a call of the default network.
        sizes: Numbers of made-up jets against which costs are measured, for the part "growth".
        clock: How to measure.
        scratch: Folder in which about 3 kB a made-up jet are written; None for a temporary one.

    Raises:
        UserError: if there is no such part, the data set cannot be prepared, or PyTorch is wanted and not installed.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise UserError(f"There is no part '{unknown[0]}'; choose among {', '.join(PARTS)}.")
    if "pytorch" in parts:
        pytorch.package()
    # TensorFlow takes it for a mistake that several models are trained.
    tf.get_logger().setLevel("ERROR")
    with contextlib.nullcontext() if output is None else outputs.claimed(output, "benchmark"):
        dataset = opened(sample)
        made: dict[str, Callable[[], Iterator[Row]]] = {
            "data": lambda: _data(jets, clock, scratch),
            "steps": lambda: _steps(dataset, batch_size, paper_batches, clock),
            "trace": lambda: _trace(dataset, batch_size),
            "callbacks": lambda: _callbacks(dataset, clock),
            "inference": lambda: _inference(dataset, inference_batches, clock),
            "certificates": lambda: _certificates(dataset, clock),
            "pytorch": lambda: _pytorch(dataset, paper_batches, clock),
            "growth": lambda: growth.rows(sorted(set(sizes)), clock.kind, scratch),
        }
        heading = _heading(clock)
        print(f"\n{heading}")
        texts, rows = [heading], []
        for part in (name for name in PARTS if name in parts):
            measured = list(tqdm(made[part](), PARTS[part], unit="row", disable=None))
            texts.append(f"**{PARTS[part]}**\n\n{markdown(measured)}")
            print(f"\n{texts[-1]}", flush=True)
            rows += [{"part": part, **row} for row in measured]
        if output is not None:
            write_text(output / "table.md", "\n\n".join(texts) + "\n")
            write_text(output / "benchmark.csv", tables.comma_separated(rows))
            if grown := [row for row in rows if row["part"] == "growth" and "peak memory, GB" in row]:
                plots.save(
                    plots.growth(grown, f"Made-up jets with {len(JET_FLAVOR.features)} inputs")[0], output / "growth.png"
                )
            print(f"\nTables {output / 'table.md'}, numbers {output / 'benchmark.csv'}.")


def _heading(clock: Clock) -> str:
    """What was measured on, and how."""
    action, operations = products.square()
    seconds = clock.in_turns({"square": action})["square"]
    return (
        f"{machine.description()} {_TIME[clock.kind]}, the best of {clock.turns} turns. "
        f"A product of large matrices makes {operations / seconds / 1e9:.0f} GFLOP/s."
    )


def _data(jets: int, clock: Clock, scratch: Path | None) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        yield from pipeline.rows(Path(folder), jets, clock)


def _steps(dataset: JetDataset, batch_size: int, paper_batches: Sequence[int], clock: Clock) -> Iterator[Row]:
    for size in paper_batches:
        yield from steps.rows(dataset, steps.PAPER, size, clock)
    yield from steps.rows(dataset, steps.DEFAULT, batch_size, clock)


def _trace(dataset: JetDataset, batch_size: int) -> Iterator[Row]:
    for defense in ("nominal", "fgsm"):
        yield from trace.rows(dataset, defense, batch_size)


def _callbacks(dataset: JetDataset, clock: Clock) -> Iterator[Row]:
    for defense in ("nominal", "fgsm"):
        yield from callbacks.rows(dataset, defense, clock)


def _inference(dataset: JetDataset, batch_sizes: Sequence[int], clock: Clock) -> Iterator[Row]:
    tagger = fitting.build_tagger(Settings(), dataset)
    yield from inference.rows(dataset, tagger, batch_sizes, clock)


def _certificates(dataset: JetDataset, clock: Clock) -> Iterator[Row]:
    for network in (steps.PAPER, steps.DEFAULT):
        yield from certificates.rows(dataset, network, clock)


def _pytorch(dataset: JetDataset, paper_batches: Sequence[int], clock: Clock) -> Iterator[Row]:
    for size in paper_batches:
        yield from pytorch.rows(dataset, size, clock)
