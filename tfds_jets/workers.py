"""Who works on the units of a build: this process, one unit after the other, or the workers of an Apache Beam runner."""

import builtins
import contextlib
import dataclasses
import itertools
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from tqdm.auto import tqdm

from kerastag.errors import UserError
from tfds_jets.spool import Block
from tfds_jets.units import Unit

# Seconds between two looks at how many units are done.
_INTERVAL = 1.0


class Workers(Protocol):
    """Whoever works on units."""

    def each(self, work: Callable[[Unit], None], units: Sequence[Unit]) -> None:
        """Do something with each unit, in any order, and come back when all is done."""

    def examples(self, blocks: Callable[[Unit], Iterator[Block]], units: Sequence[Unit]) -> Any:
        """Examples of all units, as TFDS takes them."""


class InTurn:
    """This process."""

    def each(self, work: Callable[[Unit], None], units: Sequence[Unit]) -> None:
        """Do something with each unit."""
        for unit in units:
            work(unit)

    def examples(self, blocks: Callable[[Unit], Iterator[Block]], units: Sequence[Unit]) -> Iterator[Block]:
        """Examples of all units."""
        return itertools.chain.from_iterable(map(blocks, units))


@dataclasses.dataclass(frozen=True)
class OnBeam:
    """Workers of a Beam runner, which must see the files and the folder of data sets under the same paths.

    Attributes:
        options: Beam's `PipelineOptions`; None for its defaults.
        runner: Beam's `PipelineRunner` or its name; None for that of the options.

    Raises:
        UserError: if Beam could not start what the options ask for, and would wait for it without an end.
    """

    options: Any = None
    runner: Any = None

    def __post_init__(self) -> None:
        _check_processes(self.options)

    def each(self, work: Callable[[Unit], None], units: Sequence[Unit]) -> None:
        """Do something with each unit."""
        import apache_beam as beam

        with beam.Pipeline(runner=self.runner, options=self.options) as pipeline:
            _ = pipeline | beam.Create(units) | beam.Reshuffle() | beam.Map(work)

    def examples(self, blocks: Callable[[Unit], Iterator[Block]], units: Sequence[Unit]) -> Any:
        """Examples of all units, a `beam.PTransform`."""
        import apache_beam as beam

        return beam.Create(units) | beam.Reshuffle() | beam.FlatMap(blocks)


def pipeline_options(text: str) -> Any:
    """Beam's options as `tfds build --beam_pipeline_options` takes them: `runner=FlinkRunner,parallelism=8`.

    Raises:
        UserError: if Beam does not know them, or is not installed.
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError(f"{error}; --beam needs Apache Beam: pip install apache-beam.") from error
    options = PipelineOptions(flags=[f"--{option}" for option in text.split(",")])
    try:
        options.get_all_options()
    except SystemExit as error:
        raise UserError(f"Beam does not understand --beam '{text}'; write it like runner=DirectRunner.") from error
    return options


def _check_processes(options: Any) -> None:
    """Beam gives the path of Python to a shell as it is, and then waits for processes that never began."""
    from apache_beam.options.pipeline_options import DirectOptions

    if options is None or shlex.quote(sys.executable) == sys.executable:
        return
    if options.view_as(DirectOptions).direct_running_mode == "multi_processing":
        raise UserError(
            f"Beam cannot start processes of '{sys.executable}', whose path a shell would cut; make the virtual environment "
            "elsewhere, or take direct_running_mode=multi_threading."
        )


def refused(error: RuntimeError) -> str | None:
    """What the operating system refused to a worker; Beam hands on the words of an error alone. None if it was no such error.

    Args:
        error: As Beam's pipeline raises it, with the traceback of the worker where that is another process.
    """
    said = re.findall(r"^(?:RuntimeError: )?(\w+Error): (?:\[Errno \d+\] )?(.+?) \[while running ", str(error), re.MULTILINE)
    kinds = [(getattr(builtins, kind, Exception), reason) for kind, reason in said]
    return next((reason for kind, reason in reversed(kinds) if issubclass(kind, OSError)), None)


@contextlib.contextmanager
def progress(done: Callable[[], int], total: int) -> Iterator[None]:
    """Show how many units are done while others work on them, on a terminal alone."""
    over = threading.Event()
    with tqdm(desc="Reading files", total=total, unit=" units", leave=False, disable=None) as bar:

        def watch() -> None:
            while not over.wait(_INTERVAL):
                bar.update(done() - bar.n)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
