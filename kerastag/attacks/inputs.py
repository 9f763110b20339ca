"""Features and labels as users have them, turned into what attacks take where that is harmless, else refused in a sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from kerastag.errors import UserError


def as_features(x: ArrayLike | tf.Tensor, features: int) -> tf.Tensor:
    """Features float32 `(batch, features)`, of numbers of any kind.

    Args:
        x: Features.
        features: Number of columns that they must have.

    Raises:
        UserError: if they have another shape.
    """
    values: Any = x if tf.is_tensor(x) else np.asarray(x)
    if len(values.shape) != 2 or values.shape[1] not in (None, features):
        raise UserError(
            f"Features must be of shape (batch, {features}), a column for each feature. Received: {tuple(values.shape)}."
        )
    return tf.cast(values, tf.float32)


def as_one_hot(y: ArrayLike | tf.Tensor, x: tf.Tensor, classes: Callable[[], int]) -> tf.Tensor:
    """Labels float32 `(batch, classes)`, one-hot, of these or of whole numbers `(batch,)`.

    Args:
        y: Labels.
        x: The features, `(batch, features)`.
        classes: Gives the number of classes, where labels do not.

    Raises:
        UserError: if they have another shape, or a number is none of a class.
    """
    labels: Any = y if tf.is_tensor(y) else np.asarray(y)
    if len(labels.shape) not in (1, 2) or (len(labels.shape) == 1 and not tf.as_dtype(labels.dtype).is_integer):
        raise UserError(
            "Labels must be one-hot, of shape (batch, classes), or whole numbers of shape (batch,). "
            f"Received: {tf.as_dtype(labels.dtype).name} of shape {tuple(labels.shape)}."
        )
    if None not in (labels.shape[0], x.shape[0]) and labels.shape[0] != x.shape[0]:
        raise UserError(f"There are features of {x.shape[0]} jets, but labels of {labels.shape[0]}.")
    if len(labels.shape) == 2:
        return tf.cast(labels, tf.float32)
    number = classes()
    if tf.executing_eagerly() and len(labels) and not 0 <= np.min(labels) <= np.max(labels) < number:
        raise UserError(f"Labels must be from 0 to {number - 1}. Received: {np.min(labels)} to {np.max(labels)}.")
    return tf.one_hot(labels, number)
