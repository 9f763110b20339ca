"""Sequential networks of lwtnn (github.com/lwtnn/lwtnn), the JSON format of small networks of CMS and ATLAS.

The first layer gets (x + offset)·scale, where a value that is not finite becomes the input's default first. A dense layer is
activation(W·x + b), with W stored row by row, `(outputs, inputs)`. A normalisation layer is (x + b)·W, element by element.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.layers import ClassLogits, LwtnnInputs

# For comparison, the largest file of CMS has 1.4 MB.
LARGEST_FILE = 64_000_000
ACTIVATIONS = {
    "rectified": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "elu": "elu",
    "linear": "linear",
    "softmax": "softmax",
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """A dense or normalisation layer.

    Attributes:
        architecture: "dense" or "normalization".
        weights: `(inputs, outputs)` of a dense layer, else `(inputs,)`.
        bias: `(outputs,)`.
        activation: A key of `ACTIVATIONS`; "linear" for a normalisation.
        alpha: Slope parameter of elu.
    """

    architecture: str
    weights: np.ndarray
    bias: np.ndarray
    activation: str = "linear"
    alpha: float = 1.0


@dataclasses.dataclass(frozen=True)
class Network:
    """The content of a file, after checks.

    Attributes:
        inputs: Names of the inputs, in order.
        offset, scale: float32 `(inputs,)`.
        defaults: float32 `(inputs,)`, replacements of values that are not finite; NaN for an input without a default.
        layers: Layers, in order.
        outputs: Names of the outputs, in order.
    """

    inputs: tuple[str, ...]
    offset: np.ndarray
    scale: np.ndarray
    defaults: np.ndarray
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]


def read(path: str | Path) -> Network:
    """Read and check a file.

    Args:
        path: The JSON file.

    Raises:
        UserError: if it cannot be read, is not a sequential network of lwtnn, or has sizes that do not match.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"'{path}' has {path.stat().st_size:,} bytes; a network of lwtnn has at most {LARGEST_FILE:,}.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"'{path}' is not JSON, or it is truncated: {error}.") from error
    try:
        return _network(content)
    except UserError as error:
        raise UserError(f"'{path}' is not a sequential network of lwtnn: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"'{path}' is not a sequential network of lwtnn: {type(error).__name__} {error}.") from error


def _network(content: dict[str, Any]) -> Network:
    inputs, outputs = tuple(entry["name"] for entry in content["inputs"]), tuple(content["outputs"])
    for kind, names in (("inputs", inputs), ("outputs", outputs)):
        if not names or len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
            raise UserError(f"its {kind} do not have unique names.")
    layers = _layers(content["layers"], len(inputs), len(outputs))
    defaults = content.get("defaults", {})
    return Network(
        inputs,
        _numbers([entry["offset"] for entry in content["inputs"]], len(inputs), "offsets"),
        _numbers([entry["scale"] for entry in content["inputs"]], len(inputs), "scales"),
        np.array([defaults.get(name, np.nan) for name in inputs], np.float32),
        layers,
        outputs,
    )


def _layers(entries: list[dict[str, Any]], inputs: int, outputs: int) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    width = inputs
    for number, entry in enumerate(entries):
        layers.append(_layer(entry, width, f"layer {number}"))
        width = len(layers[-1].bias)
    if width != outputs:
        raise UserError(f"its last layer has {width} outputs, but {outputs} are named.")
    if any(layer.activation == "softmax" for layer in layers[:-1]):
        raise UserError("there is a softmax before the last layer.")
    return tuple(layers)


def _layer(entry: dict[str, Any], inputs: int, name: str) -> Layer:
    architecture = entry["architecture"]
    bias = _numbers(entry["bias"], len(entry["bias"]), f"biases of {name}")
    if architecture == "normalization":
        weights = _numbers(entry["weights"], inputs, f"weights of {name}")
        if len(bias) != inputs:
            raise UserError(f"{name} normalises {len(bias)} of {inputs} values.")
        return Layer(architecture, weights, bias)
    if architecture != "dense":
        raise UserError(f"{name} is of the kind '{architecture}'; 'dense' and 'normalization' can be read.")
    weights = _numbers(entry["weights"], inputs * len(bias), f"weights of {name}").reshape(len(bias), inputs).T
    activation, alpha = entry["activation"], 1.0
    if isinstance(activation, dict):
        activation, alpha = activation["function"], float(activation.get("alpha", 1.0))
    if activation not in ACTIVATIONS:
        raise UserError(f"{name} has the activation '{activation}'; known are {', '.join(ACTIVATIONS)}.")
    return Layer(architecture, weights, bias, activation, alpha)


def _numbers(values: list[float], count: int, quantity: str) -> np.ndarray:
    """Finite values, float32 `(count,)`; a `UserError` otherwise."""
    numbers = np.asarray(values, np.float32)
    if numbers.shape != (count,):
        raise UserError(f"there are {numbers.size} {quantity} where {count} are needed.")
    if not np.isfinite(numbers).all():
        raise UserError(f"some {quantity} are not finite.")
    return numbers


def build(network: Network, absent: np.ndarray | None = None, name: str = "lwtnn") -> keras.Model:
    """A tagger from raw inputs in the file's order, `(batch, inputs)`, to logits.

    Its classes have the names of the outputs, without the prefix "prob" of CMS. A final softmax is left out. A single output
    behind a sigmoid becomes two logits, of which the first is 0; their softmax is the sigmoid.

    Args:
        network: The network, from `read`.
        absent: `(inputs,)`, values that become the file's default, as those that are not finite do. None for no such values.
        name: Name of the model.

    Raises:
        UserError: if the outputs are not the probabilities or logits of classes.
    """
    absent = np.full(len(network.inputs), np.nan) if absent is None else absent
    inputs = keras.Input((len(network.inputs),), name="features")
    scaled = LwtnnInputs(network.inputs, network.offset, network.scale, network.defaults, absent, name="inputs")
    x = scaled(inputs)
    for number, layer in enumerate(network.layers):
        x = _apply(layer, x, is_last=number == len(network.layers) - 1)
    classes = tuple(output.removeprefix("prob") for output in network.outputs)
    activation = network.layers[-1].activation
    if activation == "sigmoid" and len(classes) == 1:
        x = keras.layers.ZeroPadding1D((1, 0))(x[:, :, None])[:, :, 0]
        classes = (f"not {classes[0]}", *classes)
    elif activation not in ("softmax", "linear"):
        raise UserError(
            f"The outputs {', '.join(network.outputs)} pass '{activation}', so they are not the probabilities of classes."
        )
    return keras.Model(inputs, ClassLogits(classes, name="logits")(x), name=name)


def _apply(layer: Layer, x: tf.Tensor, is_last: bool) -> tf.Tensor:
    """Output of a layer on `x`; a final softmax or sigmoid is left out."""
    if layer.architecture == "normalization":
        return (x + layer.bias) * layer.weights
    dense = keras.layers.Dense(len(layer.bias))
    x = dense(x)
    dense.set_weights([layer.weights, layer.bias])
    if layer.activation == "linear" or (is_last and layer.activation in ("softmax", "sigmoid")):
        return x
    if layer.activation == "elu":
        return keras.layers.ELU(layer.alpha)(x)
    return keras.layers.Activation(ACTIVATIONS[layer.activation])(x)
