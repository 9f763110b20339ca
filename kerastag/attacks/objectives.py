"""What an attack increases: a loss per jet, from one-hot labels `(batch, classes)` and logits `(batch, classes)`.

An attack never uses the loss that a model was compiled with. A focal loss with γ = 25, for one, has input gradients of
exactly 0 for confident jets in float32; their sign is 0, the jets stay where they are, and the tagger looks robust.
"""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.losses import DoubleSoftmaxFocal
from kerastag.schema import Separation

_PAPER = DoubleSoftmaxFocal(reduction="none")


# From one-hot labels and logits, `(batch, classes)` each, to `(batch,)`.
ObjectiveFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def cross_entropy(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy, `(batch,)`."""
    return tf.nn.softmax_cross_entropy_with_logits(y, logits)


def _margin(separation: Separation, logits: tf.Tensor) -> tf.Tensor:
    """Logarithm of a discriminator's ratio, `(batch,)`."""

    def log_sum(side: tuple[tuple[int, float], ...]) -> tf.Tensor:
        parts = [
            logits[:, column] + np.float32(np.log(weight)) if weight != 1 else logits[:, column] for column, weight in side
        ]
        return parts[0] if len(parts) == 1 else tf.reduce_logsumexp(tf.stack(parts), axis=0)

    return log_sum(separation.over) - log_sum(separation.against)


def _discriminator(separation: Separation) -> ObjectiveFunction:
    """Against one discriminator: push jets of `over` down and jets of `against` up; leave other classes alone."""

    def objective(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        _need_classes(y, separation)
        found, rejected = (sum(y[:, column] for column in side) for side in separation.columns)
        return (rejected - found) * _margin(separation, logits)

    return objective


def _directed(sign: float, separation: Separation) -> ObjectiveFunction:
    """Push all jets the same way along one discriminator, whatever their class."""

    def objective(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        _need_classes(y, separation)
        return sign * _margin(separation, logits)

    return objective


def _need_classes(y: tf.Tensor, separation: Separation) -> None:
    if y.shape[-1] != len(separation.class_names):
        names = ", ".join(separation.class_names)
        raise UserError(f"An attack on a discriminator needs labels of {names}, not {y.shape[-1]} columns.")


OBJECTIVES: dict[str, ObjectiveFunction] = {
    "cross_entropy": cross_entropy,
    "paper": lambda y, logits: keras.ops.convert_to_tensor(_PAPER(y, logits)),
}


def find_objective(name: str | ObjectiveFunction, separations: Iterable[Separation]) -> ObjectiveFunction:
    """An objective: of `OBJECTIVES`, or the margin of a discriminator, with + or - for all jets the same way; or itself.

    Raises:
        UserError: if there is none of that name.
    """
    if callable(name):
        return name
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    by_name = {one.name: one for one in separations}
    if name in by_name:
        return _discriminator(by_name[name])
    if name[:1] in "+-" and name[1:] in by_name:
        return _directed(1.0 if name[0] == "+" else -1.0, by_name[name[1:]])
    known = ", ".join([*OBJECTIVES, *by_name])
    raise UserError(f"There is no attack objective '{name}'; choose one of {known}, the latter also with + or - before it.")
