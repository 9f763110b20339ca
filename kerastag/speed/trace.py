"""Where the time of a step goes, on the wall, by TensorFlow's profiler: matrix products, random numbers, optimizer, box."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from kerastag.data import JetDataset
from kerastag.recipes import Settings
from kerastag.speed.rows import Row
from kerastag.speed.steps import one_batch
from kerastag.training import fitting

_EXECUTIONS, _STEPS = 10, 8
# An operation in the loop over steps: its path and its kind.
_OPERATION = re.compile(r"while/body/(?P<path>.*):(?P<kind>\w+)")
_PRODUCTS, _RANDOM = "matrix products", "random numbers of dropout"
_OPTIMIZER, _NETWORK, _REST = "optimizer", "network otherwise", "attack, its box, loss and metrics"


def rows(dataset: JetDataset, defense: str, batch_size: int) -> Iterator[Row]:
    """Shares of the time of all operations in steps of the default network, those of the attack and the update together.

    Args:
        dataset: Whose training jets are used.
        defense: A name in the catalogue of defences.
        batch_size: Jets in a step.
    """
    settings = Settings.resolve({"defense": defense, "batch_size": batch_size})
    model = fitting.make_model(settings, dataset, _STEPS)
    batch = tf.data.Dataset.from_tensors(one_batch(dataset, batch_size)).repeat()
    model.fit(batch, steps_per_epoch=_STEPS, shuffle=False, verbose=0)
    iterator = iter(batch)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(_EXECUTIONS):
            model.train_function(iterator)
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        spent = _by_part(xplane_pb2.XSpace.FromString(file.read_bytes()), model.tagger.name, model.optimizer.name)
    for part, time in spent.most_common():
        yield {"what": f"{settings.hyperparameters.model}, {defense}: {part}", "share of the step": time / spent.total()}


def _by_part(space: xplane_pb2.XSpace, network: str, optimizer: str) -> Counter[str]:
    spent: Counter[str] = Counter()
    for plane in space.planes:
        names = {number: metadata.name for number, metadata in plane.event_metadata.items()}
        for line in plane.lines:
            events = [(event.offset_ps, event.duration_ps, names[event.metadata_id]) for event in line.events]
            for name, time in own_times(events):
                if found := _OPERATION.fullmatch(name):
                    spent[_part(found["path"], found["kind"], network, optimizer)] += time
    return spent


def own_times(events: Sequence[tuple[int, int, str]]) -> Iterator[tuple[str, int]]:
    """Name and time of each event in a thread, less that of the events within it."""
    around: list[list] = []  # end, name and own time of the events around the present one, the outermost first
    for start, time, name in sorted(events, key=lambda event: (event[0], -event[1])):
        while around and start >= around[-1][0]:
            yield tuple(around.pop()[1:])
        if around:
            around[-1][2] -= time
        around.append([start + time, name, time])
    for _, name, time in reversed(around):
        yield name, time


def _part(path: str, kind: str, network: str, optimizer: str) -> str:
    if "MatMul" in kind:
        return _PRODUCTS
    if "Random" in kind:
        return _RANDOM
    if re.search(rf"/{optimizer}(_\d+)?/", path):
        return _OPTIMIZER
    return _NETWORK if re.search(rf"/{network}(_\d+)?/", path) else _REST
