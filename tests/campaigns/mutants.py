"""Byte-level mutants of every kind of file that kerastag reads: equal numbers, or one sentence.

    python -m tests.campaigns.mutants --mutants 2000

A mutant has a byte changed, bytes inserted or left out, or its end cut off. Each is read in a process of its own, forked from
one that has imported everything, with limits of memory and time. What comes out is one of

equal    the numbers of the file as it was
refused  a `UserError`, one line
other    other numbers: for a text that a user writes this is right, for all else it is a failure
failed   any other exception, a crash, more memory or time than allowed

A failure is printed, and kept in the folder `corpus` beside this file, as it was before and after; commit it. What is there is
read first, by every campaign and by the tests. `--seed N --only KIND` makes a mutant again.
"""

import argparse
import collections
import contextlib
import dataclasses
import hashlib
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kerastag.training import AdversarialTagger

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
_SECONDS, _BYTES = 120, 6 * 2**30
SETTINGS = """\
model = "mlp"
epochs = 30
defense = "fgsm"
epsilon = 0.02
relative_cap = 0.2
only = ["track_*", "jet_pt"]
seed = 3
"""
BUDGET = """\
title = "a budget"
[jet_flavor]
"track_*_D0" = 0.005
"track_*_Z0" = {share = 0.1, of = "track_*_Z0Z0", power = 0.5}
"jet_prob" = {b = 0.02, c = 0.01, light = 0.01}
"""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        read: Reads the file or folder into a digest of its numbers.
        free: Whether other numbers are right as well.
    """

    read: Callable[[Path], str]
    free: bool = False


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def make(folder: Path) -> None:
    """Make a file of each kind, small ones."""
    import keras

    from kerastag import data, models, saving
    from kerastag.training.checkpoint import TrainingState
    from tests.conftest import jet_lines, write_lines
    from tfds_jets.conversion import convert

    convert(write_lines(jet_lines(400), folder / "jets.gz"), folder / "jets", files=1)
    shutil.copy(next((folder / "jets").iterdir()), folder / "root")
    dataset = data.prepare("jet_flavor", data_dir=folder / "data_set", manual_dir=folder / "jets")
    keras.utils.set_random_seed(0)
    tagger = models.mlp(dataset.schema, dataset.statistics, hidden=(8,))
    tagger.save(folder / "tagger.keras")
    saving.export(tagger, dataset.schema, dataset.statistics, folder / "saved_model")
    model, state = _model(), TrainingState(folder / "checkpoint", [])
    model.fit(np.zeros((8, 184), np.float32), np.eye(3, dtype=np.float32)[np.arange(8) % 3], callbacks=[state], verbose=0)
    (folder / "settings.toml").write_text(SETTINGS)
    (folder / "budget.toml").write_text(BUDGET)


def _root(path: Path) -> str:
    from kerastag.schema import JET_FLAVOR
    from tfds_jets import reading

    shutil.move(path, path.with_suffix(".root"))
    cleaning = reading.Cleaning.none(JET_FLAVOR)
    jets = list(reading.read([reading.RootFile.of(path.with_suffix(".root"))], JET_FLAVOR, "", cleaning))
    return digest(*(array for chunk in jets for array in (chunk.features, chunk.label)))


def _tagger(path: Path) -> str:
    import kerastag

    x = np.random.default_rng(0).normal(size=(20, 184)).astype(np.float32)
    return digest(kerastag.load(path)(x).numpy())


def _data_set(path: Path) -> str:
    from kerastag import data

    jets = data.prepare("jet_flavor", data_dir=path).arrays("train")
    return digest(jets.features, jets.label)


def _model() -> "AdversarialTagger":
    import keras

    from kerastag import models
    from kerastag.schema import JET_FLAVOR
    from kerastag.statistics import Statistics
    from kerastag.training import AdversarialTagger

    ones = np.ones(184)
    model = AdversarialTagger(models.paper_mlp(JET_FLAVOR, Statistics(ones, ones, ones, ones, ones)))
    model.compile(keras.optimizers.AdamW(), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def _checkpoint(path: Path) -> str:
    from kerastag.training.checkpoint import TrainingState

    model, state = _model(), TrainingState(path, [])
    state.set_model(model)
    state.on_train_begin()
    return digest(*model.get_weights()) + str((state.epoch, state.history))


def _settings(path: Path) -> str:
    from kerastag.recipes import Settings, read_toml

    return repr(Settings.resolve(read_toml(path)))


def _budget(path: Path) -> str:
    from kerastag.attacks import Physics, ThreatModel
    from kerastag.schema import JET_FLAVOR

    model = ThreatModel.from_schema(JET_FLAVOR, np.ones(184), physics=Physics(budget=str(path)))
    return digest(model.scale)


KINDS = {
    "root": Kind(_root),
    "tagger.keras": Kind(_tagger),
    "saved_model": Kind(_tagger),
    "data_set": Kind(_data_set),
    "checkpoint": Kind(_checkpoint),
    "settings.toml": Kind(_settings, free=True),
    "budget.toml": Kind(_budget, free=True),
}


def mutate(path: Path, generator: np.random.Generator) -> str:
    """Change a file, or one of a folder; say how."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = files[generator.integers(len(files))]
    content = bytearray(file.read_bytes())
    place = int(generator.integers(max(len(content), 1)))
    way = ("change", "insert", "leave out", "cut off")[generator.integers(4)]
    some = generator.integers(0, 256, generator.integers(1, 9), dtype=np.uint8).tobytes()
    if way == "change" and content:
        content[place] ^= int(generator.integers(1, 256))
    elif way == "insert":
        content[place:place] = some
    elif way == "leave out":
        del content[place : place + len(some)]
    else:
        del content[place:]
    file.write_bytes(content)
    return f"{file.name}: {way} at {place}"


def outcome(kind: Kind, path: Path) -> tuple[str, str]:
    """What reading a file gives, in a process of its own: "value", "refused" or "failed", and the digest or message."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.close(reader)
        with contextlib.suppress(BaseException):
            os.write(writer, _read(kind, path).encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "failed", f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    word, _, rest = said.partition(" ")
    return (word, rest) if said else ("failed", "said nothing")


def _read(kind: Kind, path: Path) -> str:
    from kerastag.errors import UserError

    with open("/proc/self/statm") as stream:
        now = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + _BYTES, now + _BYTES))
    signal.alarm(_SECONDS)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        return f"value {kind.read(path)}"
    except UserError as error:
        lines = str(error).count("\n")
        return f"failed {lines + 1} lines: {error}" if lines else f"refused {error}"
    except BaseException as error:
        return f"failed {type(error).__name__}: {str(error)[:300]}"


def campaign(
    folder: Path, kinds: list[str], mutants: int, seed: int, corpus: Path = CORPUS
) -> Iterator[tuple[str, int, str, str, str]]:
    """Read mutants in turn, and keep those that fall short.

    Yields:
        Kind, seed, what was changed, what came out, and the message.
    """
    expected = {name: numbers(folder / name) for name in kinds}
    for number in range(seed, seed + mutants):
        name = kinds[number % len(kinds)]
        with _copy(folder / name) as path:
            change = mutate(path, np.random.default_rng(number))
            word, said = judged(path, expected[name])
        if word in ("other", "failed"):
            keep(folder / name, number, corpus)
        yield name, number, change, word, said


def replay(kinds: list[str], corpus: Path = CORPUS) -> Iterator[tuple[str, int, str, str, str]]:
    """Read what fell short once.

    Yields:
        As `campaign`.
    """
    for entry in sorted(path for path in corpus.glob("*-*") if path.is_dir()):
        name, _, number = entry.name.rpartition("-")
        if name in kinds:
            with _copy(entry / "after" / name) as path:
                yield name, int(number), "of the corpus", *judged(path, numbers(entry / "before" / name))


def keep(original: Path, number: int, corpus: Path) -> None:
    """Put a mutant and its original into a corpus."""
    entry = corpus / f"{original.name}-{number}"
    shutil.rmtree(entry, ignore_errors=True)
    for name in ("before", "after"):
        (entry / name).mkdir(parents=True)
        (shutil.copytree if original.is_dir() else shutil.copy)(original, entry / name / original.name)
    mutate(entry / "after" / original.name, np.random.default_rng(number))


def numbers(original: Path) -> str:
    """The digest of a file as it was, by its name."""
    with _copy(original) as path:
        word, said = outcome(KINDS[original.name], path)
    if word != "value":
        raise RuntimeError(f"'{original}' cannot be read as it was: {said}")
    return said


def judged(path: Path, expected: str) -> tuple[str, str]:
    """What comes out of a mutant, and the message."""
    kind = KINDS[path.name]
    word, said = outcome(kind, path)
    if word == "value":
        word = "equal" if said == expected or kind.free else "other"
    return word, said


@contextlib.contextmanager
def _copy(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / path.name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
        yield target


def made(folder: Path) -> None:
    """Make the files in another process: TensorFlow must not have run before a fork."""
    code = f"from pathlib import Path; from tests.campaigns.mutants import make; make(Path({str(folder)!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        raise RuntimeError(f"The files cannot be made: {result.stderr[-2000:]}")


def imported() -> None:
    """Import all that reading needs."""
    for module in ("kerastag.data", "kerastag.saving", "kerastag.training", "tfds_jets.tfds_jets_dataset_builder"):
        __import__(module)


def main() -> None:
    """Run a campaign, print what came out, and end with 1 if anything fell short."""
    sys.path.insert(0, str(ROOT))  # where `tests` is ours, however this was started
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=2000, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the first (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    options = parser.parse_args()
    counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in options.only}
    imported()
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = replay(options.only)
        if options.mutants:
            made(Path(scratch))
            outcomes = itertools.chain(outcomes, campaign(Path(scratch), options.only, options.mutants, options.seed))
        for name, number, change, word, said in outcomes:
            counts[name][word] += 1
            if word in ("other", "failed"):
                print(f"{name}, seed {number}, {change}: {word}: {said}", flush=True)
    for name, counter in counts.items():
        print(f"{name:14} " + ", ".join(f"{counter[word]} {word}" for word in ("equal", "refused", "other", "failed")))
    sys.exit(any(counter["other"] + counter["failed"] for counter in counts.values()))


if __name__ == "__main__":
    main()
