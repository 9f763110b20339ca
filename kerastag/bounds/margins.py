"""How low and how high discriminators can come."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kerastag.bounds.nodes import Node, lowest
from kerastag.bounds.rules import enclose
from kerastag.request import Method
from kerastag.schema import Separation


def margin_bounds(
    tagger: keras.Model, low: tf.Tensor, high: tf.Tensor, separation: Separation, method: Method = "crown"
) -> tuple[tf.Tensor, tf.Tensor]:
    """Limits of the logarithm of a discriminator's ratio over boxes of inputs, `(batch,)` each.

    Args:
        tagger: From raw features to logits `(batch, classes)`.
        low: Smallest features `(batch, features)`.
        high: Largest features.
        separation: The discriminator. Between one class and another its margin is the difference of their logits, bounded
            as a whole; of several classes each logit is bounded by itself.
        method: "interval", or "crown", which is narrower and takes longer.

    Raises:
        UserError: if a layer has no rule.
    """
    return all_margin_bounds(tagger, low, high, [separation], method)[0]


def all_margin_bounds(
    tagger: keras.Model, low: tf.Tensor, high: tf.Tensor, separations: Sequence[Separation], method: Method = "crown"
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """`margin_bounds` of several discriminators, for which the layers are enclosed once."""
    logits = enclose(tagger, low, high, tight=method == "crown")
    return [_margin_bounds(logits, separation, tight=method == "crown") for separation in separations]


def _margin_bounds(logits: Node, separation: Separation, tight: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Limits of one discriminator from enclosed logits."""
    if len(separation.over) > 1 or len(separation.against) > 1:
        logits = logits.tightened() if tight else logits
        lows, highs = ((_log_sum(end, separation.over), _log_sum(end, separation.against)) for end in (logits.low, logits.high))
        return lows[0] - highs[1], highs[0] - lows[1]
    (over, weight), (against, other) = separation.over[0], separation.against[0]
    form = np.zeros((1, 1, logits.low.shape[-1]), np.float32)
    form[..., over], form[..., against] = 1, -1
    offset = float(np.log(weight / other))
    return lowest(logits, form, far=tight)[:, 0] + offset, offset - lowest(logits, -form, far=tight)[:, 0]


def worst_logits(tagger: keras.Model, low: tf.Tensor, high: tf.Tensor, y: tf.Tensor, method: Method = "crown") -> tf.Tensor:
    """By how much each logit can exceed that of the truth at most, `(batch, classes)`, 0 for the truth itself.

    Limits in front of each ReLU are those of intervals, which is cheap enough for training.

    Args:
        tagger: From raw features to logits `(batch, classes)`.
        low: Smallest features `(batch, features)`.
        high: Largest features.
        y: One-hot labels `(batch, classes)`.
        method: "interval", or "crown" for forms from the logits back to the inputs (CROWN-IBP, arXiv:1906.06316).

    Raises:
        UserError: if a layer has no rule.
    """
    logits = enclose(tagger, low, high, tight=False)
    forms = y[:, None, :] - tf.eye(logits.low.shape[-1], dtype=y.dtype)
    return -lowest(logits, forms, far=method == "crown")


def _log_sum(logits: tf.Tensor, side: tuple[tuple[int, float], ...]) -> tf.Tensor:
    """Logarithm of the weighted sum of the exponentials of some columns, `(batch,)`."""
    columns, weights = zip(*side, strict=True)
    return tf.reduce_logsumexp(tf.gather(logits, columns, axis=1) + np.log(weights).astype(np.float32), axis=1)
