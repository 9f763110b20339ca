"""Sequential networks of lwtnn (github.com/lwtnn/lwtnn), the JSON format in which CMS and ATLAS ran small networks.

An input enters as (x + offset)·scale; a value that is not finite becomes the input's default first. A dense layer is
activation(W·x + b), W stored row by row, `(outputs, inputs)`; a normalisation layer is (x + b)·W, element by element.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerastag.errors import UserError
from kerastag.layers import ClassLogits, LwtnnInputs

# The largest file of CMS has 1.4 MB.
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
        activation: Key of `ACTIVATIONS`; "linear" for a normalisation.
        alpha: Of elu.
    """

    architecture: str
    weights: np.ndarray
    bias: np.ndarray
    activation: str = "linear"
    alpha: float = 1.0


@dataclasses.dataclass(frozen=True)
class Network:
    """The content of a file, checked.

    Attributes:
        inputs: Names of the inputs, in order.
        offset, scale: float32 `(inputs,)`.
        defaults: float32 `(inputs,)`, what stands for a value that is not finite; NaN where the file says nothing.
        layers: In order.
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

    Raises:
        UserError: if it cannot be read, is no sequential lwtnn network, or its sizes do not fit together.
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
    names, outputs = tuple(entry["name"] for entry in content["inputs"]), tuple(content["outputs"])
    for kind, listed in (("inputs", names), ("outputs", outputs)):
        if not listed or len(set(listed)) != len(listed) or not all(isinstance(name, str) for name in listed):
            raise UserError(f"its {kind} have no names of their own.")
    layers: list[Layer] = []
    width = len(names)
    for number, entry in enumerate(content["layers"]):
        layers.append(_layer(entry, width, f"layer {number}"))
        width = len(layers[-1].bias)
    if width != len(outputs):
        raise UserError(f"its last layer has {width} outputs, but {len(outputs)} are named.")
    if any(layer.activation == "softmax" for layer in layers[:-1]):
        raise UserError("there is a softmax before the last layer.")
    defaults = content.get("defaults", {})
    return Network(
        names,
        _numbers([entry["offset"] for entry in content["inputs"]], len(names), "offsets"),
        _numbers([entry["scale"] for entry in content["inputs"]], len(names), "scales"),
        np.array([defaults.get(name, np.nan) for name in names], np.float32),
        tuple(layers),
        outputs,
    )


def _layer(entry: dict[str, Any], inputs: int, where: str) -> Layer:
    architecture = entry["architecture"]
    bias = _numbers(entry["bias"], len(entry["bias"]), f"biases of {where}")
    if architecture == "normalization":
        return Layer(architecture, _numbers(entry["weights"], inputs, f"weights of {where}"), _same(bias, inputs, where))
    if architecture != "dense":
        raise UserError(f"{where} is of the kind '{architecture}'; 'dense' and 'normalization' can be read.")
    weights = _numbers(entry["weights"], inputs * len(bias), f"weights of {where}").reshape(len(bias), inputs).T
    activation, alpha = entry["activation"], 1.0
    if isinstance(activation, dict):
        activation, alpha = activation["function"], float(activation.get("alpha", 1.0))
    if activation not in ACTIVATIONS:
        raise UserError(f"{where} has the activation '{activation}'; known are {', '.join(ACTIVATIONS)}.")
    return Layer(architecture, weights, bias, activation, alpha)


def _numbers(values: list[float], count: int, what: str) -> np.ndarray:
    """float32 `(count,)`, finite; a `UserError` otherwise."""
    found = np.asarray(values, np.float32)
    if found.shape != (count,):
        raise UserError(f"there are {found.size} {what} where {count} are needed.")
    if not np.isfinite(found).all():
        raise UserError(f"some {what} are not finite.")
    return found


def _same(bias: np.ndarray, inputs: int, where: str) -> np.ndarray:
    if len(bias) != inputs:
        raise UserError(f"{where} normalises {len(bias)} of {inputs} values.")
    return bias


def build(network: Network, absent: np.ndarray | None = None, name: str = "lwtnn") -> keras.Model:
    """A tagger from raw inputs in the file's order, `(batch, inputs)`, to logits.

    Its classes have the names of the outputs, without the "prob" that CMS puts before them. A final softmax is left out. A
    single output behind a sigmoid becomes the second of two logits, the first being 0, whose softmax is the sigmoid.

    Args:
        network: What `read` gives.
        absent: `(inputs,)`, values for which the file's default stands in; None if there are none but those not finite.
        name: Of the model.

    Raises:
        UserError: if the outputs are not the probabilities or logits of classes.
    """
    absent = np.full(len(network.inputs), np.nan) if absent is None else absent
    inputs = keras.Input((len(network.inputs),), name="features")
    scaled = LwtnnInputs(network.inputs, network.offset, network.scale, network.defaults, absent, name="inputs")
    x = scaled(inputs)
    for number, layer in enumerate(network.layers):
        x = _apply(layer, x, last=number == len(network.layers) - 1)
    classes = tuple(output.removeprefix("prob") for output in network.outputs)
    last = network.layers[-1].activation
    if last == "sigmoid" and len(classes) == 1:
        x = keras.layers.ZeroPadding1D((1, 0))(x[:, :, None])[:, :, 0]
        classes = (f"not {classes[0]}", *classes)
    elif last not in ("softmax", "linear"):
        raise UserError(
            f"The outputs {', '.join(network.outputs)} pass '{last}', so they are not the probabilities of classes."
        )
    return keras.Model(inputs, ClassLogits(classes, name="logits")(x), name=name)


def _apply(layer: Layer, x, last: bool):
    """The layer behind x, without a final softmax or sigmoid."""
    if layer.architecture == "normalization":
        return (x + layer.bias) * layer.weights
    strip = last and layer.activation in ("softmax", "sigmoid")
    dense = keras.layers.Dense(len(layer.bias))
    x = dense(x)
    dense.set_weights([layer.weights, layer.bias])
    if strip or layer.activation == "linear":
        return x
    if layer.activation == "elu":
        return keras.layers.ELU(layer.alpha)(x)
    return keras.layers.Activation(ACTIVATIONS[layer.activation])(x)
