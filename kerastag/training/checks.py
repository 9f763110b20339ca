"""What is looked at before the first epoch, so that a training does not end in a sentence of TensorFlow's, or in nonsense."""

import inspect
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.layers import class_logits
from kerastag.layers.precision import HALF, check_precision

if TYPE_CHECKING:
    from kerastag.training.adversarial_tagger import AdversarialTagger

# Shapes of features and labels; None where they are not known.
Shapes = tuple[tuple[int | None, ...] | None, tuple[int | None, ...] | None]


def check_training(model: "AdversarialTagger", x: Any, y: Any) -> None:
    """Check tagger, features and labels against one another.

    Args:
        model: The trainer, with its tagger.
        x: Features as `fit` takes them, `(jets, features)`, or a data set of batches.
        y: Labels `(jets, classes)` or `(jets,)`; None with a data set.

    Raises:
        UserError: if shapes do not fit, or the tagger gives probabilities, rounds features or logits to 16 bits, or keeps
            weights in them.
    """
    tagger = model.tagger
    check_shapes(model, x, y)
    jets, labels = _shapes(x, y)
    features = _features(model) or (jets[1] if jets else None)
    if features is None:
        return
    with model.distribute_strategy.scope():
        outputs = tagger(np.zeros((1, features), np.float32))
    if class_logits.are_probabilities(outputs):
        raise UserError(f"'{tagger.name}' gives probabilities; attacks and losses need logits, so leave its last softmax out.")
    check_precision(tagger, features)
    _check_weights(tagger)
    _check_loss(model.loss)
    if labels is not None:
        _check_labels(labels, outputs.shape[-1], model.loss)


def check_shapes(model: "AdversarialTagger", x: Any, y: Any = None, with_labels: bool = True) -> None:
    """Check features, and labels where there are any, against the tagger.

    Args:
        model: The trainer, with its tagger.
        x: Features as Keras takes them, `(jets, features)`, or a data set of batches.
        y: Labels `(jets, classes)` or `(jets,)`; None with a data set, or without any.
        with_labels: Whether to look at labels, also those of a data set.

    Raises:
        UserError: if shapes do not fit.
    """
    jets, labels = _shapes(x, y)
    features = _features(model)
    if jets is not None and (len(jets) != 2 or features not in (None, jets[1])):
        wanted = "features" if features is None else features
        raise UserError(f"'{model.tagger.name}' takes features of shape (jets, {wanted}). Received: {_said(jets)}.")
    if with_labels and labels is not None:
        _check_labels(labels, class_logits.width(model.tagger), model.loss)


def _shapes(x: Any, y: Any) -> Shapes:
    """Shapes of features and labels, of arrays or of a data set's batches."""
    if isinstance(x, tf.data.Dataset):
        specification = x.element_spec
        if not isinstance(specification, tuple) or len(specification) < 2:
            return None, None
        shapes = [getattr(part, "shape", tf.TensorShape(None)) for part in specification[:2]]
        features, labels = (None if shape.rank is None else tuple(shape) for shape in shapes)
        return features, labels
    x, y = (alone(part) for part in (x, y))
    return getattr(x, "shape", None), getattr(y, "shape", None)


def alone(part: Any) -> Any:
    """The array that stands alone in a list of inputs, as Keras takes them; anything else as it is."""
    return part[0] if isinstance(part, list | tuple) and len(part) == 1 and hasattr(part[0], "shape") else part


def _features(model: "AdversarialTagger") -> int | None:
    """How many features tagger and attack take; None where neither says."""
    if model.attack is not None:
        return model.attack.threat_model.features
    shape = getattr(model.tagger, "input_shape", None)
    return shape[-1] if isinstance(shape, tuple) else None


def _check_weights(tagger: keras.Model) -> None:
    """Refuse weights that cannot learn: they have three or four digits, and most steps change less than the last."""
    for weight in tagger.trainable_variables:
        if weight.dtype in HALF:
            raise UserError(
                f"'{tagger.name}' keeps its weight '{weight.path}' in {weight.dtype}, where small steps are lost; give the "
                f"layer dtype='mixed_{weight.dtype}', which computes in it and keeps weights in float32."
            )


def _check_loss(loss: Any) -> None:
    """Refuse a loss of Keras' that would take logits for probabilities, as it does by its name alone."""
    made = keras.losses.get(loss) if isinstance(loss, str) else loss
    if not _is_of_keras(made):
        return
    takes = inspect.signature(made).parameters if inspect.isfunction(made) else {}
    from_logits = takes["from_logits"].default if "from_logits" in takes else getattr(made, "from_logits", True)
    if not from_logits:
        name = loss if isinstance(loss, str) else getattr(made, "name", None) or made.__name__
        raise UserError(
            f"The loss '{name}' takes logits for probabilities; compile with "
            "keras.losses.CategoricalCrossentropy(from_logits=True), or another one with from_logits."
        )


def _check_labels(labels: tuple[int | None, ...], classes: int | None, loss: Any) -> None:
    made = keras.losses.get(loss) if isinstance(loss, str) else loss
    takes_numbers = not _is_of_keras(made) or "sparse" in str(getattr(made, "name", None) or getattr(made, "__name__", ""))
    allowed = (None, classes, 1) if takes_numbers else (None, classes)
    if classes is not None and len(labels) == 2 and labels[1] not in allowed:
        raise UserError(f"Labels have {labels[1]} columns, but the tagger has {classes} classes.")
    if len(labels) == 1 and not takes_numbers:
        raise UserError(
            "Labels are whole numbers; give keras.utils.to_categorical(y), or compile with "
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)."
        )


def _is_of_keras(loss: Any) -> bool:
    """Whether a loss comes with Keras, so that what it takes is known."""
    return str(getattr(loss, "__module__", "")).startswith("keras.")


def _said(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('jets' if number is None else str(number) for number in shape)})"
