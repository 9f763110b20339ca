"""What an attack increases: a loss per jet, from one-hot labels `(batch, classes)` and logits `(batch, classes)`.

An attack never uses the loss that a model was compiled with. A focal loss with γ = 25, for one, has input gradients of
exactly 0 for confident jets in float32; their sign is 0, the jets stay where they are, and the tagger looks robust.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.flavours import FLAVOURS
from kerastag.losses import DoubleSoftmaxFocal
from kerastag.metrics import DISCRIMINATORS

_PAPER = DoubleSoftmaxFocal(reduction="none")


# From one-hot labels and logits, `(batch, classes)` each, to `(batch,)`.
ObjectiveFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def cross_entropy(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy, `(batch,)`."""
    return tf.nn.softmax_cross_entropy_with_logits(y, logits)


def _discriminator(over: int, against: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Against one discriminator: push jets of `over` down and jets of `against` up; leave other flavours alone."""

    def objective(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        _need_flavours(y)
        return (y[:, against] - y[:, over]) * (logits[:, over] - logits[:, against])

    return objective


def _directed(sign: float, over: int, against: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Push all jets the same way along one discriminator, whatever their flavour."""

    def objective(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        _need_flavours(y)
        return sign * (logits[:, over] - logits[:, against])

    return objective


def _need_flavours(y: tf.Tensor) -> None:
    if y.shape[-1] != len(FLAVOURS):
        raise UserError(f"An attack on a discriminator needs labels of {', '.join(FLAVOURS)}, not {y.shape[-1]} columns.")


OBJECTIVES: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "cross_entropy": cross_entropy,
    "paper": lambda y, logits: keras.ops.convert_to_tensor(_PAPER(y, logits)),
    **{name: _discriminator(over, against) for name, (over, against) in DISCRIMINATORS.items()},
    **{f"+{name}": _directed(1.0, over, against) for name, (over, against) in DISCRIMINATORS.items()},
    **{f"-{name}": _directed(-1.0, over, against) for name, (over, against) in DISCRIMINATORS.items()},
}
