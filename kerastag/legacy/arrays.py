"""Weights by name from the files of trained networks: frozen graphs of TensorFlow and HDF5 files of Keras.

Only arrays of the expected names and shapes are read. Nothing in a file is run.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from kerastag.errors import UserError

# (layer, weight, shape) -> float32 array of that shape.
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
        name = f"{layer}/{weight}"
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
        name = f"model_weights/{layer}/{layer}/{weight}:0"
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
        layer.set_weights([source(layer.name, weight.name, tuple(weight.shape)) for weight in layer.weights])
    model.trainable = False
