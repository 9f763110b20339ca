"""What the outputs of a tagger are: its own classes, and their sums by flavour.

Most taggers have a logit per flavour. Others have finer classes, as CMS's do; such a tagger ends in `ClassLogits`, and attacks
and evaluation see the logsumexp of the classes of each flavour: the logit of the sum of their probabilities.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag import flavours
from kerastag.errors import UserError


@keras.saving.register_keras_serializable("kerastag")
class ClassLogits(keras.layers.Layer):
    """Passes logits on unchanged, and says which class each of them is.

    Args:
        class_names: One name per logit.
    """

    def __init__(self, class_names: Sequence[str], **kwargs: Any):
        super().__init__(**kwargs)
        self.class_names = tuple(class_names)

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The logits, `(batch, classes)`."""
        return inputs

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"class_names": list(self.class_names)}


@keras.saving.register_keras_serializable("kerastag")
class FlavourLogits(keras.layers.Layer):
    """The logit of each flavour from those of finer classes.

    Args:
        class_names: One name per logit of the input, each a key of `kerastag.flavours.FLAVOUR_OF`.

    Raises:
        UserError: if the classes do not make up all flavours.
    """

    def __init__(self, class_names: Sequence[str], **kwargs: Any):
        super().__init__(**kwargs)
        self.class_names = tuple(class_names)
        flavours.columns(class_names)

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Logits `(batch, flavours)` of logits `(batch, classes)`."""
        return _summed(inputs, self.class_names)

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"class_names": list(self.class_names)}


def class_names(tagger: keras.Model) -> tuple[str, ...]:
    """Names of a tagger's outputs: those of a final `ClassLogits`, else the flavours."""
    last = tagger.layers[-1] if tagger.layers else None
    return last.class_names if isinstance(last, ClassLogits) else flavours.FLAVOURS


def are_probabilities(outputs: tf.Tensor) -> bool:
    """Whether outputs `(batch, classes)` are probabilities, not logits: none is below 0, and those of each jet add up to 1."""
    values = np.asarray(outputs)
    return values.shape[-1] > 1 and bool((values >= 0).all() and np.allclose(values.sum(axis=-1), 1.0, atol=1e-4))


def flavour_logits(tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Logits of a tagger as the labels want them: by flavour, unless the labels have a column for each of its classes.

    Args:
        tagger: From raw features to logits `(batch, classes)`.
        x: Features `(batch, features)`.
        y: One-hot labels, `(batch, classes)` or `(batch, flavours)`.
        training: Mode in which the tagger is called.

    Raises:
        UserError: if the labels have a column for neither, or the classes do not make up all flavours.
    """
    logits = tagger(x, training=training)
    if y.shape[-1] == logits.shape[-1]:
        return logits
    if y.shape[-1] != len(flavours.FLAVOURS):
        raise UserError(f"Labels have {y.shape[-1]} columns, but '{tagger.name}' has {logits.shape[-1]} classes.")
    return _summed(logits, class_names(tagger))


def _summed(logits: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    parts = [keras.ops.take(logits, columns, axis=-1) for columns in flavours.columns(names)]
    return keras.ops.stack([keras.ops.logsumexp(part, axis=-1) for part in parts], axis=-1)


def by_flavour(tagger: keras.Model) -> keras.Model:
    """The tagger with one logit per flavour; itself if it has that already.

    Raises:
        UserError: if its classes do not make up all flavours.
    """
    names = class_names(tagger)
    if names == flavours.FLAVOURS:
        return tagger
    return keras.Model(tagger.input, FlavourLogits(names)(tagger.outputs[0]), name=f"{tagger.name}_by_flavour")
