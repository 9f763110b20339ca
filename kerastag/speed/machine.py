"""What was measured on: processor, threads, versions."""

import os
import platform
from pathlib import Path

import keras
import tensorflow as tf

import kerastag


def threads() -> int:
    """Threads within an operation that TensorFlow was given, by configuration or environment; 0 for as many as there are."""
    return tf.config.threading.get_intra_op_parallelism_threads() or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)


def processor() -> str:
    """Its name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def description() -> str:
    """A sentence."""
    count = threads() or os.cpu_count()
    gpus = len(tf.config.list_physical_devices("GPU"))
    return (
        f"{processor()}, {count} thread{'' if count == 1 else 's'} of {os.cpu_count()} cores"
        f"{f', {gpus} GPU' if gpus else ''}; kerastag {kerastag.__version__}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}, Python {platform.python_version()}."
    )
