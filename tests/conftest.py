"""Small jets in the published format, a data set made of them, and a tagger: what most tests stand on."""

import contextlib
import dataclasses
import gzip
import io
import json
import os
import uuid
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes share the cores.
    for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

import keras
import numpy as np
import pytest

from kerastag.schema import DEEPNTUPLE, JET_FLAVOR

pytest_plugins = ["tests.toy", "tests.browser"]

NTUPLE = Path(__file__).parents[2] / "shared" / "data" / "ntuple_ttbar.root"
needs_ntuple = pytest.mark.skipif(not NTUPLE.is_file(), reason="the CMS ntuple is not part of the repository")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """The same random numbers in each run, for fixtures too: weights that nobody seeded failed a test in 1 % of runs."""
    keras.utils.set_random_seed(0)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str


def run_command(name: str, *arguments) -> Outcome:
    """Run a command in this process."""
    from kerastag import commands

    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            commands.run(name, [str(argument) for argument in arguments], prog=name)
        except SystemExit as exit:
            code = exit.code
    return Outcome(code, out.getvalue(), err.getvalue())


def make_reports_quick(monkeypatch) -> None:
    """Without most of the trees and tests that look for attacked jets; they are tested by themselves."""
    from kerastag.evaluation import two_sample_trees, two_samples
    from kerastag.report.parts import hidden
    from kerastag.results import Resampled

    def guess(first, second, events=None, seed=0):
        return Resampled(0.5, 0.5 + 0.01 * np.random.default_rng(seed).normal(size=20))

    monkeypatch.setattr(two_sample_trees, "classifier_area", guess)
    monkeypatch.setattr(two_samples, "_MORE_PERMUTATIONS", 999)
    monkeypatch.setattr(hidden, "_TOLERANT", hidden._TOLERANT[:1])


def jet_lines(jets: int, seed: int = 0) -> list[list]:
    """Jets as lines of the published file: flavours in long runs, sentinels and tracks without order in |d0|/σ."""
    generator = np.random.default_rng(seed)
    lines = []
    for number in range(jets):
        flavour = (5, 4, 0)[3 * number // jets]
        tracks = [_track(generator, flavour) for _ in range(generator.integers(1, 10))]
        with_vertex = generator.random() < {5: 0.8, 4: 0.4, 0: 0.1}[flavour]
        by_track = [float(value) for value in generator.exponential(1 + flavour / 3, 4)]
        by_track += [int(generator.integers(0, 4)), float(generator.random() / 3), *map(float, generator.random(2) / 3)]
        if len(tracks) < 3:
            by_track[1] = by_track[3] = "-inf"
        by_vertex = ["NaN", -1, -1, "inf", -1, "-inf"]
        if with_vertex:
            by_vertex = [float(generator.exponential(50)), int(generator.integers(1, 3)), int(generator.integers(2, 6))]
            by_vertex += [float(value) for value in generator.exponential(0.5, 3)]
        pt, eta = float(23 + generator.exponential(15)), float(generator.uniform(-2.5, 2.5))
        lines.append([pt, eta, flavour, by_track, by_vertex, tracks])
    return lines


def _track(generator: np.random.Generator, flavour: int) -> list[list]:
    d0 = float(generator.normal(0, 0.02) + (generator.exponential(0.1) if flavour == 5 else 0))
    parameters = [d0, *map(float, generator.normal(0, [0.5, 0.1, 0.08, 0.4]))]
    scales = [variable.default for variable in JET_FLAVOR.groups[2].variables[5:20]]
    sizes = [abs(scale[0] if isinstance(scale, tuple) else scale) or 1e-6 for scale in scales]
    covariances = [float(value * generator.uniform(0.5, 2)) for value in sizes]
    covariances[0] = float(generator.uniform(1e-4, 1e-3))
    at_primary = generator.random() < 0.7
    vertex = [1.0 + float(generator.random()), 0.0, "NaN", "-NaN", 0.0, int(generator.integers(1, 5)), 0.5]
    if not at_primary:
        vertex[1:5] = [float(value) for value in generator.exponential(1, 4)]
    vertex[6] = float(generator.random())
    return [parameters, covariances, [float(generator.uniform(0, 0.98))], vertex]


def write_lines(lines: list[list], path: Path) -> Path:
    """The published format, gzipped."""
    with gzip.open(path, "wt") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)
    return path


@pytest.fixture(scope="session")
def jet_files(tmp_path_factory) -> Path:
    """A folder of ROOT files with 3,000 jets, converted from the published format; the same bytes in every run.

    ROOT files hold date and UUID, and where a jet goes in the data set depends on the bytes of its file.
    """
    import uproot

    from tfds_jets.conversion import convert

    folder = tmp_path_factory.mktemp("jets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uproot._util, "datetime_to_code", lambda when: 0)
        patch.setitem(uproot.recreate.defaults, "uuid_function", lambda: uuid.UUID(int=1))
        convert(write_lines(jet_lines(3000), folder / "dataset.json.gz"), folder / "root", files=4)
    return folder / "root"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> Path:
    """Folder in which TFDS keeps the data sets of this test session."""
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="session")
def dataset(jet_files, data_dir):
    """The `jet_flavor` data set made of `jet_files`."""
    from kerastag import data

    return data.prepare("jet_flavor", data_dir=data_dir, manual_dir=jet_files)


@pytest.fixture(scope="session")
def ntuple(data_dir, tmp_path_factory):
    """The `deepntuple` data set made of CMS' file."""
    from kerastag import data

    folder = tmp_path_factory.mktemp("ntuple")
    (folder / NTUPLE.name).symlink_to(NTUPLE)
    return data.prepare("deepntuple", data_dir=data_dir, manual_dir=folder)


@pytest.fixture
def tagger(dataset):
    """A fresh network with dropout, raw features to logits."""
    import keras

    from kerastag import models

    keras.utils.set_random_seed(1)
    return models.mlp(dataset.schema, dataset.statistics, hidden=(16, 16))


@pytest.fixture(scope="session")
def jets(dataset):
    """Features `(256, 184)` and one-hot labels of training jets, as tensors."""
    import tensorflow as tf

    split = dataset.arrays("train")
    return tf.constant(split.features[:256]), tf.constant(split.y[:256])


@pytest.fixture(scope="session")
def random_deepntuple():
    """Random features in the shape of `DEEPNTUPLE`, a quarter of the cells absent."""
    generator = np.random.default_rng(5)
    x = generator.normal(size=(200, len(DEEPNTUPLE.features))).astype(np.float32)
    return np.where(generator.random(x.shape) < 0.25, DEEPNTUPLE.defaults, x)
