"""DeepDoubleX of CMS (102X, V02): convolutions over candidates and vertices, GRUs over their slots, a dense layer.

Reference: CMS-DP-2018-046.
"""

from pathlib import Path

import keras
import tensorflow as tf

from kerastag.layers.class_logits import ClassLogits
from kerastag.layers.deep_flavour import keras2_hard_sigmoid
from kerastag.legacy.arrays import fill, keras_h5
from kerastag.models.objects import split_groups
from kerastag.schema import DEEPDOUBLEX

_SCHEMA = DEEPDOUBLEX["BvL"]  # the three taggers have the same inputs


def build(path: Path, classes: tuple[str, ...], name: str) -> keras.Model:
    """The tagger from raw features `(batch, 1360)` to logits `(batch, 2)`, without the dropout of the training.

    Args:
        path: The HDF5 file of Keras 2.
        classes: Names of the logits.
        name: Name of the model.

    Raises:
        UserError: if the file is not that of the tagger.
    """
    inputs = keras.Input((len(_SCHEMA.features),), name="features")
    jet, *objects = split_groups(inputs, _SCHEMA)
    parts = [_normalised("db_input_batchnorm", jet)]
    parts += [_encoded(prefix, values) for prefix, values in zip(("pf", "cpf", "sv"), objects, strict=True)]
    x = keras.layers.Concatenate()(parts)
    x = keras.layers.Dense(100, activation="relu", name="fc1_relu")(x)
    logits = keras.layers.Dense(len(classes), name="ID_pred")(x)
    model = keras.Model(inputs, ClassLogits(classes, name="logits")(logits), name=name)
    fill(model, keras_h5(path))
    return model


def _encoded(prefix: str, x: tf.Tensor) -> tf.Tensor:
    """Code `(batch, 50)` of a group's objects, `(batch, slots, variables)`; the last slot is read first."""
    x = _normalised(f"{prefix}_input_batchnorm", x)
    for number in (1, 2):
        x = keras.layers.Conv1D(32, 1, activation="relu", use_bias=False, name=f"{prefix}_conv{number}")(x)
    return keras.layers.GRU(
        50, recurrent_activation=keras2_hard_sigmoid, reset_after=False, go_backwards=True, name=f"{prefix}_gru"
    )(x)


def _normalised(name: str, x: tf.Tensor) -> tf.Tensor:
    return keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)
