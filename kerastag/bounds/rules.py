"""What each layer does to limits and to linear forms, and the way through a network."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastag.bounds import preprocessing
from kerastag.bounds.nodes import Node, root
from kerastag.errors import UserError
from kerastag.layers import (
    ClassLogits,
    GroupSort,
    Mend,
    NormedDense,
    PresenceFlags,
    SelectFeatures,
    SplitGroups,
    Standardize,
    TrackQuantities,
)
from kerastag.layers.precision import precisions

# What one operation makes of its arguments, in which nodes stand for tensors.
Rule = Callable[..., Any]

# Outputs that grow with every input, so that limits go through alone. Keras does not export the classes of its operations.
_GROWING = (SelectFeatures, SplitGroups, GroupSort, keras.layers.Permute)
_GROWING_OPERATIONS = {"Split", "Transpose", "Reshape", "ExpandDims", "Squeeze", "GetItem", "Stack", "OnesLike"}
# Activations that rise everywhere: limits go through, forms end.
_RISING = tuple(keras.activations.get(name) for name in ("elu", "hard_sigmoid", "leaky_relu", "sigmoid", "softplus", "tanh"))
# What passes its input on in inference.
_PASSING = (
    ClassLogits,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
)


def enclose(tagger: keras.Model, low: tf.Tensor, high: tf.Tensor, *, tight: bool) -> Node:
    """The outputs of a tagger over boxes of inputs.

    Args:
        tagger: From raw features to logits, of Keras' functional API or sequential.
        low: Smallest features `(batch, features)`.
        high: Largest features.
        tight: Whether limits in front of each ReLU are tightened by CROWN; otherwise they are those of intervals.

    Raises:
        UserError: if a layer has no rule or computes in 16 bits, or the tagger is no graph of layers.
    """
    if rounded := precisions(tagger):
        layer, precision = next(iter(rounded.items()))
        raise UserError(
            f"'{tagger.name}' has no bounds: '{layer}' computes in {precision}, whose rounding they do not enclose; they hold "
            "for taggers in float32."
        )
    return _through(tagger, root(low, high), tight)


def _through(network: keras.Model, node: Node, tight: bool) -> Node:
    graph = network if hasattr(network, "_run_through_graph") else getattr(network, "_functional", None)
    if graph is None or not hasattr(graph, "_run_through_graph"):
        raise UserError(f"'{network.name}' has no bounds: it is no graph of layers, as Keras' functional API makes it.")
    # Keras' own way to run a graph on something else than tensors.
    result = graph._run_through_graph([node], call_fn=functools.partial(_apply, tight))
    if not isinstance(result, Node):
        raise UserError(f"'{network.name}' has no bounds: it has more than one output.")
    return result


def _apply(tight: bool, operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
    if isinstance(operation, keras.Model):
        return _through(operation, args[0], tight)
    kind = type(operation).__name__
    if kwargs.get("training"):
        raise _no_rule(operation, "is called in training mode")
    for kinds, rule in _RULES:
        if isinstance(operation, kinds):
            return rule(operation, *args)
    if isinstance(operation, keras.layers.Dense | NormedDense):
        return _activated(dense(operation, args[0]), operation, tight)
    if isinstance(operation, keras.layers.Activation | keras.layers.ReLU):
        return _activated(args[0], operation, tight)
    if isinstance(operation, _GROWING) or kind in _GROWING_OPERATIONS:
        return growing(operation, *args, **kwargs)
    if kind in _OPERATIONS:
        return _OPERATIONS[kind](operation, *args)
    raise _no_rule(operation, f"is a {kind}, which has no rule")


def _no_rule(operation: keras.Operation, reason: str) -> UserError:
    return UserError(f"No bounds can be had: the layer '{operation.name}' {reason}.")


def growing(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
    """Limits of an operation that grows with every input; forms are not carried beyond it."""
    ends = []
    for end in ("low", "high"):
        values = keras.tree.map_structure(
            lambda one, end=end: getattr(one, end) if isinstance(one, Node) else one, (args, kwargs)
        )
        ends.append(operation(*values[0], **values[1]))
    return keras.tree.map_structure(root, *ends)


def dense(layer: keras.layers.Dense | NormedDense, node: Node) -> Node:
    """A dense layer without its activation."""
    kernel = layer.normed_kernel if isinstance(layer, NormedDense) else layer.kernel
    kernel, bias = tf.convert_to_tensor(kernel), 0.0 if layer.bias is None else tf.convert_to_tensor(layer.bias)

    def back(form: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        return [_of_last_axis(form, tf.transpose(kernel))], form * bias

    center, radius = (node.high + node.low) / 2, (node.high - node.low) / 2
    middle, reach = _of_last_axis(center, kernel) + bias, _of_last_axis(radius, tf.abs(kernel))
    return Node(middle - reach, middle + reach, (node,), back, node.slotwise)


def _of_last_axis(values: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """A product with a matrix; the one of more than two axes ends in a segmentation fault of oneDNN at times."""
    shape = tf.concat([tf.shape(values)[:-1], tf.shape(matrix)[1:]], axis=0)
    product = tf.reshape(tf.matmul(tf.reshape(values, (-1, values.shape[-1])), matrix), shape)
    product.set_shape((*values.shape[:-1], matrix.shape[-1]))
    return product


def _activated(node: Node, operation: keras.Operation, tight: bool) -> Node:
    function = getattr(operation, "activation", None)
    if isinstance(operation, NormedDense) or function is keras.activations.linear:
        return node
    if function is not None and function in _RISING:
        return root(function(node.low), function(node.high))
    plain = isinstance(operation, keras.layers.ReLU) and not (operation.negative_slope or operation.threshold)
    if function is keras.activations.relu or (plain and operation.max_value is None):
        return relu(node.tightened() if tight else node)
    raise _no_rule(operation, "has an activation without a rule")


def relu(node: Node) -> Node:
    """max(x, 0): above by the chord between the limits, below by 0 or x, whichever is nearer (CROWN, table 2)."""
    crosses = (node.low < 0) & (node.high > 0)
    above = tf.cast(node.low >= 0, node.low.dtype)
    slope = tf.where(crosses, node.high / tf.where(crosses, node.high - node.low, 1.0), above)
    under = tf.where(crosses, tf.cast(node.high > -node.low, node.low.dtype), above)
    offset = tf.where(crosses, -slope * node.low, 0.0)

    def back(form: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        falling = tf.minimum(form, 0.0)
        return [tf.nn.relu(form) * under[:, None] + falling * slope[:, None]], falling * offset[:, None]

    return Node(tf.nn.relu(node.low), tf.nn.relu(node.high), (node,), back, node.slotwise)


def scaled(node: Node, factor: tf.Tensor, offset: tf.Tensor | float) -> Node:
    """factor·x + offset, both constant, of the last axis."""
    ends = node.low * factor + offset, node.high * factor + offset
    return Node(
        tf.minimum(*ends),
        tf.maximum(*ends),
        (node,),
        lambda form: ([form * factor], form * offset),
        node.slotwise,
    )


def _batch_normalization(layer: keras.layers.BatchNormalization, node: Node, *_: Any) -> Node:
    if layer.axis not in (-1, len(node.low.shape) - 1):
        raise _no_rule(layer, "normalises another axis than the last")
    factor = 1 / tf.sqrt(tf.convert_to_tensor(layer.moving_variance) + layer.epsilon)
    factor = factor * layer.gamma if layer.scale else factor
    offset = -layer.moving_mean * factor
    return scaled(node, factor, offset + layer.beta if layer.center else offset)


def _rescaling(layer: keras.layers.Rescaling, node: Node) -> Node:
    return scaled(node, tf.constant(layer.scale, tf.float32), tf.constant(layer.offset, tf.float32))


def product(one: Node, other: Node) -> Node:
    """A product of which one side is a mask or the like: forms pass where that has one value alone, and end elsewhere."""
    ends = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
    low, high = tf.reduce_min(tf.stack(ends), axis=0), tf.reduce_max(tf.stack(ends), axis=0)
    node, mask = (other, one) if one.is_root else (one, other)
    if node.is_root or not mask.is_root or node.low.shape[1:] != low.shape[1:]:
        return root(low, high)
    factor = tf.where(mask.fixed, mask.low, 0.0)
    open_ = tf.cast(~mask.fixed, low.dtype)

    def back(form: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        ending = form * open_[:, None]
        return [form * factor[:, None]], tf.nn.relu(ending) * low[:, None] - tf.nn.relu(-ending) * high[:, None]

    return Node(low, high, (node,), back, node.slotwise and mask.slotwise)


def total(node: Node) -> Node:
    """The sum over slots, `(batch, channels)` of `(batch, slots, channels)`."""
    low, high = tf.reduce_sum(node.low, axis=1), tf.reduce_sum(node.high, axis=1)
    if node.is_root:
        return root(low, high)
    slots = node.low.shape[1]
    return Node(low, high, (node,), lambda form: ([tf.repeat(form[:, :, None], slots, axis=2)], None))


def _dot(layer: keras.layers.Dot, nodes: list[Node]) -> Node:
    """Codes `(batch, slots, channels)` by flags `(batch, slots)`, as `deep_sets` adds them up."""
    codes, flags = nodes
    if layer.axes not in (1, [1, 1], (1, 1)) or layer.normalize or len(codes.low.shape) != 3 or len(flags.low.shape) != 2:
        raise _no_rule(layer, "has no rule on these inputs")
    return total(product(codes, root(flags.low[..., None], flags.high[..., None])))


def _sum_operation(operation: keras.Operation, node: Node) -> Node:
    axis = operation.axis if isinstance(operation.axis, int) else tuple(operation.axis or ())
    if axis not in (1, (1,)) or operation.keepdims or len(node.low.shape) != 3:
        return growing(operation, node)
    return total(node)


def _concatenate(operation: keras.Operation, nodes: list[Node]) -> Node:
    axis, rank = operation.axis, len(nodes[0].low.shape)
    axis += rank if axis < 0 else 0
    low, high = (tf.concat([getattr(node, end) for node in nodes], axis) for end in ("low", "high"))
    if all(node.is_root for node in nodes):
        return root(low, high)
    widths = [node.low.shape[axis] for node in nodes]
    slotwise = axis == rank - 1 and all(node.slotwise for node in nodes)
    return Node(low, high, tuple(nodes), lambda form: (tf.split(form, widths, axis + 1), None), slotwise)


def _add(operation: keras.Operation, *args: Any) -> Node:
    nodes = _terms(operation, args)
    constants = [node for node in nodes if not isinstance(node, Node)]
    nodes = [node for node in nodes if isinstance(node, Node)]
    low, high = (functools.reduce(tf.add, [getattr(node, end) for node in nodes], 0.0) for end in ("low", "high"))
    added = functools.reduce(tf.add, constants, tf.zeros_like(low))
    low, high = low + added, high + added
    if any(node.low.shape[1:] != low.shape[1:] for node in nodes):
        return root(low, high)
    return Node(
        low,
        high,
        tuple(nodes),
        lambda form: ([form] * len(nodes), form * added[:, None]),
        all(node.slotwise for node in nodes),
    )


def _terms(operation: keras.Operation, args: Sequence[Any]) -> list[Any]:
    """What is added or multiplied, nodes of one rank and constants: Keras and TensorFlow broadcast others differently."""
    terms = list(args[0]) if isinstance(args[0], list | tuple) else list(args)
    if len({len(term.low.shape) for term in terms if isinstance(term, Node)}) > 1:
        raise _no_rule(operation, "has inputs of different ranks")
    return terms


def _multiply(operation: keras.Operation, *args: Any) -> Node:
    one, *others = _terms(operation, args)
    if len(others) != 1:
        raise _no_rule(operation, "has more than two factors")
    (other,) = others
    if isinstance(one, Node) and isinstance(other, Node):
        return product(one, other)
    node, factor = (one, other) if isinstance(one, Node) else (other, one)
    if np.ndim(factor):
        value = tf.zeros_like(node.low) + factor
        return product(node, root(value, value))
    return scaled(node, tf.constant(factor, node.low.dtype), 0.0)


def _cast(operation: keras.Operation, node: Node) -> Node:
    if "bool" in str(operation.dtype):
        raise _no_rule(operation, "makes truth values of numbers")
    return growing(operation, node)


def _take(operation: keras.Operation, values: Any, indices: Any) -> Node:
    if isinstance(indices, Node):
        raise _no_rule(operation, "takes its place from the inputs")
    return growing(operation, values, indices)


def _flatten(operation: keras.Operation, node: Node) -> Node:
    low, high = operation(node.low), operation(node.high)
    if node.is_root:
        return root(low, high)
    shape = node.low.shape[1:]
    return Node(low, high, (node,), lambda form: ([tf.reshape(form, (-1, form.shape[1], *shape))], None))


_RULES: tuple[tuple[Any, Rule], ...] = (
    (Mend, preprocessing.mended),
    (Standardize, preprocessing.standardized),
    (PresenceFlags, preprocessing.present),
    (TrackQuantities, preprocessing.track_quantities),
    (_PASSING, lambda _, node: node),
    (keras.layers.BatchNormalization, _batch_normalization),
    (keras.layers.Rescaling, _rescaling),
    (keras.layers.Concatenate, _concatenate),
    (keras.layers.Add, _add),
    (keras.layers.Multiply, _multiply),
    (keras.layers.Dot, _dot),
    ((keras.layers.Flatten, keras.layers.Reshape), _flatten),
)
_OPERATIONS: dict[str, Rule] = {
    "Sum": _sum_operation,
    "Concatenate": _concatenate,
    "Add": _add,
    "Multiply": _multiply,
    "Cast": _cast,
    "Take": _take,
}
