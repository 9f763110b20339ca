"""Where a training runs: on one device, on several of this machine, or on several machines. One device is the identity."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import tensorflow as tf

from kerastag import environment
from kerastag.catalogue import STRATEGIES
from kerastag.checksums import of_content
from kerastag.data import Share
from kerastag.errors import UserError

# Ports on each node of SLURM begin here, at a place that differs between jobs.
_FIRST_PORT, _PORTS = 20_000, 20_000
# What TensorFlow raises where another process is gone.
_BROKEN = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


@dataclasses.dataclass(frozen=True)
class Distribution:
    """The devices of a training, and which of its processes this one is.

    Attributes:
        strategy: What runs a step on several devices; None for one device.
        worker: Number of this process, from 0; the first is the chief, which alone writes.
        workers: Number of processes.
    """

    strategy: tf.distribute.Strategy | None = None
    worker: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes."""
        return self.worker == 0

    @property
    def replicas(self) -> int:
        """Devices of all processes."""
        return 1 if self.strategy is None else self.strategy.num_replicas_in_sync

    @property
    def share(self) -> Share:
        """What this process reads of each batch."""
        return Share(self.worker, self.workers, self.replicas // self.workers)

    def scope(self) -> AbstractContextManager:
        """Inside, variables live on all devices."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()

    def batches(self, make: Callable[[], tf.data.Dataset]) -> Any:
        """Batches on the devices of this process, from what makes their pieces."""
        return make() if self.strategy is None else self.strategy.distribute_datasets_from_function(lambda context: make())

    def part(self, rows: int) -> slice:
        """The rows of an array that this process computes."""
        return slice(rows * self.worker // self.workers, rows * (self.worker + 1) // self.workers)

    def joined(self, part: np.ndarray, rows: int) -> np.ndarray:
        """An array of `rows` rows, of which each process has computed its `part`; all of them must call this."""
        if self.workers == 1:
            return part
        assert self.strategy is not None
        own = np.zeros((rows, *part.shape[1:]), part.dtype)
        own[self.part(rows)] = part
        first = self.share.worker * self.share.devices

        def of_device(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            return tf.constant(own if context.replica_id_in_sync_group == first else np.zeros_like(own))

        values = self.strategy.experimental_distribute_values_from_function(of_device)
        return self.strategy.reduce("SUM", values, axis=None).numpy()

    def check_same(self, facts: Mapping[str, Any]) -> None:
        """Make sure that all processes have the same facts, by name; all of them must call this.

        Raises:
            UserError: if one has another.
        """
        if self.workers == 1:
            return
        numbers = np.array([[int(of_content(fact)[:14], 16) for fact in facts.values()]], np.int64)
        for name, of_workers in zip(facts, self.joined(numbers, self.workers).T, strict=True):
            if len(set(of_workers.tolist())) > 1:
                raise UserError(
                    f"The workers do not have the same {name}; give all the same options and data, and an --output on a file "
                    "system that they share."
                )

    def all_agree(self, value: bool) -> bool:
        """Whether all processes say so; all of them must call this."""
        return bool(self.joined(np.array([value], np.int64), self.workers).all())

    def wait_for_all(self) -> None:
        """Return when all processes have called this."""
        with self.watched():
            self.all_agree(True)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Say in one sentence that another process has ended."""
        try:
            yield
        except _BROKEN as error:
            if self.workers == 1:
                raise
            raise UserError("Another worker has ended or is out of reach; start all again with --resume.") from error


ALONE = Distribution()


def find(name: str) -> Distribution:
    """The devices that a name in `STRATEGIES` stands for; to be called before TensorFlow uses any.

    Raises:
        UserError: if there is no such name, or the environment does not have what it needs.
    """
    return STRATEGIES.build(name)


def automatic() -> Distribution:
    """Several workers if the environment names any, else all GPUs if there are several, else one device."""
    if len(_addresses()) > 1:
        return multi_worker()
    return mirrored() if len(tf.config.list_physical_devices("GPU")) > 1 else alone()


def alone() -> Distribution:
    """One device."""
    with environment.quiet():
        tf.config.list_logical_devices()  # complains if there is no GPU
    return ALONE


def mirrored() -> Distribution:
    """All GPUs of this machine, or all logical CPUs if it has none."""
    with environment.quiet():
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise UserError("There is one device here alone; --strategy mirrored needs several GPUs, so leave it out.")
    return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))


def multi_worker() -> Distribution:
    """The processes that TF_CONFIG or SLURM name, with all GPUs that each of them sees."""
    addresses = _addresses()
    if len(addresses) < 2:
        raise UserError("There is no cluster; --strategy multi-worker needs TF_CONFIG, or srun with several tasks.")
    task = json.loads(os.environ["TF_CONFIG"]).get("task", {})
    kinds = [kind for kind, _ in addresses]
    worker = kinds.index(task["type"]) + int(task["index"]) if task.get("type") in kinds else -1
    if not 0 <= worker < len(addresses):
        raise UserError(f"TF_CONFIG names no worker of its cluster: its task is {json.dumps(task)}.")
    print(f"Worker {worker} of {len(addresses)} waits for all, at {addresses[worker][1]}; worker 0 writes.", flush=True)
    with environment.quiet():
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Distribution(strategy, worker, len(addresses))


def _addresses() -> list[tuple[str, str]]:
    """Kind and address of each worker, the chief first; none without a cluster."""
    if "TF_CONFIG" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        os.environ["TF_CONFIG"] = json.dumps(_of_slurm())
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        return [(kind, address) for kind in ("chief", "worker") for address in cluster.get(kind, ())]
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"TF_CONFIG is no JSON of a cluster and a task: {error}.") from error


def _of_slurm() -> dict[str, Any]:
    """What TF_CONFIG would say of this step of SLURM.

    Raises:
        UserError: if TensorFlow would number its nodes otherwise than SLURM does.
    """
    job = int(os.environ.get("SLURM_JOB_ID", "0"))
    options: dict[str, Any] = {"port_base": _FIRST_PORT + 8 * job % _PORTS}
    if not tf.config.list_physical_devices("GPU"):
        # The resolver asks nvidia-smi; it is told of as many devices as there are tasks, and touches none.
        options |= {"gpus_per_node": int(os.environ["SLURM_STEP_NUM_TASKS"]), "gpus_per_task": 1, "auto_set_gpu": False}
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(**options)
    workers = resolver.cluster_spec().as_dict()["worker"]
    kind, index = resolver.get_task_info()
    here, there = os.environ.get("SLURMD_NODENAME", ""), workers[index].rpartition(":")[0]
    if here and here != there:
        raise UserError(
            f"TensorFlow sorts nodes as text, so worker {index} would be on {there}, but SLURM has put it on {here}; "
            "set TF_CONFIG, as kerastag/training/README.md shows."
        )
    return {"cluster": {"worker": workers}, "task": {"type": kind, "index": index}}
