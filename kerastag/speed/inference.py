"""Inference with a tagger in each of its formats."""

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerastag import saving
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.saving.onnx import export_onnx
from kerastag.speed import machine
from kerastag.speed.clock import Clock
from kerastag.speed.products import FORWARD, Products, flop, sgemm
from kerastag.speed.rows import Row, row

# From features to logits, `(jets, …)` each.
Inference = Callable[[np.ndarray], np.ndarray]
XLA = "SavedModel, XLA"


def formats(model: keras.Model, saved_model: Path, onnx_file: Path) -> dict[str, Inference]:
    """A tagger in each format, by name.

    Args:
        model: From raw features to logits.
        saved_model: Folder of the same as a SavedModel.
        onnx_file: The same as ONNX; where there is no such file, ONNX Runtime is left out.
    """
    graph = tf.function(lambda jets: model(jets, training=False), reduce_retracing=True)
    loaded = tf.saved_model.load(str(saved_model))
    compiled = tf.function(lambda jets: loaded.logits(jets), jit_compile=True)
    found: dict[str, Inference] = {
        "Keras": lambda x: graph(tf.constant(x)).numpy(),
        "SavedModel": lambda x: loaded.logits(tf.constant(x)).numpy(),
        XLA: lambda x: compiled(tf.constant(x)).numpy(),
    }
    if onnx_file.is_file():
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = machine.threads()
        session = onnxruntime.InferenceSession(str(onnx_file), options, providers=["CPUExecutionProvider"])
        found["ONNX Runtime"] = lambda x: session.run(["logits"], {"features": x})[0]
    return found


def rows(dataset: JetDataset, tagger: keras.Model, batch_sizes: Sequence[int], clock: Clock) -> Iterator[Row]:
    """Speeds of a tagger by format and batch size; says so where ONNX is left out.

    Args:
        dataset: Of the tagger's inputs; its training jets are used, several times where a batch is larger.
        tagger: From raw features to logits.
        batch_sizes: Jets in a call.
        clock: How to measure.
    """
    features = dataset.arrays("train").features
    with tempfile.TemporaryDirectory() as scratch:
        saved_model, onnx_file = Path(scratch) / "saved_model", Path(scratch) / "tagger.onnx"
        saving.export(tagger, dataset.schema, dataset.statistics, saved_model)
        if (reason := _without_onnx(tagger, dataset, onnx_file)) is not None:
            print(f"ONNX Runtime is not timed: {reason}")
        calls = formats(tagger, saved_model, onnx_file)
        for size in batch_sizes:
            x = np.take(features, np.arange(size) % len(features), axis=0)
            actions = {name: functools.partial(call, x) for name, call in calls.items()}
            seconds = clock.in_turns(actions | Products(tagger, size).actions(FORWARD) | {"sgemm": sgemm(tagger, size)})
            limit = size / min(seconds["sgemm"], Products.seconds(FORWARD, seconds))
            for name in calls:
                speed = size / seconds[name]
                yield row(
                    f"{name}, {size:,}", speed, limit, "its matrix products, by NumPy or TensorFlow", flop(tagger, FORWARD)
                )


def _without_onnx(tagger: keras.Model, dataset: JetDataset, file: Path) -> str | None:
    """Write a tagger as ONNX, or say why that or its runtime is not there."""
    try:
        import onnxruntime  # noqa: F401

        export_onnx(tagger, dataset.schema, file)
    except ImportError as error:
        return f"{error.name} is missing; install kerastag with the extra 'onnx'."
    except UserError as error:
        return str(error)
    return None
