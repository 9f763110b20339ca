import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.legacy.arrays import fill, frozen_graph, keras_h5, torch_onnx

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


@pytest.fixture
def onnx_file(tmp_path):
    """What PyTorch makes of a linear layer, a convolution and attention; kernels of two operations have lost their names."""
    onnx = pytest.importorskip("onnx")
    stored = {
        "linear.weight": KERNEL.T,
        "linear.bias": np.ones(3, np.float32),
        "onnx::Conv_1": KERNEL.T[..., None],
        "onnx::Conv_2": np.full(3, 2, np.float32),
        "onnx::MatMul_3": np.concatenate([KERNEL, KERNEL + 1, KERNEL + 2], axis=1),
        "attention.in_proj_bias": np.arange(9, dtype=np.float32),
        "attention.out_proj.weight": KERNEL.T,
        "double.weight": KERNEL.T.astype(np.float64),
        "norm.running_var": np.full(3, 4, np.float32),
    }
    nodes = [
        onnx.helper.make_node("Conv", ["x", "onnx::Conv_1", "onnx::Conv_2"], ["y"], name="/block/conv.0/Conv"),
        onnx.helper.make_node("MatMul", ["y", "onnx::MatMul_3"], ["z"], name="/attention/MatMul"),
    ]
    tensors = [onnx.numpy_helper.from_array(values, name) for name, values in stored.items()]
    graph = onnx.helper.make_graph(nodes, "graph", [], [], tensors)
    graph.initializer.append(onnx.TensorProto(name="huge.bias", dims=[1_000_000_000], data_type=1, raw_data=b"0000"))
    (tmp_path / "model.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return tmp_path / "model.onnx"


@pytest.mark.parametrize(
    ("layer", "weight", "expected"),
    [
        ("linear", "kernel", KERNEL),
        ("linear", "bias", np.ones(3)),
        ("block.conv.0", "kernel", KERNEL),
        ("block.conv.0", "bias", np.full(3, 2)),
        ("attention", "query/kernel", KERNEL),
        ("attention", "value/kernel", KERNEL + 2),
        ("attention", "key/bias", np.arange(3, 6)),
        ("attention", "projection/kernel", KERNEL),
        ("norm", "moving_variance", np.full(3, 4)),
    ],
)
def test_weights_of_torch_by_the_operation_that_uses_them(onnx_file, layer, weight, expected):
    np.testing.assert_array_equal(torch_onnx(onnx_file)(layer, weight, expected.shape), expected)


@pytest.mark.parametrize(
    ("layer", "weight", "shape", "message"),
    [
        ("linear", "kernel", (3, 2), r"'linear\.weight' of shape \(2, 3\) is needed, but it is \(3, 2\)"),
        ("absent", "bias", (3,), r"'absent\.bias' .* is missing"),
        ("double", "kernel", (2, 3), r"float32 'double\.weight'"),
        ("huge", "bias", (1_000_000_000,), "is another network"),
    ],
)
def test_wrong_weights_of_torch_are_refused(onnx_file, layer, weight, shape, message):
    with pytest.raises(UserError, match=message):
        torch_onnx(onnx_file)(layer, weight, shape)


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
    with pytest.raises(UserError, match="not an ONNX file"):
        torch_onnx(tmp_path / "bad")


def test_fill_sets_and_freezes():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="dense")(inputs))
    fill(model, lambda layer, weight, shape: KERNEL if weight == "kernel" else np.ones(shape, np.float32))
    np.testing.assert_array_equal(model(np.eye(2, dtype=np.float32)), KERNEL + 1)
    assert not model.trainable_variables
