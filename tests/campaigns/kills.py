"""Commands killed at random moments, and called again: the same result as without, and nothing left behind.

    python -m tests.campaigns.kills --trials 50

Each trial starts a command, sends it SIGKILL, SIGTERM or SIGINT after a random share of the time that it takes undisturbed, and
calls it again until it ends. What comes out is compared with the undisturbed result. SIGTERM and SIGINT must end in a sentence.
The seed of a failure becomes a file in the folder `corpus` beside this one; commit it. What is there is tried first.
"""

import argparse
import collections
import csv
import ctypes
import dataclasses
import functools
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
# What differs from one run to the next.
_OF_THE_MOMENT = ("command", "jets_per_second", "seconds")
# Names that only a writer at work may have.
_LEFTOVERS = (".writing_*", "spool_*", "incomplete.*", "*.parts")
_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass(frozen=True)
class Command:
    """A command and what it makes.

    Attributes:
        words: Its command line; `{out}` is the folder of the trial, `{base}` that of the files that are there before.
        result: What it has made, to compare.
        again: What is added to go on.
        done: File that says that nothing is to do; "" if the command itself says so.
    """

    words: str
    result: Callable[[Path], Any]
    again: str = ""
    done: str = ""


def _json(name: str) -> Callable[[Path], Any]:
    return lambda out: _plain(json.loads((out / name).read_text()))


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items() if key not in _OF_THE_MOMENT}
    return [_plain(value) for value in content] if isinstance(content, list) else content


def _rows(name: str) -> Callable[[Path], Any]:
    def read(out: Path) -> list[dict[str, str]]:
        with (out / name).open(newline="") as stream:
            return [{key: value for key, value in row.items() if "second" not in key} for row in csv.DictReader(stream)]

    return read


def _run(out: Path) -> Any:
    """History, numbers and weights of a training."""
    import h5py

    with zipfile.ZipFile(out / "run" / "tagger.keras") as archive:
        weights: dict[str, bytes] = {}
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(lambda name, item: weights.update({name: item[()].tobytes()} if hasattr(item, "shape") else {}))
    return _rows("run/history.csv")(out), _json("run/metrics.json")(out), weights


def _trees(pattern: str) -> Callable[[Path], Any]:
    def read(out: Path) -> list[str]:
        import uproot

        digests = []
        for path in sorted(out.glob(pattern)):
            with uproot.open(path) as file:
                arrays = file["jets"].arrays()
                digests.append(hashlib.sha256(str(arrays.tolist()).encode()).hexdigest())
        return digests

    return read


def _data_set(out: Path) -> list[str]:
    """Records of the shards, whatever the order of the fields in each."""
    import tensorflow as tf

    found = []
    for path in sorted(out.glob("data/*/*/*/*.tfrecord*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            found.append(hashlib.sha256(b"".join(features[name].SerializeToString() for name in sorted(features))).hexdigest())
    return found


_DATA = "--data-dir {base}/data --attack noise"
_SMALL = f"{_DATA} --model paper_mlp --epochs 1"
COMMANDS = {
    "train": Command(
        f"train {_DATA} --adversarial --epochs 4 --batch-size 300 --model paper_mlp --output {{out}}/run",
        _run,
        "--resume",
        "run/metrics.json",
    ),
    "build": Command("threat_model --manual-dir {base}/jets --data-dir {out}/data", _data_set),
    "convert": Command("convert_jet_flavor {base}/jets.gz {out}/jets --files 3", _trees("jets/*.root"), done="jets"),
    "simulate": Command(
        "simulate --jets 150 --seed 3 --processes 2 --output {out}/jets.root", _trees("jets.root"), done="jets.root"
    ),
    "evaluate": Command(
        "evaluate {base}/tagger.keras --data-dir {base}/data --replicates 10 --output {out}/results",
        _json("results/metrics.json"),
        "--overwrite",
    ),
    "study": Command(f"study {_SMALL} --seeds 0 --train-epsilon 0.01 --output {{out}}/study", _json("study/metrics.json")),
    "scan": Command(f"scan_inputs {_SMALL} --inputs jet --inputs jet vertex --output {{out}}/scan", _json("scan/inputs.json")),
    "benchmark": Command(
        "benchmark_robustness --data-dir {base}/data --model paper_mlp --epochs 1 "
        "--defense nominal fgsm --seeds 0 --no-trees --output {out}/robustness",
        _rows("robustness/robustness.csv"),
    ),
    "report": Command(
        "report {base}/tagger.keras --data-dir {base}/data --paper --epsilons 0.01 --max-jets 300 --replicates 10 "
        "--output {out}/report",
        _json("report/metrics.json"),
        "--overwrite",
    ),
    "systematics": Command(
        "systematics {base}/tagger.keras --variations {base}/variations --data-dir {base}/data --no-trees --replicates 10 "
        "--output {out}/systematics",
        _json("systematics/systematics.json"),
        "--overwrite",
    ),
}


def make(base: Path) -> None:
    """Make the files that commands need."""
    import keras

    from kerastag import data, models
    from kerastag.simulation import production
    from kerastag.simulation.settings import SimulationSettings
    from tests.conftest import jet_lines, write_lines
    from tfds_jets.conversion import convert

    convert(write_lines(jet_lines(3000), base / "jets.gz"), base / "jets", files=2)
    dataset = data.prepare("jet_flavor", data_dir=base / "data", manual_dir=base / "jets")
    keras.utils.set_random_seed(0)
    models.mlp(dataset.schema, dataset.statistics, hidden=(8,)).save(base / "tagger.keras")
    (base / "variations").mkdir()
    for name, changes in (("nominal", ()), ("d0_bias_5um", ("d0_bias_5um",))):
        settings = SimulationSettings(seed=3, events_per_unit=150, variations=changes)
        production.produce(base / "variations" / f"{name}.root", 300, settings, 1)


def started(words: str, base: Path, out: Path) -> subprocess.Popen[str]:
    """The process of a command."""
    line = [word.format(base=base, out=out) for word in words.split()]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        [sys.executable, "-m", "kerastag", *line],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=_end_with_the_campaign,
    )


def _end_with_the_campaign() -> None:
    """Let Linux kill this process when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def finished(words: str, base: Path, out: Path) -> float:
    """Seconds that a command takes; it must succeed."""
    start = time.monotonic()
    process = started(words, base, out)
    _, printed = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{words} ended with {process.returncode}: {printed[-1000:]}")
    return time.monotonic() - start


def wait_for_our_code(process: subprocess.Popen[str]) -> None:
    """Wait until a process hears SIGTERM itself: before, Python starts, and answers SIGINT with a traceback of its own."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)


def trial(command: Command, base: Path, out: Path, seconds: float, number: signal.Signals, expected: Any) -> str:
    """Disturb a command once; "" if all is well, or what is not."""
    process = started(command.words, base, out)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        if number != signal.SIGKILL:
            wait_for_our_code(process)
        process.send_signal(number)
    _, printed = process.communicate()
    if process.returncode not in (0, -number, 128 + number):
        return f"ended with {process.returncode}: {printed[-500:]}"
    if process.returncode == 128 + number and "goes on from what is done" not in printed:
        return f"said {printed[-500:]}"
    if "Traceback" in printed:
        return f"printed a traceback: {printed[-500:]}"
    if not (command.done and (out / command.done).exists()):
        go_on = any(out.iterdir()) and command.again
        try:
            finished(f"{command.words} {command.again}" if go_on else command.words, base, out)
        except RuntimeError as error:
            return str(error)
    left = [str(path.relative_to(out)) for pattern in _LEFTOVERS for path in out.rglob(pattern)]
    if left:
        return f"left {left}"
    return "" if command.result(out) == expected else "another result"


def campaign(base: Path, names: list[str], trials: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Disturb commands, first as it went wrong once, then in turn; keep the seeds of what goes wrong.

    Yields:
        Command, signal with its moment, and what is not well.
    """

    @functools.cache
    def undisturbed(name: str) -> tuple[float, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            return finished(COMMANDS[name].words, base, Path(scratch)), COMMANDS[name].result(Path(scratch))

    in_turn = [(names[number % len(names)], number) for number in range(seed, seed + trials)]
    for name, number in [*kept(names), *in_turn]:
        generator = np.random.default_rng(number)
        seconds, expected = undisturbed(name)
        sent = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[generator.integers(3)]
        # Half of the moments lie in the last quarter, where results are written.
        moment = seconds * (generator.random() if generator.random() < 0.5 else 0.75 + 0.25 * generator.random())
        with tempfile.TemporaryDirectory() as scratch:
            wrong = trial(COMMANDS[name], base, Path(scratch), moment, sent, expected)
        how = f"seed {number}, {sent.name} after {moment:.1f} of {seconds:.1f} s"
        if wrong:
            CORPUS.mkdir(exist_ok=True)
            (CORPUS / f"{name}-{number}.txt").write_text(f"{how}: {wrong}\n")
        yield name, how, wrong


def kept(names: list[str]) -> list[tuple[str, int]]:
    """Commands and seeds of the corpus."""
    found = [path.stem.rpartition("-") for path in sorted(CORPUS.glob("*-*.txt"))]
    return [(name, int(number)) for name, _, number in found if name in names]


def main() -> None:
    """Run a campaign, print what came out, and end with 1 if anything fell short."""
    sys.path.insert(0, str(ROOT))  # where `tests` is ours, however this was started
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the first (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS), metavar="NAME")
    options = parser.parse_args()
    # A shell starts what it puts in the background with SIGINT ignored; the commands would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tried, fell_short = collections.Counter(), collections.Counter()
    if not options.trials and not kept(options.only):
        return
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch))
        for name, moment, wrong in campaign(Path(scratch), options.only, options.trials, options.seed):
            tried[name] += 1
            fell_short[name] += bool(wrong)
            print(f"{name}, {moment}: {wrong or 'well'}", flush=True)
    for name in tried:
        print(f"{name:10} {tried[name]} tried, {fell_short[name]} fell short")
    sys.exit(any(fell_short.values()))


if __name__ == "__main__":
    main()
