"""Trainings by two processes, and on two halves of a CPU: the weights of one process, also after a kill."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import kerastag
from kerastag import data
from kerastag.errors import UserError

ROOT = Path(__file__).parents[2]
# Seconds after which processes count as hanging.
LIMIT = 600
NAMES = ("nominal", "fgsm", "input-gradient", "trades", "ema")


def start(arguments, **environment):
    """A process, and the file of what it says: a pipe would fill while another process is read."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"} | environment
    environment |= {"PYTHONPATH": str(ROOT)}
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `outcomes`
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT), said


def start_workers(arguments):
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("localhost", 0))
        cluster = {"worker": [f"localhost:{free.getsockname()[1]}" for free in (one, other)]}
    task = {"cluster": cluster, "task": {"type": "worker"}}
    return [start(arguments, TF_CONFIG=json.dumps(task | {"task": {"type": "worker", "index": index}})) for index in range(2)]


def outcomes(started):
    """Exit code and words of each process; none of them stays behind."""
    try:
        codes = [process.wait(LIMIT) for process, _ in started]
    finally:
        for process, _ in started:
            process.kill()
    return [(code, whole(said)) for code, (_, said) in zip(codes, started, strict=True)]


def whole(file):
    with file:
        file.seek(0)
        return file.read()


def finish(started):
    for code, text in outcomes(started):
        assert code == 0, text[-5000:]


@pytest.fixture(scope="module")
def trained(dataset, data_dir, tmp_path_factory):
    """A folder each of `alone`, `devices`, `workers`."""
    folder = tmp_path_factory.mktemp("distributed")
    program = ["-m", "tests.training.distributed", data_dir]
    finish([start([*program, folder / "alone", *NAMES])])
    finish([start([*program, folder / "devices", *NAMES], DEVICES="2")])
    finish(start_workers([*program, folder / "workers", *NAMES]))
    return folder


def weights(file):
    with np.load(file) as arrays:
        return [arrays[name] for name in arrays.files]


def history(file):
    return [{name: value for name, value in row.items() if name != "jets_per_second"} for row in json.loads(file.read_text())]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["devices", "workers"])
def test_several_devices_give_the_weights_of_one(trained, where, name):
    one, several = (weights(trained / folder / f"{name}-0.npz") for folder in ("alone", where))
    for a, b in zip(one, several, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-6)
    for a, b in zip(*(history(trained / folder / f"{name}-0.json") for folder in ("alone", where)), strict=True):
        for log in a:  # an area is a count of pairs, of which one may turn
            assert a[log] == pytest.approx(b[log], abs=1e-3 if "auc" in log else 1e-5), log


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_both_workers_have_the_same_weights_and_logs(trained, name):
    files = [trained / "workers" / f"{name}-{worker}" for worker in range(2)]
    for a, b in zip(*(weights(file.with_suffix(".npz")) for file in files), strict=True):
        assert a.tobytes() == b.tobytes()
    assert history(files[0].with_suffix(".json")) == history(files[1].with_suffix(".json"))


@pytest.mark.slow
def test_when_a_worker_is_killed_the_other_ends_and_both_resume(dataset, data_dir, tmp_path):
    def begin(name):
        options = ["--model=tests.training.distributed:plain", "--defense=pgd-2", "--epochs=12", "--batch-size=240", "--paper"]
        return start_workers(["scripts/train.py", "--resume", f"--data-dir={data_dir}", *options, "--output", tmp_path / name])

    finish(begin("whole"))
    started, limit = begin("killed"), time.monotonic() + LIMIT
    (first, _), (second, _) = started
    while not list((tmp_path / "killed" / "checkpoints").glob("epoch-*")) and first.poll() is None and time.monotonic() < limit:
        time.sleep(0.05)
    second.kill()
    (code, said), _ = outcomes(started)
    assert code == 2 and "start all again with --resume" in said, said[-5000:]
    assert not (tmp_path / "killed" / "metrics.json").exists()
    finish(begin("killed"))
    for a, b in zip(*(kerastag.load(tmp_path / name).get_weights() for name in ("whole", "killed")), strict=True):
        assert a.tobytes() == b.tobytes()


def test_several_workers_do_not_build_a_data_set(jet_files, tmp_path):
    with pytest.raises(UserError, match="several workers do not build one"):
        data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=jet_files, build=False)
