"""Speed of every part on made-up jets, in one run: best of three, ratios within the run.

Made-up jets have the shape of `JET_FLAVOR` and no physics.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import awkward as ak
import keras
import numpy as np
import tensorflow as tf
import uproot

from kerastag import data, models
from kerastag.attacks import FGSM, ThreatModel
from kerastag.data import JetDataset
from kerastag.schema import JET_FLAVOR
from kerastag.training import AdversarialTagger, AttackedAUC
from kerastag.training.callbacks import Speed

REPEATS = 3
_HELP = [sys.executable, "-m", "kerastag", "train", "--help"]


def best(action: Callable[[], object]) -> float:
    """Shortest of three wall times, s."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def write_jets(path: Path, jets: int, seed: int = 0) -> None:
    """A ROOT file of made-up jets with on average four tracks."""
    generator = np.random.default_rng(seed)
    counts = generator.poisson(3, jets) + 1
    content: dict[str, ak.Array | np.ndarray] = {"jet_parton_flavour": generator.choice([0, 4, 5], jets).astype(np.int32)}
    tracks = {}
    for group in JET_FLAVOR.groups:
        for variable in group.variables:
            size = counts.sum() if group.slots else jets
            values = generator.exponential(1, size).astype(np.float32) + np.float32(variable.valid_min or 0)
            values = np.rint(values) + 1 if variable.integer else np.minimum(values, variable.valid_max or np.inf)
            if group.slots:
                tracks[variable.branch.removeprefix("track_")] = ak.unflatten(values.astype(np.float32), counts)
            else:
                content[variable.branch] = values.astype(np.float32)
    content["track"] = ak.zip(tracks)
    types = {
        name: ak.type(values[:0]).content if isinstance(values, ak.Array) else values.dtype for name, values in content.items()
    }
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        file.mktree(JET_FLAVOR.tree, types)
        file[JET_FLAVOR.tree].extend(content)


def benchmark(jets: int = 200_000, batch_size: int = 8192, scratch: Path | None = None) -> None:
    """Measure and print a table.

    Args:
        jets: Number of made-up jets.
        batch_size: Jets in a training step.
        scratch: Folder in which about 1 kB a jet is written; None for a temporary one.
    """
    print(f"{jets:,} jets, batches of {batch_size}, {os.cpu_count()} cores\n")
    print("| what | measured | goal |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        for what, measured, goal in measure(Path(folder), jets, batch_size):
            print(f"| {what} | {measured} | {goal} |", flush=True)


def measure(folder: Path, jets: int, batch_size: int) -> Iterator[tuple[str, str, str]]:
    """Yield (what, measured, goal) row by row.

    Args:
        folder: Scratch folder.
        jets: Number of made-up jets.
        batch_size: Jets in a training step.
    """
    (folder / "root").mkdir()
    write_jets(folder / "root" / "jets.root", jets)
    builds = iter(range(REPEATS))

    def build() -> None:
        data.prepare("jet_flavor", data_dir=folder / str(next(builds)), manual_dir=folder / "root")

    cpu = time.process_time()
    seconds = best(build)
    cores = (time.process_time() - cpu) / REPEATS / seconds
    yield "ROOT → TFDS, jets/s a core", f"{jets / seconds / max(cores, 1):,.0f}", "≥ 30,000"
    yield from _reading(folder)
    dataset = data.prepare("jet_flavor", data_dir=folder / "0")
    for model in ("paper_mlp", "mlp", "deep_sets"):
        yield from _training(dataset, model, batch_size)
    yield _attacked_auc(dataset)
    seconds = best(lambda: subprocess.run(_HELP, capture_output=True, check=True))
    yield "train --help, s", f"{seconds:.2f}", "< 1"


def _reading(folder: Path) -> Iterator[tuple[str, str, str]]:
    fresh = [data.prepare("jet_flavor", data_dir=folder / "0") for _ in range(REPEATS)]
    count = fresh[0].count("train")
    waiting = iter(fresh)
    seconds = best(lambda: next(waiting).arrays("train"))
    yield "decoding a split, jets/s", f"{count / seconds:,.0f}", "≥ 300,000"
    for in_memory, goal in ((True, "≥ 400,000"), (False, "")):
        name = "an epoch from memory" if in_memory else "an epoch streamed"
        steps = fresh[0].steps("train", 8192)
        batches = iter(fresh[0].batches("train", 8192, shuffle=True, in_memory=in_memory))
        next(batches)

        def epoch(batches: Iterator = batches, steps: int = steps) -> None:
            for _ in range(20 * steps):  # longer than what is prefetched
                next(batches)

        yield f"{name}, jets/s", f"{20 * steps * 8192 / best(epoch):,.0f}", goal


def _training(dataset: JetDataset, name: str, batch_size: int) -> Iterator[tuple[str, str, str]]:
    """Nominal training fed by the pipeline against one batch in memory, and adversarial against nominal.

    All take turns, because a machine's speed drifts.
    """
    batches = dataset.batches("train", batch_size, shuffle=True)
    one_batch = tf.data.Dataset.from_tensors(next(iter(batches))).cache().repeat()
    threat_models = [ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.01, cap) for cap in (None, 0.2)]
    contestants = {
        "nominal": (_compiled(dataset, name, None), batches),
        "one batch": (_compiled(dataset, name, None), one_batch),
        "FGSM": (_compiled(dataset, name, FGSM(threat_models[0])), batches),
        "FGSM with cap": (_compiled(dataset, name, FGSM(threat_models[1])), batches),
    }
    steps = 3 * dataset.steps("train", batch_size)
    speeds = dict.fromkeys(contestants, 0.0)
    for turn in range(1 + REPEATS):
        for label, (model, source) in contestants.items():
            speed = [Speed(steps * batch_size)]
            history = model.fit(source, steps_per_epoch=steps, callbacks=speed, shuffle=False, verbose=0).history
            if turn:  # the first one traces
                speeds[label] = max(speeds[label], history["jets_per_second"][0])
    yield f"{name}: training, jets/s", f"{speeds['nominal']:,.0f}", ""
    yield f"{name}: against one batch in memory", f"{speeds['nominal'] / speeds['one batch']:.2f}", "≥ 0.80"
    for label in ("FGSM", "FGSM with cap"):
        yield f"{name}: {label} over nominal, time", f"{speeds['nominal'] / speeds[label]:.2f}", "≤ 1.80"


def _compiled(dataset: JetDataset, name: str, attack: FGSM | None) -> AdversarialTagger:
    model = AdversarialTagger(models.get(name)(dataset.schema, dataset.statistics), attack)
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
    return model


def _attacked_auc(dataset: JetDataset) -> tuple[str, str, str]:
    split = dataset.arrays("train")
    index = np.arange(100_000) % len(split.label)
    x, y = split.features[index], split.y[index]
    attack = FGSM(ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.01))
    callback = AttackedAUC(x, y, {"fgsm": attack})
    callback.set_model(models.deep_sets(dataset.schema, dataset.statistics))
    callback.on_epoch_end(0, {})
    return "AttackedAUC on 100,000 jets, s", f"{best(lambda: callback.on_epoch_end(0, {})):.2f}", "< 3"
