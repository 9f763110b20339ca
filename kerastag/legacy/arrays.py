"""Weights by name from the files of trained networks: frozen graphs of TensorFlow, HDF5 files of Keras, ONNX files of PyTorch.

Only arrays of the expected names and shapes are read. Nothing in a file is run.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerastag.errors import UserError

# (layer, weight below it, shape) -> float32 array of that shape. Weights of parts of a layer have the part before a slash.
Source = Callable[[str, str, tuple[int, ...]], np.ndarray]


def frozen_graph(path: Path) -> Source:
    """Constants of a frozen TensorFlow graph, called `layer/weight`.

    Raises:
        UserError: if the file is not a frozen graph.
    """
    from google.protobuf.message import DecodeError
    from tensorflow import make_ndarray
    from tensorflow.core.framework import graph_pb2, types_pb2

    graph = graph_pb2.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise UserError(f"'{path}' is not a frozen graph of TensorFlow, or it is damaged.") from error
    constants = {node.name: node.attr["value"].tensor for node in graph.node if node.op == "Const"}

    def get(layer: str, weight: str, shape: tuple[int, ...]) -> np.ndarray:
        name = f"{layer}/{_last(weight)}"
        tensor = constants.get(name)
        if tensor is None:
            raise _wrong_network(path, name, shape, "is missing")
        stored_shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
        # make_ndarray fills a tensor with too few bytes up to its shape, however large that is.
        complete = len(tensor.tensor_content) in (0, 4 * int(np.prod(shape)))
        if stored_shape != shape or tensor.dtype != types_pb2.DT_FLOAT or not complete:
            raise _wrong_network(path, name, shape, f"is {stored_shape}")
        return make_ndarray(tensor)

    return get


def keras_h5(path: Path) -> Source:
    """Weights of a model that Keras 2 saved as HDF5.

    Raises:
        UserError: if the file is not HDF5.
    """
    import h5py

    def get(layer: str, weight: str, shape: tuple[int, ...]) -> np.ndarray:
        name = f"model_weights/{layer}/{layer}/{_last(weight)}:0"
        with h5py.File(path, "r") as file:
            data = file.get(name)
            if not isinstance(data, h5py.Dataset):
                raise _wrong_network(path, name, shape, "is missing")
            if data.shape != shape or data.dtype != np.float32:
                raise _wrong_network(path, name, shape, f"is {data.shape}")
            return data[()]

    if not h5py.is_hdf5(path):
        raise UserError(f"'{path}' is not an HDF5 file, or it is damaged.")
    return get


def _last(weight: str) -> str:
    return weight.rpartition("/")[2]


# Names of Keras for weights of PyTorch.
_TORCH = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_IN_PROJECTION = ("query", "key", "value")


def torch_onnx(path: Path) -> Source:
    """Weights of a network of PyTorch that was exported to ONNX; layers have the names of its modules.

    Exports lose the names of kernels that they transpose or fold. These are found by the operation that uses them.

    Raises:
        UserError: if the file is not ONNX, or onnx is not installed.
    """
    graph = _onnx_graph(path)
    stored = {tensor.name: tensor for tensor in graph.initializer}
    inputs = {node.name.strip("/").replace("/", "."): list(node.input) for node in graph.node}

    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return _onnx_array(path, stored.get(name), name, shape)

    def kernel(layer: str, shape: tuple[int, ...]) -> np.ndarray:
        if product := inputs.get(f"{layer}.MatMul"):
            return read(product[1], shape)
        if convolution := inputs.get(f"{layer}.Conv"):
            return read(convolution[1], (*shape[::-1], 1))[..., 0].T
        return read(f"{layer}.weight", shape[::-1]).T

    def projection(layer: str, part: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
        """A third of what makes queries, keys and values at once."""
        width = (*shape[:-1], 3 * shape[-1])
        if kind == "bias":
            whole = read(f"{layer}.in_proj_bias", width)
        elif f"{layer}.in_proj_weight" in stored:
            whole = read(f"{layer}.in_proj_weight", width[::-1]).T
        else:
            whole = kernel(layer, width)
        return np.split(whole, 3, axis=-1)[_IN_PROJECTION.index(part)]

    def get(layer: str, weight: str, shape: tuple[int, ...]) -> np.ndarray:
        part, _, kind = weight.rpartition("/")
        if part in _IN_PROJECTION:
            return projection(layer, part, kind, shape)
        layer = f"{layer}.out_proj" if part == "projection" else layer
        if kind == "kernel":
            return kernel(layer, shape)
        if kind == "token":
            return read(layer, shape)
        convolution = inputs.get(f"{layer}.Conv")
        return read(convolution[2] if convolution else f"{layer}.{_TORCH.get(kind, kind)}", shape)

    return get


def _onnx_graph(path: Path) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise UserError("Weights in ONNX files need more packages: install kerastag with the extra 'onnx'.") from error
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(path.read_bytes()).graph
    except DecodeError as error:
        raise UserError(f"'{path}' is not an ONNX file, or it is damaged.") from error


def _onnx_array(path: Path, tensor: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A float32 tensor, whose bytes lie in the file itself."""
    from onnx import TensorProto

    if tensor is None:
        raise _wrong_network(path, name, shape, "is missing")
    complete = len(tensor.raw_data) == 4 * int(np.prod(shape))
    if tuple(tensor.dims) != shape or tensor.data_type != TensorProto.FLOAT or not complete:
        raise _wrong_network(path, name, shape, f"is {tuple(tensor.dims)}")
    return np.frombuffer(tensor.raw_data, "<f4").reshape(shape)


def _wrong_network(path: Path, name: str, shape: tuple[int, ...], problem: str) -> UserError:
    return UserError(f"'{path}' is another network: float32 '{name}' of shape {shape} is needed, but it {problem}.")


def fill(model: keras.Model, source: Source) -> None:
    """Set every weight of a model from the array of the same layer and name, and freeze the model.

    Args:
        model: The model, whose layers have the names of the source.
        source: Arrays of the weights.

    Raises:
        UserError: if an array is missing, or has another shape or type.
    """
    for layer in model.layers:
        names = [weight.path.removeprefix(f"{layer.name}/") for weight in layer.weights]
        shapes = [tuple(weight.shape) for weight in layer.weights]
        layer.set_weights([source(layer.name, *weight) for weight in zip(names, shapes, strict=True)])
    model.trainable = False
