"""What a SavedModel may hold, looked at before anything in it is run or allocated."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerastag.errors import UserError
from kerastag.saving.operations import DECLARATIONS, PURE, SAVER

# Parts of a SavedModel's object graph that hold no code of their own; a resource would bring functions that loading calls.
_OBJECTS = {"asset", "bare_concrete_function", "captured_tensor", "constant", "function", "user_object", "variable"}
# Classes registered with TensorFlow that bring no code: constants that Keras keeps in a layer.
_REGISTERED = ("", "tf.TrackableConstant")
# Constants are part of a program; weights are variables, whose size is that of their file.
_LARGEST_PROGRAM = 2**30


def check(path: Path) -> None:
    """Read a SavedModel without running it, and refuse what no tagger needs.

    Raises:
        UserError: if it is damaged, or holds an operation that is not known to be pure, a resource, a constant or variable
            larger than its file, or several graphs.
    """
    proto = _read(path)
    if len(proto.meta_graphs) != 1 or not proto.meta_graphs[0].HasField("object_graph_def"):
        raise UserError(f"'{path}' is refused: a tagger is one graph written by TensorFlow 2.")
    (graph,) = proto.meta_graphs
    if impure := sorted(set(_impure(graph))):
        names = ", ".join(impure)
        raise UserError(f"'{path}' is refused: it uses {names}; a tagger needs arithmetic alone.")
    if "logits" not in graph.signature_def:
        raise UserError(f"'{path}' has no endpoint 'logits', so it is no tagger of kerastag.")
    if any("/" in asset.filename or asset.filename in ("", ".", "..") for asset in graph.asset_file_def):
        raise UserError(f"'{path}' is refused: it names a file outside its folder.")
    stored = sum(file.stat().st_size for file in (path / "variables").glob("*") if file.is_file())
    declared = sum(_bytes(node.variable.shape, node.variable.dtype) for node in graph.object_graph_def.nodes)
    if declared > stored:
        raise UserError(f"'{path}' is damaged: its variables take {declared:,} bytes, but there are {stored:,}.")


def _read(path: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    if file.stat().st_size > _LARGEST_PROGRAM:
        raise UserError(f"'{file}' is refused: it has {file.stat().st_size:,} bytes, more than any program.")
    proto = saved_model_pb2.SavedModel()
    try:
        proto.ParseFromString(file.read_bytes())
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise UserError(f"'{path}' is not a SavedModel, or it is damaged.") from error
    return proto


def _impure(graph: Any) -> Iterator[str]:
    """Names of operations and objects that a tagger does not need."""
    library = graph.graph_def.library
    functions = {function.signature.name for function in library.function}
    savers = _savers(graph)
    yield from _unknown(graph.graph_def.node, PURE | DECLARATIONS | functions)
    for function in library.function:
        # Only who alone is the saver may read and write files: TensorFlow swaps functions that claim to be one another.
        saves = function.signature.name in savers and "api_implements" not in function.attr
        yield from _unknown(function.node_def, PURE | SAVER if saves else PURE | functions)
    for node in graph.object_graph_def.nodes:
        unknown = node.registered_name not in _REGISTERED or bool(node.registered_saver or node.saveable_objects)
        if node.WhichOneof("kind") not in _OBJECTS or unknown:
            yield f"an object '{node.registered_name or node.registered_saver or node.WhichOneof('kind')}'"


def _savers(graph: Any) -> set[str]:
    """Functions that a SavedModel declares to write and read its variables, and that nothing else in it names.

    Objects, other operations, gradients, signatures and aliases can name a function, and whoever is named may be called; so the
    names must not occur anywhere else at all.
    """
    declared = {graph.saver_def.save_tensor_name.partition(":")[0], graph.saver_def.restore_op_name}
    callers = [node for node in graph.graph_def.node if node.name in declared]
    names = {name for node in callers if (name := node.attr["f"].func.name)}
    rest = type(graph)()
    rest.CopyFrom(graph)
    for nodes, gone in (
        (rest.graph_def.node, [node for node in rest.graph_def.node if node.name in declared]),
        (rest.graph_def.library.function, [f for f in rest.graph_def.library.function if f.signature.name in names]),
    ):
        for item in gone:
            nodes.remove(item)
    content = rest.SerializeToString()
    return {name for name in names if name.encode() not in content}


def _unknown(nodes: Any, known: frozenset[str] | set[str]) -> Iterator[str]:
    for node in nodes:
        if node.op not in known:
            yield node.op
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            if _bytes(tensor.tensor_shape, tensor.dtype) > _LARGEST_PROGRAM:
                yield "a constant larger than any program"


def _bytes(shape: Any, dtype: int) -> int:
    import tensorflow as tf

    try:
        size = tf.dtypes.as_dtype(dtype).size if dtype else 0
    except TypeError:  # no type of TensorFlow's, which it says itself when it loads
        size = 0
    return math.prod(max(dimension.size, 0) for dimension in shape.dim) * size
