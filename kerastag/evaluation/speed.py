"""How fast a tagger is: in inference, in each format, and one step of training against its own forward and backward pass."""

import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

# Timings of which the best counts.
_REPEATS = 3


def best_time(function: Callable[[], object]) -> float:
    """Least seconds of some calls, behind one that may trace."""
    function()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def inference(model: keras.Model, saved_model: Path, onnx_file: Path, x: np.ndarray) -> dict[str, float]:
    """Jets/s of a tagger by format, all jets in one batch.

    Args:
        model: From raw features to logits.
        saved_model: Folder of the same as a SavedModel.
        onnx_file: The same as ONNX; where there is no such file, ONNX Runtime is left out.
        x: Features `(jets, features)`.
    """
    jets = tf.constant(x)
    graph = tf.function(lambda jets: model(jets, training=False))
    loaded = tf.saved_model.load(str(saved_model))
    calls: dict[str, Callable[[], object]] = {
        "Keras": lambda: graph(jets).numpy(),
        "SavedModel": lambda: loaded.logits(jets).numpy(),
    }
    if onnx_file.is_file():
        import onnxruntime

        session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
        calls["ONNX Runtime"] = lambda: session.run(["logits"], {"features": x})
    return {name: len(x) / best_time(call) for name, call in calls.items()}


def forward_backward(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """Jets/s of a tagger's forward and backward pass in its weights, all jets in one batch.

    Args:
        model: From raw features to logits.
        x: Features `(jets, features)`.
        y: One-hot labels `(jets, classes)`.
    """
    jets, labels = tf.constant(x), tf.constant(y)

    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, model(jets, training=True)))
        return tape.gradient(loss, model.trainable_variables)

    return len(x) / best_time(lambda: gradients()[0].numpy())
