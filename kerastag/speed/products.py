"""Limit of whatever a fully connected network does: its matrix products alone, of the same shapes, in the same order.

A layer of weights W `(inputs, outputs)` makes up to three of a batch: forward x·W, in its inputs g·Wᵀ and in its weights xᵀ·g,
where g is the gradient in its outputs. Each takes 2·inputs·outputs operations for a jet. The first layer's product in its
inputs is needed by attacks alone.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from kerastag.speed.clock import Action

_SQUARE = 2048


@dataclasses.dataclass(frozen=True)
class Passes:
    """How often a step makes the products of all layers.

    Attributes:
        forward: Forward.
        inputs: In the inputs of all layers but the first.
        first: In those of the first.
        weights: In the weights.
    """

    forward: int = 0
    inputs: int = 0
    first: int = 0
    weights: int = 0

    def __add__(self, other: "Passes") -> "Passes":
        return Passes(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


_UPDATE = Passes(forward=1, inputs=1, weights=1)
FORWARD = Passes(forward=1)


def attack(gradients: int) -> Passes:
    """Those of an attack that looks at so many gradients in the features."""
    return Passes(forward=gradients, inputs=gradients, first=gradients)


# The penalty: a gradient in the features, the way back through it, which in each layer is as a forward pass, and from there
# through the logits that it depends on.
_PENALTY = attack(1) + Passes(forward=1, weights=1) + Passes(inputs=1, weights=1)
# PGD looks at the clean jet, FGSM's point and its start before its steps.
PASSES = {"nominal": _UPDATE, "fgsm": _UPDATE + attack(1), "input-gradient": _UPDATE + _PENALTY, "pgd-7": _UPDATE + attack(10)}
"""Products of a step of training, by defence."""


def layers(model: keras.Model) -> list[tuple[int, int]]:
    """Inputs and outputs of each fully connected layer, the first first."""
    return [tuple(layer.kernel.shape) for layer in model.layers if isinstance(layer, keras.layers.Dense)]


def flop(model: keras.Model, passes: Passes) -> int:
    """Operations of the products for a jet."""
    first, *others = (2 * inputs * outputs for inputs, outputs in layers(model))
    of_all = (passes.forward + passes.weights) * (first + sum(others))
    return of_all + passes.first * first + passes.inputs * sum(others)


class Products:
    """The matrix products of a network, on random numbers.

    Every layer has operands of its own, as in the network: equal products would be made once.

    Args:
        model: The network.
        batch_size: Jets in a batch.
    """

    def __init__(self, model: keras.Model, batch_size: int):
        shapes = layers(model)
        x = [tf.random.normal((batch_size, inputs)) for inputs, _ in shapes]
        g = [tf.random.normal((batch_size, outputs)) for _, outputs in shapes]
        w = [tf.random.normal(shape) for shape in shapes]
        self._kinds = {
            "forward": _together(x, w),
            "inputs": _together(g[1:], w[1:], transpose_b=True),
            "first": _together(g[:1], w[:1], transpose_b=True),
            "weights": _together(x, g, transpose_a=True),
        }

    def actions(self, passes: Passes) -> dict[str, Action]:
        """One pass of each kind that is among `passes`, to be measured."""
        return {f"products {kind}": action for kind, action in self._kinds.items() if getattr(passes, kind)}

    @staticmethod
    def seconds(passes: Passes, measured: dict[str, float]) -> float:
        """Time of all passes from that of one of each kind."""
        return sum(count * measured[f"products {kind}"] for kind, count in dataclasses.asdict(passes).items() if count)


def _together(left: list[tf.Tensor], right: list[tf.Tensor], **transposed: bool) -> Action:
    @tf.function
    def multiply() -> tf.Tensor:
        # A cell of each is given back: what nobody takes would not be made.
        return tf.stack([tf.matmul(a, b, **transposed)[0, 0] for a, b in zip(left, right, strict=True)])

    return multiply


def sgemm(model: keras.Model, batch_size: int) -> Action:
    """The forward products of a network by NumPy, which takes far less than TensorFlow to begin a small one."""
    generator = np.random.default_rng(0)
    operands = []
    for inputs, outputs in layers(model):
        x, w = (generator.normal(size=shape).astype(np.float32) for shape in ((batch_size, inputs), (inputs, outputs)))
        operands.append((x, w, np.empty((batch_size, outputs), np.float32)))

    def multiply() -> None:
        for x, w, result in operands:
            np.matmul(x, w, out=result)

    return multiply


def square() -> tuple[Action, float]:
    """A product of large square matrices, the fastest there is, and its operations."""
    a, b = (tf.random.normal((_SQUARE, _SQUARE)) for _ in range(2))
    return _together([a], [b]), 2.0 * _SQUARE**3
