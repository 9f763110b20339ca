"""DeepFlavour (DeepJet) V03 of CMS: convolutions over candidates and vertices, LSTMs over their slots, dense layers.

Reference: Bols et al., JINST 15 (2020) P12012, arXiv:2008.10519, figure 3.
"""

from pathlib import Path

import keras
import tensorflow as tf

from kerastag.layers.class_logits import ClassLogits
from kerastag.layers.deep_flavour import AbsentTogether, keras2_hard_sigmoid
from kerastag.legacy.arrays import fill, frozen_graph
from kerastag.models.objects import split_groups
from kerastag.schema import DEEPFLAVOUR
from kerastag.schema.deepflavour import ABSENT

# Filters of the 1x1 convolutions and units of the LSTM of each group with slots.
_BRANCHES = {"cpf": ((64, 32, 32, 8), 150), "npf": ((32, 16, 4), 50), "vtx": ((64, 32, 32, 8), 50)}
_DENSE = (200, *7 * (100,))


def build(path: Path, classes: tuple[str, ...], name: str) -> keras.Model:
    """The tagger from raw features `(batch, 613)` to logits `(batch, 6)`.

    Args:
        path: The frozen graph.
        classes: Names of the logits.
        name: Name of the model.

    Raises:
        UserError: if the file is not that of DeepFlavour.
    """
    with_regression = network(path)
    logits = with_regression.get_layer("ID_pred").output
    return keras.Model(with_regression.input, ClassLogits(classes, name="logits")(logits), name=name)


def network(path: Path) -> keras.Model:
    """The whole network, from raw features `(batch, 613)` to logits `(batch, 6)` and the regression `(batch, 2)`.

    It has no dropout, and normalisations are frozen. The regression takes the probabilities and the jet's pT.

    Args:
        path: The frozen graph.

    Raises:
        UserError: if the file is not that of DeepFlavour.
    """
    inputs = keras.Input((len(DEEPFLAVOUR.features),), name="features")
    above_charm = [column for column, name in enumerate(DEEPFLAVOUR.names) if name.endswith("AboveCharm")]
    ratio, pt = DEEPFLAVOUR.index("trackSumJetEtRatio"), DEEPFLAVOUR.index("jet_pt")
    as_trained = AbsentTogether(ABSENT, ratio, above_charm, len(DEEPFLAVOUR.features), name="absent")(inputs)
    jet, *objects = split_groups(as_trained, DEEPFLAVOUR)
    parts = [_normalised("globals_input_batchnorm", jet)]
    parts += [_encoded(name, values) for name, values in zip(_BRANCHES, objects, strict=True)]
    x = keras.layers.Concatenate()(parts)
    for number, width in enumerate(_DENSE):
        x = keras.layers.Dense(width, activation="relu", name=f"df_dense{number}")(x)
        x = _normalised(f"df_dense_batchnorm{number}", x)
    logits = keras.layers.Dense(6, name="ID_pred")(x)
    scaled_pt = _normalised("reg_input_batchnorm", inputs[:, pt : pt + 1])
    regression_inputs = keras.layers.Concatenate()([keras.layers.Softmax()(logits), scaled_pt])
    regression = keras.layers.Dense(2, name="regression_pred")(regression_inputs)
    model = keras.Model(inputs, [logits, regression])
    fill(model, frozen_graph(path))
    return model


def _encoded(name: str, x: tf.Tensor) -> tf.Tensor:
    """Code `(batch, units)` of a group's objects, `(batch, slots, variables)`; the last slot is read first."""
    filters, units = _BRANCHES[name]
    x = _normalised(f"{name}_input_batchnorm", x)
    for number, width in enumerate(filters):
        x = keras.layers.Conv1D(width, 1, activation="relu", name=f"{name}_conv{number}")(x)
        if number < len(filters) - 1:
            x = _normalised(f"{name}_batchnorm{number}", x)
    lstm = keras.layers.LSTM(units, recurrent_activation=keras2_hard_sigmoid, go_backwards=True, name=f"{name}_lstm")
    return _normalised(f"{name}lstm_batchnorm", lstm(x))


def _normalised(name: str, x: tf.Tensor) -> tf.Tensor:
    return keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)
