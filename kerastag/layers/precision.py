"""In which precision a tagger computes: raw features, their scaling and the logits in float32, layers between as one likes.

Features of jets span twelve orders of magnitude, and attacks follow gradients far smaller than numbers of 16 bits can be. Keras
says the precision of a layer, but not what lies in it; the graph does.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerastag.errors import UserError

# Of 16 bits: bfloat16 has the range of float32 and three digits, float16 four digits from 6e-8 to 65,504.
HALF = ("bfloat16", "float16")
_HALF = {tf.as_dtype(name).as_datatype_enum for name in HALF}
# What puts values elsewhere, chooses among them or clips them, and does not reckon with them.
_MOVES = """
BroadcastTo Cast CheckNumerics ClipByValue Concat ConcatV2 EnsureShape ExpandDims Gather GatherNd GatherV2 Identity IdentityN
Maximum Minimum MirrorPad Pack Pad PadV2 PreventGradient Reshape ReverseV2 Select SelectV2 Slice Snapshot Split SplitV Squeeze
StopGradient StridedSlice Tile Transpose Unpack
"""
# What weights values against one another; behind it come biases, activations, sums of classes.
_WEIGHS = """
BatchMatMul BatchMatMulV2 BatchMatMulV3 Conv Conv2D Conv3D DepthwiseConv2dNative Einsum MatMul StatelessWhile While
"""
_MOVING, _WEIGHTING = (frozenset(names.split()) for names in (_MOVES, _WEIGHS))
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


class Float32Layer(keras.layers.Layer):
    """Base of layers that see raw features or logits: they compute in float32, whatever the policy of Keras is."""

    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32"} | kwargs)


@contextlib.contextmanager
def hidden_layers_in(precision: str | None) -> Iterator[None]:
    """Networks built inside compute in this precision where they do not say otherwise, and keep their weights in float32.

    It is Keras' policy `mixed_<precision>`. Layers of `kerastag.layers` that see raw features stay in float32, and so do the
    logits of `kerastag.models`.

    Args:
        precision: "bfloat16" or "float16"; None for Keras' policy as it stands.

    Raises:
        UserError: if it is another one.
    """
    if precision is None:
        yield
        return
    if precision not in HALF:
        raise UserError(f"Hidden layers cannot compute in '{precision}'; choose {' or '.join(HALF)}.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def precisions(tagger: keras.Model) -> dict[str, str]:
    """Where a tagger computes in less than float32: precision by name of the layer, at any depth.

    Args:
        tagger: Any model. Keras knows nothing of what SavedModels inside of it do.
    """
    return {layer.name: layer.compute_dtype for layer in tagger._flatten_layers() if layer.compute_dtype in HALF}


def check_precision(tagger: keras.Model, features: int) -> None:
    """Refuse a tagger in which an attack would see numbers of 16 bits: raw features, scaling or logits, at any depth.

    Raw features may be moved, chosen and clipped; before they are cast, something must have been reckoned with them in float32.
    Behind the last product with weights, which makes the logits, nothing may have 16 bits.

    Args:
        tagger: From raw features to logits, built.
        features: Number of its inputs.

    Raises:
        UserError: if it is one; or its logits are not float32.
    """
    signature = tf.TensorSpec((None, features), tf.float32, name="features")
    graph = tf.function(lambda features: tagger(features, training=False)).get_concrete_function(signature).graph
    definition = graph.as_graph_def()
    bodies = {function.signature.name: _Body.of(function) for function in definition.library.function}
    output = graph.outputs[0]
    body = _Body({node.name: node for node in definition.node}, [graph.inputs[0].op.name], [output.op.name])
    if node := _rounded_input(body, frozenset((0,)), bodies):
        raise UserError(
            f"Attacks need raw features and their scaling in float32, but '{tagger.name}' rounds features to {_name(node)} at "
            f"'{node.name}', where small ones are lost and attacks look weak. Scale them with kerastag.layers, or give the "
            "layers that see them dtype='float32'; a model that is a class of its own needs autocast=False."
        )
    node, _ = _rounded_output(body, bodies)
    if node or output.dtype != tf.float32:
        where = f"computes them in {_name(node)} before '{node.name}'" if node else f"gives them in {output.dtype.name}"
        raise UserError(
            f"Attacks need logits in float32, but '{tagger.name}' {where}, where the gradients of confident jets are lost and "
            "attacks look weak. Give the last layer dtype='float32'."
        )


class _Body:
    """The nodes of a graph or of a function in it, its arguments and its results."""

    def __init__(self, nodes: Mapping[str, Any], arguments: Sequence[str], results: Sequence[str]):
        self.nodes, self.arguments, self.results = nodes, list(arguments), [_of(result) for result in results]

    @classmethod
    def of(cls, function: Any) -> "_Body":
        """That of a function in TensorFlow's words."""
        nodes = {node.name: node for node in function.node_def}
        results = [function.ret[result.name] for result in function.signature.output_arg]
        return cls(nodes, [argument.name for argument in function.signature.input_arg], results)

    def inputs(self, node: Any) -> list[str]:
        """Names of what a node takes, in the order of its arguments."""
        return [_of(name) for name in node.input if not name.startswith("^")]


def _of(name: str) -> str:
    """The node of a tensor's name."""
    return name.partition(":")[0]


def _name(node: Any) -> str:
    """Name of the 16-bit precision from or to which a cast goes."""
    return next(tf.as_dtype(node.attr[name].type).name for name in ("DstT", "SrcT") if node.attr[name].type in _HALF)


def _rounded_input(body: _Body, raw_arguments: frozenset[int], bodies: Mapping[str, _Body]) -> Any | None:
    """The cast that rounds raw features, in a graph or the functions that it calls; None if there is none."""
    raw = {body.arguments[number] for number in raw_arguments}
    while True:  # nodes of functions stand in no order
        found = {name for name, node in body.nodes.items() if name not in raw and raw & set(body.inputs(node))}
        before = len(raw)
        for name in found:
            node = body.nodes[name]
            if node.op == "Cast" and node.attr["DstT"].type in _HALF:
                return node
            if node.op in _MOVING:
                raw.add(name)
            elif node.op in _CALLS:
                called = bodies[node.attr["f"].func.name]
                numbers = frozenset(number for number, given in enumerate(body.inputs(node)) if given in raw)
                if (inside := _rounded_input(called, numbers, bodies)) is not None:
                    return inside
                if _passes_on(called, numbers, bodies):
                    raw.add(name)
        if len(raw) == before:
            return None


def _passes_on(body: _Body, raw_arguments: frozenset[int], bodies: Mapping[str, _Body]) -> bool:
    """Whether a result of a function is one of its raw arguments, with which nothing was reckoned."""
    raw, waiting, seen = {body.arguments[number] for number in raw_arguments}, list(body.results), set()
    while waiting:
        if (name := waiting.pop()) in raw:
            return True
        if name in seen or name not in body.nodes:
            continue
        seen.add(name)
        node = body.nodes[name]
        if node.op in _MOVING:
            waiting += body.inputs(node)
        elif node.op in _CALLS:
            given = body.inputs(node)
            called = bodies[node.attr["f"].func.name]
            waiting += [one for number, one in enumerate(given) if _passes_on(called, frozenset((number,)), bodies)]
    return False


def _rounded_output(body: _Body, bodies: Mapping[str, _Body]) -> tuple[Any | None, set[int]]:
    """The cast from 16 bits behind the last product with weights, None if there is none; and the arguments that get there."""
    waiting, seen = list(body.results), set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in body.nodes:
            seen.add(name)
            continue
        seen.add(name)
        node = body.nodes[name]
        if node.op == "Cast" and node.attr["SrcT"].type in _HALF:
            return node, set()
        if node.op in _WEIGHTING:
            continue
        given = body.inputs(node)
        if node.op in _CALLS:
            inside, numbers = _rounded_output(bodies[node.attr["f"].func.name], bodies)
            if inside is not None:
                return inside, set()
            given = [given[number] for number in numbers]
        waiting += given
    return None, {number for number, name in enumerate(body.arguments) if name in seen}
