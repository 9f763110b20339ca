"""Gradients in features that no precision of hidden layers loses."""

from collections.abc import Callable

import keras
import tensorflow as tf

from kerastag.layers.precision import precisions

# The largest slope of a logit becomes a number from 2^8 on: float16 has 24 powers of two below it and 8 above.
_LARGEST = 8
# Of float32: bits behind the exponent, and the exponent of 1.
_FRACTION, _ONE = 23, 127


def gradient_in(
    point: tf.Tensor,
    tagger: keras.Model,
    logits: Callable[[tf.Tensor], tf.Tensor],
    loss: Callable[[tf.Tensor], tf.Tensor],
    by_jet: bool = True,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Losses `(batch,)` and their gradient `(batch, features)` at a point.

    The gradient of a confident jet is small, and float16 would take it for 0: the jet would stay where it is, and the tagger
    look robust. So where layers have 16 bits it is multiplied by a power of two on its way through the network, and divided by
    it at the end. In float32 alone, where that could overflow on the way, it is left as it is.

    Args:
        point: Features `(batch, features)`.
        tagger: The tagger.
        logits: From features to logits `(batch, classes)` of the tagger, float32.
        loss: From logits to losses `(batch,)`.
        by_jet: Whether each jet has a factor of its own; with one for all, logits of a jet may depend on the others.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(point)
        outputs = logits(point)
        with tf.GradientTape(watch_accessed_variables=False) as of_loss:
            of_loss.watch(outputs)
            losses = loss(outputs)
    none = tf.UnconnectedGradients.ZERO
    if not precisions(tagger):
        return losses, tape.gradient(losses, point, unconnected_gradients=none)
    slope = of_loss.gradient(losses, outputs, unconnected_gradients=none)
    factor = tf.stop_gradient(_factor(slope, by_jet))
    return losses, tape.gradient(outputs, point, output_gradients=slope * factor, unconnected_gradients=none) / factor


def _factor(slope: tf.Tensor, by_jet: bool) -> tf.Tensor:
    """Powers of two, made of their bits so that they are exact, `(batch, 1)` or `(1, 1)`."""
    size = tf.reduce_max(tf.abs(slope), axis=-1 if by_jet else None, keepdims=True)
    exponent = tf.bitwise.right_shift(tf.bitcast(size, tf.int32), _FRACTION)
    wanted = tf.clip_by_value(2 * _ONE + _LARGEST - exponent, 1, 2 * _ONE)
    return tf.bitcast(tf.bitwise.left_shift(wanted, _FRACTION), tf.float32)
