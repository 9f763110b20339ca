import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.legacy.arrays import fill, frozen_graph, keras_h5

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def graph(tmp_path):
    """A graph with a valid kernel, a bias that claims more values than it has, and an array of doubles."""
    with tf.Graph().as_default() as graph:
        tf.constant(KERNEL, name="dense/kernel")
        tf.constant(np.ones(3), name="dense/double")
        tf.constant([1.0, 2.0, 3.0], name="dense/bias")
    proto = graph.as_graph_def()
    for node in proto.node:
        if node.name == "dense/bias":
            node.attr["value"].tensor.tensor_shape.dim[0].size = 1_000_000_000
    (tmp_path / "graph.pb").write_bytes(proto.SerializeToString())
    return tmp_path / "graph.pb"


@pytest.fixture
def h5(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["model_weights/dense/dense/kernel:0"] = KERNEL
        file["model_weights/dense/dense/double:0"] = np.ones(3)
        file.create_group("model_weights/dense/dense/group:0")
    return tmp_path / "model.h5"


def test_arrays_by_name(graph, h5):
    for get in (frozen_graph(graph), keras_h5(h5)):
        np.testing.assert_array_equal(get("dense", "kernel", (2, 3)), KERNEL)


@pytest.mark.parametrize(
    ("weight", "shape", "message"),
    [
        ("kernel", (3, 2), r"\(2, 3\)"),
        ("absent", (3,), "is missing"),
        ("double", (3,), r"float32 .* of shape \(3,\) is needed"),
    ],
)
def test_wrong_shape_type_or_name_is_refused(graph, h5, weight, shape, message):
    for get in (frozen_graph(graph), keras_h5(h5)):
        with pytest.raises(UserError, match=message):
            get("dense", weight, shape)


def test_size_that_a_tensor_claims_is_not_allocated(graph):
    with pytest.raises(UserError, match="is another network"):
        frozen_graph(graph)("dense", "bias", (3,))
    with pytest.raises(UserError, match="is another network"):
        frozen_graph(graph)("dense", "bias", (1_000_000_000,))


def test_group_in_place_of_an_array_is_refused(h5):
    with pytest.raises(UserError, match="is missing"):
        keras_h5(h5)("dense", "group", (3,))


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "bad").write_bytes(b"\xff\xff\xff")
    with pytest.raises(UserError, match="not a frozen graph"):
        frozen_graph(tmp_path / "bad")
    with pytest.raises(UserError, match="not an HDF5 file"):
        keras_h5(tmp_path / "bad")


def test_fill_sets_and_freezes():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="dense")(inputs))
    fill(model, lambda layer, weight, shape: KERNEL if weight == "kernel" else np.ones(shape, np.float32))
    np.testing.assert_array_equal(model(np.eye(2, dtype=np.float32)), KERNEL + 1)
    assert not model.trainable_variables
