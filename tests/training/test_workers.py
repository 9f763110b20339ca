"""Trainings by two processes, and on two halves of a CPU: the weights of one process, also after a kill."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

import kerastag
from kerastag import data
from kerastag.data import Share
from kerastag.errors import UserError
from tfds_jets.tfds_jets_dataset_builder import Builder

ROOT = Path(__file__).parents[2]
# Seconds after which processes count as hanging.
LIMIT = 600
PROGRAM = [sys.executable, "-m", "tests.training.distributed"]
OPTIONS = ("--model=tests.training.distributed:plain", "--batch-size=240", "--paper", "--epochs=12")
TRAIN = [sys.executable, "scripts/train.py", "--resume", *OPTIONS]
NAMES = ("nominal", "fgsm", "input-gradient", "trades", "ema")


def start(command, folder=ROOT, **environment):
    """A process, and the file of what it says: a pipe would fill while another process is read."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"} | environment
    environment |= {"PYTHONPATH": str(ROOT)}
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `outcomes`
    return subprocess.Popen([*map(str, command)], cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT), said


def free_addresses():
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other)]


def start_workers(command, **environment):
    cluster = {"worker": free_addresses()}
    tasks = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    return [start(command, TF_CONFIG=task, **environment) for task in tasks]


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
    program = [*PROGRAM, data_dir]
    finish([start([*program, folder / "alone", *NAMES])])
    finish([start([*program, folder / "devices", *NAMES], DEVICES="2")])
    finish(start_workers([*program, folder / "workers", *NAMES]))
    return folder


def weights(run):
    """Those in a file, or of a run."""
    if run.is_dir():
        return kerastag.load(run).get_weights()
    with np.load(run) as arrays:
        return [arrays[name] for name in arrays.files]


def assert_equal(one, other):
    for a, b in zip(weights(one), weights(other), strict=True):
        assert a.tobytes() == b.tobytes()


def assert_near(one, other):
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-6)


def history(file):
    return [{name: value for name, value in row.items() if name != "jets_per_second"} for row in json.loads(file.read_text())]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["devices", "workers"])
def test_several_devices_give_the_weights_of_one(trained, where, name):
    assert_near(trained / "alone" / f"{name}-0.npz", trained / where / f"{name}-0.npz")
    for a, b in zip(*(history(trained / folder / f"{name}-0.json") for folder in ("alone", where)), strict=True):
        for log in a:  # an area is a count of pairs, of which one may turn
            assert a[log] == pytest.approx(b[log], abs=1e-3 if "auc" in log else 1e-5), log


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_both_workers_have_the_same_weights_and_logs(trained, name):
    files = [trained / "workers" / f"{name}-{worker}" for worker in range(2)]
    assert_equal(*(file.with_suffix(".npz") for file in files))
    assert history(files[0].with_suffix(".json")) == history(files[1].with_suffix(".json"))


def wait_for_epoch(number, run, process):
    """Until that epoch is in a checkpoint; in vain if the process ends."""
    limit, newest = time.monotonic() + LIMIT, f"epoch-{number:05d}"
    while process.poll() is None and time.monotonic() < limit:
        if max((path.name for path in run.glob("checkpoints/epoch-*")), default="") >= newest:
            return
        time.sleep(0.05)


@pytest.mark.slow
def test_when_a_worker_is_killed_the_other_ends_and_both_resume(dataset, data_dir, tmp_path):
    def begin(name):
        return start_workers([*TRAIN, f"--data-dir={data_dir}", "--defense=pgd-2", "--output", tmp_path / name])

    finish(begin("whole"))
    (first, _), (second, _) = started = begin("killed")
    wait_for_epoch(1, tmp_path / "killed", first)
    second.kill()
    (code, said), _ = outcomes(started)
    assert code == 2 and "start all again with --resume" in said, said[-5000:]
    assert not (tmp_path / "killed" / "metrics.json").exists()
    finish(begin("killed"))
    assert_equal(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_one_process_goes_on_for_two_and_two_for_one(dataset, data_dir, tmp_path):
    def command(name):
        return [*TRAIN, f"--data-dir={data_dir}", "--defense=fgsm", "--output", tmp_path / name]

    finish([start(command("whole"))])
    for begin, epoch in ((start_workers, 2), (lambda command: [start(command)], 6)):
        started = begin(command("changed"))
        wait_for_epoch(epoch, tmp_path / "changed", started[0][0])
        for process, _ in started:
            process.kill()
        for code, text in outcomes(started):
            assert code == -signal.SIGKILL, text[-5000:]
    finish(start_workers(command("changed")))
    assert_near(tmp_path / "whole", tmp_path / "changed")


def test_several_workers_do_not_build_a_data_set(jet_files, tmp_path):
    with pytest.raises(UserError, match="several workers do not build one"):
        data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=jet_files, build=False)


@pytest.fixture(scope="module")
def in_shards(jet_files, tmp_path_factory):
    """The data set in five shards, which two workers cannot share evenly."""
    folder = tmp_path_factory.mktemp("in_shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfds_jets.spool.BLOCK", 30)
        config = tfds.download.DownloadConfig(manual_dir=jet_files, num_shards=5)
        Builder(config="jet_flavor", data_dir=folder).download_and_prepare(download_config=config)
    return folder


def test_of_a_data_set_in_shards_two_workers_read_each_jet_once(in_shards):
    dataset, shares = data.prepare("jet_flavor", data_dir=in_shards, build=False), [Share(worker, 2) for worker in range(2)]
    options = {"shuffle": True, "spectators": True, "in_memory": False}
    steps, seen = dataset.steps("train", 240, shares[0], in_memory=False), []
    for share in shares:
        for *_, columns in dataset.batches("train", 240, share=share, **options).take(steps):
            seen += zip(columns["source"].numpy(), columns["entry"].numpy(), strict=True)
    smallest = sorted(dataset._jets_of_shards("train", 2))[:2]
    assert steps == sum(smallest) // 120 and len(seen) == len(set(seen)) == 240 * steps


def test_batches_that_no_two_workers_could_fill_are_refused(in_shards):
    dataset = data.prepare("jet_flavor", data_dir=in_shards, build=False)
    with pytest.raises(UserError, match="so one of 2 workers cannot fill its part"):
        dataset.batches("train", 2_000, shuffle=True, share=Share(1, 2), in_memory=False)


@pytest.mark.slow
def test_two_workers_stream_like_one_process_on_the_batches_of_both(in_shards, tmp_path):
    names = ("nominal", "fgsm")
    finish([start([*PROGRAM, in_shards, tmp_path / "alone", *names], STREAMED="yes")])
    finish(start_workers([*PROGRAM, in_shards, tmp_path / "workers", *names], STREAMED="yes"))
    for name in names:
        first, second = (tmp_path / "workers" / f"{name}-{worker}.npz" for worker in range(2))
        assert_equal(first, second)
        assert_near(tmp_path / "alone" / f"{name}-0.npz", first)


def printed(pattern):
    """What the page says, as a pattern finds it."""
    (found,) = re.findall(pattern, (ROOT / "kerastag" / "training" / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.slow
def test_pods_of_kubernetes_train_by_the_lines_as_printed(dataset, data_dir, tmp_path):
    """All but the names of the pods, the shared folder, and options of a quick training behind the last line."""
    (tmp_path / "tf_config.sh").write_text(printed(r"^tf_config\(\) \{.*?^\}\n"))
    lines = printed(r"^```bash\n((?:(?!^```).)*JOB_COMPLETION_INDEX.*?)\n```$").replace("/shared", str(tmp_path))
    for pod, address in zip(re.findall(r"\S+\.jets:\d+", lines), free_addresses(), strict=True):
        lines = lines.replace(pod, address)
    lines += f" --data-dir {data_dir} --model tests.training.distributed:noted --epochs 2 --batch-size 240 --paper"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    pods = [start(["bash", "-c", lines], tmp_path, PATH=path, JOB_COMPLETION_INDEX=str(index)) for index in range(2)]
    for index, (code, said) in enumerate(outcomes(pods)):
        assert code == 0 and f"Worker {index} of 2 waits" in said, said[-5000:]
    assert_equal(tmp_path / "0.npz", tmp_path / "1.npz")
    assert_equal(tmp_path / "1.npz", tmp_path / "runs" / "together")
