"""Weights by name out of the files of trained networks: TensorFlow's frozen graphs and Keras' HDF5.

Nothing in a file is run: arrays are read, of the shape that is asked for, and all else is ignored.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from kerastag.errors import UserError

# Gives the array of a layer's weight: (layer, weight, shape) -> float32 of that shape.
Source = Callable[[str, str, tuple[int, ...]], np.ndarray]


def frozen_graph(path: Path) -> Source:
    """Constants of a frozen TensorFlow graph, called `layer/weight`.

    Raises:
        UserError: if the file is none.
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
        found = None if tensor is None else tuple(dim.size for dim in tensor.tensor_shape.dim)
        # A short tensor would be filled up to its shape, so its bytes are counted.
        whole = tensor is not None and len(tensor.tensor_content) in (0, 4 * int(np.prod(shape)))
        if found != shape or tensor.dtype != types_pb2.DT_FLOAT or not whole:
            raise _wrong(path, name, shape, found)
        return make_ndarray(tensor)

    return get


def keras_h5(path: Path) -> Source:
    """Weights of a model that Keras 2 saved as HDF5.

    Raises:
        UserError: if the file is none.
    """
    import h5py

    def get(layer: str, weight: str, shape: tuple[int, ...]) -> np.ndarray:
        name = f"model_weights/{layer}/{layer}/{weight}:0"
        with h5py.File(path, "r") as file:
            data = file.get(name)
            found = data.shape if isinstance(data, h5py.Dataset) else None
            if found != shape or data.dtype != np.float32:
                raise _wrong(path, name, shape, found)
            return data[()]

    if not h5py.is_hdf5(path):
        raise UserError(f"'{path}' is not an HDF5 file, or it is damaged.")
    return get


def _wrong(path: Path, name: str, shape: tuple[int, ...], found: tuple[int, ...] | None) -> UserError:
    there = "is missing" if found is None else f"is {found}"
    return UserError(f"'{path}' is another network: float32 '{name}' of shape {shape} is needed, but it {there}.")


def fill(model: keras.Model, source: Source) -> None:
    """Set every weight of the model from the array of the same layer and name, and freeze the model.

    Raises:
        UserError: if one is missing, or of another shape or type.
    """
    for layer in model.layers:
        layer.set_weights([source(layer.name, weight.name, tuple(weight.shape)) for weight in layer.weights])
    model.trainable = False
