"""Which devices the environment names, without using them."""

import json

import numpy as np
import pytest

from kerastag.errors import UserError
from kerastag.training import distribution
from kerastag.training.distribution import ALONE, Distribution, find

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "b:2"]}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    """And joining one is noticed, not done."""
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.setenv(name, "")  # so that what a test leaves is removed
        monkeypatch.delenv(name)
    monkeypatch.setattr(distribution.tf.distribute, "MultiWorkerMirroredStrategy", lambda: "joined")


@pytest.mark.parametrize("task", [None, {"type": "worker", "index": 0}])
def test_one_process_trains_as_ever(monkeypatch, task):
    if task:
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}, "task": task}))
    assert find("auto") is find("none") is ALONE
    assert ALONE.is_chief and ALONE.replicas == 1 and ALONE.share.pieces == 1


@pytest.mark.parametrize(("kind", "index", "worker"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)])
def test_workers_are_numbered_from_the_chief_on(monkeypatch, kind, index, worker):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": CLUSTER, "task": {"type": kind, "index": index}}))
    found = find("auto")
    assert (found.worker, found.workers, found.strategy) == (worker, 3, "joined")
    assert find("none") is ALONE


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("{", "TF_CONFIG is no JSON"),
        ("[]", "TF_CONFIG is no JSON"),
        (json.dumps({"cluster": CLUSTER}), "names no worker of its cluster"),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "evaluator", "index": 0}}), "names no worker of its cluster"),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}), "names no worker of its cluster"),
    ],
)
def test_what_names_no_worker_is_refused(monkeypatch, config, sentence):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError, match=sentence):
        find("auto")


def test_what_is_asked_for_must_be_there():
    with pytest.raises(UserError, match="needs TF_CONFIG, or srun"):
        find("multi-worker")
    with pytest.raises(UserError, match="needs several GPUs"):
        find("mirrored")
    with pytest.raises(UserError, match="no strategy 'mirored'"):
        find("mirored")


def slurm(monkeypatch, nodes, tasks, rank, node):
    names = {"STEP_NUM_TASKS": "4", "STEP_NODELIST": nodes, "STEP_TASKS_PER_NODE": tasks, "PROCID": str(rank), "JOB_ID": "7"}
    for name, value in names.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", node)


@pytest.mark.parametrize(("rank", "node"), [(0, "node1"), (2, "node1"), (3, "node2")])
def test_slurm_says_who_is_who(monkeypatch, rank, node):
    slurm(monkeypatch, "node[1-2]", "3,1", rank, node)
    found = find("auto")
    assert (found.worker, found.workers) == (rank, 4)
    (*_, last) = json.loads(distribution.os.environ["TF_CONFIG"])["cluster"]["worker"]
    assert last.startswith("node2:")


def test_nodes_that_tensorflow_sorts_otherwise_are_refused(monkeypatch):
    slurm(monkeypatch, "node[9-10]", "2(x2)", 0, "node9")
    with pytest.raises(UserError, match="worker 0 would be on node10, but SLURM has put it on node9; set TF_CONFIG"):
        find("auto")


@pytest.mark.parametrize("rows", [0, 1, 7, 12])
def test_parts_make_up_the_whole(rows):
    parts = [np.arange(rows)[Distribution(None, worker, 3).part(rows)] for worker in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(rows))


def test_workers_of_other_options_are_told_so(monkeypatch):
    ours = Distribution(None, 0, 2)
    monkeypatch.setattr(Distribution, "joined", lambda self, part, rows: np.concatenate([part, part]))
    ours.check_same({"options": 1})
    assert ours.all_agree(True) and not ours.all_agree(False)
    monkeypatch.setattr(Distribution, "joined", lambda self, part, rows: np.concatenate([part, part - 1]))
    with pytest.raises(UserError, match="The workers do not have the same options"):
        ours.check_same({"options": 1})
    assert not ours.all_agree(True)
