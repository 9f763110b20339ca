"""A SavedModel may be arithmetic and nothing else, whatever TensorFlow can do."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

import kerastag
from kerastag.errors import UserError
from kerastag.saving import screen
from kerastag.saving.operations import DECLARATIONS, PURE

# Families of operations that reach out of a graph, by how TensorFlow names and declares them.
FAMILIES = {
    "files": r"File|^Save|^Restore|Checkpoint|Reader|WholeFile|^Read(?!VariableOp)|Record|Summary",
    "data sets": r"Dataset|Iterator",
    "tables": r"Table|Lookup",
    "network": r"^(Send|Recv|_Send|_Recv|Collective)|Rpc|DataService|Nccl",
    "debugging": r"Debug|Print",
    "python": r"PyFunc",
    "random": r"Random|Multinomial|Dropout",
    "changes of variables": r"^Assign(?!VariableOp$)|Resource(Apply|Scatter)|^Apply|^Scatter(?!Nd$|NdNonAliasing)",
    "queues and stages": r"Queue|Stage|Barrier|Mutex",
}


def registry() -> dict[str, op_def_pb2.OpDef]:
    """Every operation that this TensorFlow knows."""
    operations = op_def_pb2.OpList()
    operations.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {operation.name: operation for operation in operations.op}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A SavedModel as kerastag makes them, with a function inside a function."""
    folder = tmp_path_factory.mktemp("screen") / "saved_model"
    module = tf.Module()
    module.weights = tf.Variable([[1.0, 2.0], [0.5, -1.0]])
    inner = tf.function(lambda x: tf.sin(x) @ module.weights, autograph=False)
    module.logits = tf.function(lambda features: inner(features) + 1, input_signature=[tf.TensorSpec((None, 2))])
    signatures = {
        "logits": tf.function(lambda features: {"logits": module.logits(features)}).get_concrete_function(
            tf.TensorSpec((None, 2), name="features")
        )
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def changed(file, folder, change) -> None:
    """A copy of a SavedModel after `change` of its only graph."""
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((file / "saved_model.pb").read_bytes())
    change(proto.meta_graphs[0])
    (folder / "variables").mkdir(parents=True)
    for path in (file / "variables").iterdir():
        (folder / "variables" / path.name).write_bytes(path.read_bytes())
    (folder / "saved_model.pb").write_bytes(proto.SerializeToString())


def test_arithmetic_is_loaded(file):
    x = np.array([[0.3, 1.2]], np.float32)
    np.testing.assert_allclose(kerastag.load(file)(x), np.sin(x) @ [[1, 2], [0.5, -1]] + 1, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_that_reach_out_are_not_empty_and_none_is_known(family):
    """A new TensorFlow may rename them; then this test has to learn their names."""
    members = {name for name in registry() if re.search(FAMILIES[family], name)}
    assert len(members) > 2
    assert not members & PURE


def test_what_is_known_is_pure():
    """By TensorFlow's own declarations: no state but a variable's, no strings, resources for reading variables alone."""
    operations = registry()
    assert operations.keys() >= PURE | DECLARATIONS
    with_state = {name for name in PURE if operations[name].is_stateful}
    reading = {"DisableCopyOnRead", "ReadVariableOp", "ResourceGather", "ResourceGatherNd"}
    # CheckNumerics ends a computation, and leaves nothing behind; the others call functions, which are looked at themselves.
    assert with_state <= reading | {"Case", "CheckNumerics", "If", "StatefulPartitionedCall", "While"}
    for name in PURE:
        types = {argument.type for argument in (*operations[name].input_arg, *operations[name].output_arg)}
        assert types_pb2.DT_STRING not in types, name
        assert types_pb2.DT_RESOURCE not in types or name in with_state, name


@pytest.mark.parametrize("place", ("top", "function", "saver", "new function"))
def test_every_other_operation_is_refused_wherever_it_stands(file, tmp_path, place):
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((file / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0]
    library = graph.graph_def.library
    if place == "top":
        node = graph.graph_def.node.add()
    elif place == "new function":
        node = library.function.add().node_def.add()
    else:
        saver = next(f for f in library.function if "traced_restore" in f.signature.name)
        function = saver if place == "saver" else next(f for f in library.function if "traced" not in f.signature.name)
        node = function.node_def.add()
    allowed = set(PURE)
    allowed |= set(DECLARATIONS) if place == "top" else set()
    allowed |= {node.op for node in saver.node_def} | set(screen.SAVER) if place == "saver" else set()
    found = set()
    for name in registry().keys() - allowed:
        node.op = name
        found |= {name} & set(screen._impure(graph))
    assert found == registry().keys() - allowed


def reads(x):
    return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def writes(x):
    with tf.control_dependencies([tf.io.write_file("/tmp/written", tf.strings.as_string(x[0, 0]))]):
        return tf.identity(x)


def saves(x):
    with tf.control_dependencies([tf.raw_ops.Save(filename="/tmp/saved", tensor_names=["x"], data=[x])]):
        return tf.identity(x)


def restores(x):
    return x + tf.raw_ops.RestoreV2(prefix="/tmp/a", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32])[0]


def caches(x):
    return tf.data.Dataset.from_tensors(x).cache("/tmp/cache").reduce(x, lambda a, b: a + b)


def snapshots(x):
    return tf.data.Dataset.from_tensors(x).snapshot("/tmp/snapshot").reduce(x, lambda a, b: a + b)


def prints(x):
    tf.print(x, output_stream="file:///tmp/printed")
    return tf.identity(x)


def debugs(x):
    return tf.raw_ops.DebugIdentity(input=x, debug_urls=["file:///tmp/debug"])


def calls_python(x):
    return tf.ensure_shape(tf.py_function(lambda y: y, [x], tf.float32), x.shape)


def draws(x):
    return x + tf.random.normal(tf.shape(x))


REACHING = {
    reads: "ReadFile",
    writes: "WriteFile",
    saves: "Save",
    restores: "RestoreV2",
    caches: "CacheDatasetV2",
    snapshots: "SnapshotDatasetV2",
    prints: "PrintV2",
    debugs: "DebugIdentity",
    calls_python: "EagerPyFunc",
    draws: "RandomStandardNormal",
}


@pytest.mark.parametrize("function", REACHING, ids=lambda function: function.__name__)
def test_one_file_of_each_family_is_refused_before_it_runs(function, tmp_path):
    module = tf.Module()
    module.logits = tf.function(function, input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    module.deep = tf.function(lambda x: tf.cond(x[0, 0] > 0, lambda: module.logits(x), lambda: x),
                              input_signature=[tf.TensorSpec((None, 2), tf.float32)])  # fmt: skip
    tf.saved_model.save(module, str(tmp_path / "evil"), signatures={"logits": module.logits})
    with pytest.raises(UserError, match=f"evil' is refused: it uses .*{REACHING[function]}.*arithmetic alone"):
        kerastag.load(tmp_path / "evil")


def test_a_table_of_a_text_file_is_refused(tmp_path):
    (tmp_path / "words").write_text("a\nb\n")
    module = tf.Module()
    initializer = tf.lookup.TextFileInitializer(
        str(tmp_path / "words"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    module.table = tf.lookup.StaticHashTable(initializer, -1)
    module.logits = tf.function(
        lambda x: x + tf.cast(module.table.lookup(tf.constant("b")), tf.float32),
        input_signature=[tf.TensorSpec((None, 2), tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / "evil"), signatures={"logits": module.logits})
    with pytest.raises(UserError, match="InitializeTableFromTextFileV2"):
        kerastag.load(tmp_path / "evil")


def _restored_by_an_endpoint(graph):
    """The saver's function, which may read files, called from an endpoint's."""
    restore = next(f for f in graph.graph_def.library.function if "traced_restore" in f.signature.name)
    other = next(f for f in graph.graph_def.library.function if "traced" not in f.signature.name)
    node = other.node_def.add(op="PartitionedCall", name="hidden")
    node.attr["f"].func.name = restore.signature.name


def _restored_in_place_of_another(graph):
    """A function that claims to be another one, in whose place the optimiser may put it."""
    restore = next(f for f in graph.graph_def.library.function if "traced_restore" in f.signature.name)
    restore.attr["api_implements"].s = b"fast"


def _restored_as_a_gradient(graph):
    restore = next(f for f in graph.graph_def.library.function if "traced_restore" in f.signature.name)
    graph.graph_def.library.registered_gradients.add(gradient_func=restore.signature.name, registered_op_type="Sin")


def _restored_by_an_object(graph):
    restore = next(f for f in graph.graph_def.library.function if "traced_restore" in f.signature.name)
    node = graph.object_graph_def.nodes.add()
    node.bare_concrete_function.concrete_function_name = restore.signature.name


def _restored_by_a_function_object(graph):
    restore = next(f for f in graph.graph_def.library.function if "traced_restore" in f.signature.name)
    graph.object_graph_def.nodes.add().function.concrete_functions.append(restore.signature.name)


@pytest.mark.parametrize(
    "change",
    (
        _restored_by_an_endpoint,
        _restored_in_place_of_another,
        _restored_as_a_gradient,
        _restored_by_an_object,
        _restored_by_a_function_object,
    ),
    ids=lambda f: f.__name__,
)
def test_the_functions_that_restore_variables_serve_nothing_else(file, tmp_path, change):
    changed(file, tmp_path / "evil", change)
    with pytest.raises(UserError, match="RestoreV2"):
        kerastag.load(tmp_path / "evil")


def _resource(graph):
    graph.object_graph_def.nodes.add().resource.device = "cpu"


def _saver_of_its_own(graph):
    graph.object_graph_def.nodes[0].saveable_objects["a"].restore_function = 1


def _registered(graph):
    graph.object_graph_def.nodes[0].registered_name = "package.Class"


def _registered_saver(graph):
    graph.object_graph_def.nodes[0].registered_saver = "package.Saver"


@pytest.mark.parametrize("change", (_resource, _saver_of_its_own, _registered, _registered_saver), ids=lambda f: f.__name__)
def test_objects_that_bring_functions_of_their_own_are_refused(file, tmp_path, change):
    changed(file, tmp_path / "evil", change)
    with pytest.raises(UserError, match="it uses an object"):
        kerastag.load(tmp_path / "evil")


def _asset_elsewhere(graph):
    graph.asset_file_def.add(filename="../../secret")


def _huge_variable(graph):
    node = next(node for node in graph.object_graph_def.nodes if node.HasField("variable"))
    node.variable.shape.dim[0].size = 10**12


def _huge_constant(graph):
    node = graph.graph_def.library.function[0].node_def.add(op="Const")
    node.attr["value"].tensor.dtype = types_pb2.DT_FLOAT
    node.attr["value"].tensor.tensor_shape.dim.add(size=10**12)


def _unknown_type(graph):
    next(node for node in graph.object_graph_def.nodes if node.HasField("variable")).variable.dtype = 99


def _of_tensorflow_1(graph):
    graph.ClearField("object_graph_def")


def _without_endpoint(graph):
    del graph.signature_def["logits"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    (
        (_asset_elsewhere, "names a file outside its folder"),
        (_huge_variable, "is damaged: its variables take 8,000,000,000,000 bytes"),
        (_huge_constant, "a constant larger than any program"),
        (_of_tensorflow_1, "one graph written by TensorFlow 2"),
        (_without_endpoint, "has no endpoint 'logits'"),
        (_unknown_type, "cannot be loaded"),
    ),
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_else_no_tagger_has(file, tmp_path, change, sentence):
    changed(file, tmp_path / "evil", change)
    with pytest.raises(UserError, match=sentence):
        kerastag.load(tmp_path / "evil")
