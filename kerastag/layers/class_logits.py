"""What the outputs of a tagger are: its own classes, and their sums by class of the jets.

Most taggers have a logit for each class of the jets. Others have finer classes, as CMS's do, or another order; such a tagger
ends in `ClassLogits`, and evaluation sees the logsumexp of what makes up each class: the logit of the sum of probabilities.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag import flavours
from kerastag.errors import UserError
from kerastag.layers.precision import Float32Layer


@keras.saving.register_keras_serializable("kerastag")
class ClassLogits(Float32Layer):
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
class FlavourLogits(Float32Layer):
    """The logit of each class of the jets from those of finer ones, or of the same in another order.

    Args:
        class_names: One name per logit of the input.
        wanted: One name per logit of the output; a key of `kerastag.flavours.FLAVOUR_OF` counts as its flavour.

    Raises:
        UserError: if the classes do not make up those that are wanted.
    """

    def __init__(self, class_names: Sequence[str], wanted: Sequence[str] = flavours.FLAVOURS, **kwargs: Any):
        super().__init__(**kwargs)
        self.class_names, self.wanted = tuple(class_names), tuple(wanted)
        flavours.columns(class_names, wanted)

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Logits `(batch, wanted)` of logits `(batch, classes)`."""
        return _summed(inputs, self.class_names, self.wanted)

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"class_names": list(self.class_names), "wanted": list(self.wanted)}


def class_names(tagger: keras.Model, otherwise: Sequence[str] = flavours.FLAVOURS) -> tuple[str, ...]:
    """Names of a tagger's outputs: those of a final `ClassLogits` or `FlavourLogits`, else what the caller knows.

    Args:
        tagger: From raw features to logits.
        otherwise: Names of the classes of the jets that it was trained on, in their order.

    Raises:
        UserError: if it has another number of logits.
    """
    last = tagger
    while isinstance(last, keras.Model) and last.layers:  # a network may be the last layer of another
        last = last.layers[-1]
    names = last.class_names if isinstance(last, ClassLogits) else tuple(otherwise)
    names = last.wanted if isinstance(last, FlavourLogits) else names
    check_width(tagger, len(names))
    return names


def check_width(tagger: keras.Model, classes: int) -> None:
    """Check that a tagger has a logit for each class.

    Raises:
        UserError: if it has not.
    """
    logits = width(tagger)
    if logits == 1:
        raise UserError(one_logit(tagger))
    if logits not in (None, classes):
        raise UserError(
            f"'{tagger.name}' gives {logits} logits, but there are {classes} classes; end it in one for each or in ClassLogits."
        )


def width(tagger: keras.Model) -> int | None:
    """Number of a tagger's logits; None where it is known with the first batch alone."""
    shape = getattr(tagger, "output_shape", None)
    return shape[-1] if isinstance(shape, tuple) else None


def one_logit(tagger: keras.Model) -> str:
    """Why a tagger of one logit is refused: the softmax of one logit is 1, and its cross-entropy has no gradient."""
    return f"'{tagger.name}' gives one logit, which no attack can move; give a tagger of two classes two logits."


def are_probabilities(outputs: tf.Tensor) -> bool:
    """Whether outputs `(batch, classes)` are probabilities, not logits: none is below 0, and those of each jet add up to 1."""
    values = np.asarray(outputs)
    return values.shape[-1] > 1 and bool((values >= 0).all() and np.allclose(values.sum(axis=-1), 1.0, atol=1e-4))


def flavour_logits(tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Logits of a tagger as the labels want them: by flavour, unless the labels have a column for each of its classes.

    Args:
        tagger: From raw features to logits `(batch, classes)`.
        x: Features `(batch, features)`.
        y: One-hot labels, `(batch, classes)` in the tagger's order, or `(batch, flavours)`.
        training: Mode in which the tagger is called.

    Raises:
        UserError: if the labels have a column for neither, the classes do not make up all flavours, there is one logit, or
            logits are not float32.
    """
    logits = tagger(x, training=training)
    if logits.shape[-1] == 1:
        raise UserError(one_logit(tagger))
    if logits.dtype != tf.float32:
        raise UserError(
            f"'{tagger.name}' gives logits in {logits.dtype.name}, and attacks need float32; give its last layer "
            "dtype='float32'."
        )
    if y.shape[-1] == logits.shape[-1]:
        return logits
    if y.shape[-1] != len(flavours.FLAVOURS):
        raise UserError(f"Labels have {y.shape[-1]} columns, but '{tagger.name}' has {logits.shape[-1]} classes.")
    return _summed(logits, class_names(tagger), flavours.FLAVOURS)


def _summed(logits: tf.Tensor, names: tuple[str, ...], wanted: tuple[str, ...]) -> tf.Tensor:
    parts = [keras.ops.take(logits, columns, axis=-1) for columns in flavours.columns(names, wanted)]
    return keras.ops.stack([keras.ops.logsumexp(part, axis=-1) for part in parts], axis=-1)


def by_flavour(
    tagger: keras.Model, wanted: Sequence[str] = flavours.FLAVOURS, trained_on: Sequence[str] | None = None
) -> keras.Model:
    """The tagger with a logit for each class of the jets, in their order; itself if it has that already.

    Args:
        tagger: From raw features to logits.
        wanted: Names of the classes of the jets.
        trained_on: Names of those that the tagger was trained on; None for the same.

    Raises:
        UserError: if its classes do not make up those of the jets.
    """
    names = class_names(tagger, wanted if trained_on is None else trained_on)
    if names == tuple(wanted):
        return tagger
    return keras.Model(tagger.input, FlavourLogits(names, wanted)(tagger.outputs[0]), name=f"{tagger.name}_by_flavour")
