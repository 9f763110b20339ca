"""A build by Apache Beam gives the records of the sequential one, whoever works."""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kerastag import data
from kerastag.errors import UserError
from tests.conftest import run_command
from tests.tfds_jets.test_builder import folder_of_jets, tfds_build, with_events
from tfds_jets import units
from tfds_jets.splitting import FRACTIONS
from tfds_jets.spool import Writer
from tfds_jets.tfds_jets_dataset_builder import Builder
from tfds_jets.workers import OnBeam, pipeline_options, refused

IN_PROCESS = "runner=DirectRunner"
TWO = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"
SHARDS = 3


@pytest.fixture
def beam():
    return pytest.importorskip("apache_beam", reason="Apache Beam is not installed")


@pytest.fixture(scope="module")
def jets(tmp_path_factory):
    """Two files, of which one is empty of validation jets when cut into units of 50 entries, now and then."""
    return folder_of_jets(tmp_path_factory.mktemp("beam") / "jets", 900, files=2)


def records(path):
    """All records of each split, in order, as bytes; the larger ones in several shards."""
    builder = tfds.builder_from_directory(path)
    blocks = {split: tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)) for split in builder.info.splits}
    return {
        split: [{name: np.asarray(of).tobytes() for name, of in block.items()} for block in of_split]
        for split, of_split in blocks.items()
    }


def built(folder, manual_dir, **config):
    builder = Builder(config="jet_flavor", data_dir=folder)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, num_shards=SHARDS, **config)
    )
    return builder.data_path


def metadata(path):
    return json.loads((path / "metadata.json").read_text())


@pytest.fixture
def without_spaces(tmp_path, monkeypatch):
    """This Python under a path that Beam can give to a shell, wherever the virtual environment is."""
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


@pytest.fixture
def portable(beam, tmp_path):
    """Options for a job server and a pool of workers, each in processes of their own, as clusters have them."""
    port, pool = free_port(), free_port()
    server = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", "-p", str(port)]
    workers = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", "--service_port", str(pool)]
    with contextlib.ExitStack() as services:
        for command in (server, workers):
            log = services.enter_context((tmp_path / f"{command[2]}.log").open("wb"))
            service = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            services.callback(service.wait)
            services.callback(os.killpg, service.pid, signal.SIGKILL)  # with the workers that it has started
        for one in (port, pool):
            wait_for(one)
        yield (
            f"runner=PortableRunner,job_endpoint=localhost:{port},environment_type=EXTERNAL,environment_config=localhost:{pool}"
        )


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def wait_for(port, seconds=60):
    """Until somebody listens there."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("localhost", port)):
            return
        assert time.monotonic() < end, f"nobody listens on port {port} after {seconds} s"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("options", (IN_PROCESS, TWO, "portable"), ids=("in process", "two workers", "worker pool"))
def test_records_order_and_metadata_are_those_of_the_sequential_build(
    request, beam, without_spaces, jets, tmp_path, monkeypatch, options
):
    options = request.getfixturevalue(options) if options == "portable" else options
    monkeypatch.setattr(units, "ENTRIES", 150)
    in_turn = built(tmp_path / "in_turn", jets)
    by_beam = built(tmp_path / "beam", jets, beam_options=pipeline_options(options))
    expected = records(in_turn)
    assert records(by_beam) == expected and len(expected["train"]) > SHARDS
    assert metadata(by_beam) == metadata(in_turn)
    assert [path.name for path in by_beam.parent.iterdir() if path.name != ".lock"] == [by_beam.name]


@pytest.mark.slow
def test_a_split_without_jets_is_left_out(beam, tmp_path):
    root = with_events(folder_of_jets(tmp_path / "a", 6))
    dataset = data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=root, beam=IN_PROCESS)
    empty = [split for split in FRACTIONS if not sum(dataset.jets[split].values())]
    assert empty and not list(dataset.path.glob(f"*{empty[0]}.tfrecord*"))


@pytest.mark.slow
def test_a_bad_file_is_named_and_the_others_are_kept(beam, jets, tmp_path):
    bad = tmp_path / "jets" / "bad.root"
    bad.parent.mkdir()
    for path in jets.iterdir():
        (bad.parent / path.name).write_bytes(path.read_bytes())
    bad.write_bytes(b"root")
    with pytest.raises(UserError, match=rf"1 of 3 files .* others is kept. The first: '{bad}' is not a ROOT file"):
        data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=bad.parent, beam=IN_PROCESS)
    assert len(list((tmp_path / "data").glob("tfds_jets/jet_flavor/spool_units/*/about.json"))) == 2


@pytest.mark.slow
def test_a_full_disk_of_a_worker_is_one_sentence(beam, jets, tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Writer, "append", no_space)
    with pytest.raises(UserError, match=r"cannot be built in '.*/jet_flavor': No space left on device\.$"):
        data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=jets, beam=IN_PROCESS)


def test_of_other_errors_the_traceback_stays():
    of_disk = "Traceback ...\n  File ...\nRuntimeError: OSError: [Errno 5] Input/output error [while running 'Map(read)']\n"
    assert refused(RuntimeError(of_disk)) == "Input/output error"
    assert (
        refused(RuntimeError("NotADirectoryError: [Errno 20] Not a directory: 'a' [while running 'x']"))
        == "Not a directory: 'a'"
    )
    assert refused(RuntimeError("Traceback ...\nKeyError: 'a' [while running 'Map(read)']")) is None
    assert refused(RuntimeError("Pipeline job-1 failed in state FAILED: ")) is None


@pytest.mark.slow
def test_both_commands_take_beams_options(beam, jets, tmp_path):
    done = tfds_build("--manual_dir", jets, "--data_dir", tmp_path / "tfds", f"--beam_pipeline_options={IN_PROCESS}")
    assert done.returncode == 0, done.stderr
    ours = run_command("threat_model", "--manual-dir", jets, "--data-dir", tmp_path / "ours", "--beam", IN_PROCESS)
    assert ours.code == 0, ours.err
    paths = [path / "tfds_jets" / "jet_flavor" for path in (tmp_path / "tfds", tmp_path / "ours")]
    first, second = (metadata(next(path.glob("1.*"))) for path in paths)
    assert first == second


def test_options_that_beam_does_not_understand_are_one_sentence(beam):
    with pytest.raises(UserError, match="Beam does not understand --beam 'direct_num_workers=many'"):
        pipeline_options("direct_num_workers=many").get_all_options()


def test_processes_that_beam_could_not_start_are_refused(beam, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/home/a user/python")
    with pytest.raises(UserError, match="Beam cannot start processes of '/home/a user/python'"):
        OnBeam(pipeline_options(TWO))
    OnBeam(pipeline_options(IN_PROCESS))
    OnBeam()
