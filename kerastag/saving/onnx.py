"""Taggers as ONNX, the format in which CMS runs networks, and the proof that every format of a tagger says the same."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.files import replaced
from kerastag.layers.class_logits import class_names
from kerastag.layers.memory import batches
from kerastag.layers.precision import precisions
from kerastag.schema import Schema

# Of the operators; what CMSSW's ONNX Runtime knows.
_OPSET = 15


def export_onnx(tagger: keras.Model, schema: Schema, path: Path) -> None:
    """Write a tagger as ONNX.

    Its input is `features`, float32 `(batch, features)`, its outputs are `logits` and `probabilities`, `(batch, classes)`.
    Names of features and classes travel in the file's metadata, as JSON lists; the classes are those of the schema, unless the
    tagger says otherwise by `ClassLogits`.

    Raises:
        UserError: if the extra `onnx` is not installed, or the tagger has not a logit for each class or layers of 16 bits.
    """
    if rounded := precisions(tagger):
        raise UserError(
            f"'{tagger.name}' computes in {next(iter(rounded.values()))}, which ONNX Runtime rounds otherwise or not at all on "
            "CPUs; give its SavedModel, or train it without 'mixed'."
        )
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise UserError(
            f"ONNX needs more packages ({error.name} is missing): install kerastag with the extra 'onnx'."
        ) from error

    classes = class_names(tagger, schema.class_names)

    def outputs(features: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tagger(features, training=False)
        return {"logits": tf.identity(logits, "logits"), "probabilities": tf.nn.softmax(logits)}

    signature = [tf.TensorSpec((None, len(schema.features)), tf.float32, name="features")]
    handlers: dict[str, Any] = {"Erfc": (_erfc, []), "Log1p": (_log1p, []), "SelectV2": (_where, [])}
    function = tf.function(outputs, input_signature=signature)
    model, _ = tf2onnx.convert.from_function(function, signature, opset=_OPSET, custom_op_handlers=handlers)
    _store_constants(model, function.get_concrete_function())
    onnx.helper.set_model_props(
        model, {"features": json.dumps(schema.names), "classes": json.dumps(classes), "schema": schema.name}
    )
    with replaced(Path(path)) as new:
        onnx.save(model, new)


def _store_constants(model: Any, function: Any) -> None:
    """Give constants that layers keep, such as the means of `Normalization`, their values; tf2onnx makes them inputs."""
    import onnx

    values = {inside.name: outside for outside, inside in function.graph.captures if outside.dtype != tf.resource}
    used = {name for node in model.graph.node for name in node.input}
    for unset in [value for value in model.graph.input if value.name in values]:
        model.graph.input.remove(unset)
        if unset.name in used:
            model.graph.initializer.append(onnx.numpy_helper.from_array(values[unset.name].numpy(), unset.name))


def _log1p(context: Any, node: Any, name: str, args: list) -> None:
    """log(1 + x), which ONNX has no operator for; tf2onnx calls this for each such node."""
    total = context.make_node("Add", [node.input[0], _one(context, node)])
    _replace(context, node, "Log", total.output)


def _erfc(context: Any, node: Any, name: str, args: list) -> None:
    """1 - erf(x), which GELU needs and ONNX has no operator for."""
    error = context.make_node("Erf", [node.input[0]])
    _replace(context, node, "Sub", [_one(context, node), *error.output])


def _one(context: Any, node: Any) -> str:
    return context.make_const(f"{node.name}_one", np.ones((), np.float32)).output[0]


def _replace(context: Any, node: Any, kind: str, inputs: Sequence[str]) -> None:
    """Another operation in the place of a node."""
    shapes, types = [context.get_shape(node.output[0])], [context.get_dtype(node.output[0])]
    context.remove_node(node.name)
    context.make_node(kind, inputs, outputs=node.output, name=node.name, shapes=shapes, dtypes=types)


def _where(context: Any, node: Any, name: str, args: list) -> None:
    """A choice between two values as one; tf2onnx would add up both, one of them times 0, and so let NaN through."""
    node.type = "Where"


def parity(tagger: keras.Model, saved_model: Path, onnx_file: Path, x: np.ndarray) -> dict[str, float]:
    """Largest difference of probabilities between Keras and each export, on jets `(jets, features)`."""
    import onnxruntime

    parts = [part for (part,) in batches(tagger, x)]
    expected = tf.nn.softmax(tagger.predict(x, batch_size=len(parts[0]), verbose=0)).numpy()
    loaded = tf.saved_model.load(str(saved_model))  # owns the variables, so it must outlive the call
    saved = np.concatenate([loaded.probabilities(tf.constant(part)).numpy() for part in parts])
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    onnx = np.concatenate([session.run(["probabilities"], {"features": part})[0] for part in parts])
    return {"SavedModel": float(abs(saved - expected).max()), "ONNX": float(abs(onnx - expected).max())}
