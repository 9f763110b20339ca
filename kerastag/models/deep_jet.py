"""DeepJet, the network of CMS's DeepFlavour: convolutions over the objects of each group, recurrence over their slots.

Reference: Bols et al., JINST 15 (2020) P12012, arXiv:2008.10519, figure 3.
"""

from collections.abc import Sequence

import keras

from kerastag.models.particles import Particles, of_jet, with_own
from kerastag.schema import Schema
from kerastag.statistics import Statistics

# Widths of the convolutions and units of the LSTM, for objects of many variables and for others.
_WIDE, _NARROW = (64, 32, 32, 8), (32, 16, 4)
_MANY_VARIABLES, _MANY_SLOTS = 8, 10
_LARGE, _SMALL = 150, 50


def deep_jet(
    schema: Schema,
    statistics: Statistics,
    hidden: Sequence[int] = (200, *7 * (100,)),
    dropout: float = 0.1,
) -> keras.Model:
    """Each object of a group passes the same layers, an LSTM reads their codes from the last slot to the first.

    As CMS has them, objects of 8 variables or more pass layers of 64, 32, 32 and 8, others of 32, 16 and 4. The LSTM has 150
    units for 10 such slots or more, otherwise 50. The order of the slots counts, and padded slots are passed over.

    Args:
        schema: Says which groups have slots.
        statistics: Statistics of the training jets.
        hidden: Widths of the dense layers behind the LSTMs.
        dropout: Rate after each layer.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`.

    Raises:
        UserError: if no group of the schema has slots.
    """
    inputs = keras.Input((len(schema.features),), name="features")
    groups, own = of_jet(inputs, schema, statistics)
    codes = [_read_backwards(group, dropout) for group in groups]
    x = codes[0] if len(codes) == 1 else keras.layers.Concatenate()(codes)
    x = with_own(x, None if own is None else _normalised(own))
    for width in hidden:
        x = keras.layers.Dense(width, activation="relu", kernel_initializer="lecun_uniform")(x)
        x = keras.layers.Dropout(dropout)(_normalised(x))
    return keras.Model(inputs, keras.layers.Dense(len(schema.classes), dtype="float32", name="logits")(x), name="deep_jet")


def _read_backwards(group: Particles, dropout: float) -> keras.KerasTensor:
    """Code of a group, `(batch, units)`."""
    slots, variables = group.features.shape[1:]
    many = variables >= _MANY_VARIABLES
    x = _normalised(group.features)
    widths = _WIDE if many else _NARROW
    for number, width in enumerate(widths):
        x = keras.layers.Conv1D(width, 1, activation="relu", kernel_initializer="lecun_uniform")(x)
        if number < len(widths) - 1:
            x = keras.layers.Dropout(dropout)(_normalised(x))
    units = _LARGE if many and slots >= _MANY_SLOTS else _SMALL
    lstm = keras.layers.LSTM(units, go_backwards=True)
    present = keras.ops.squeeze(group.mask, -1) > 0
    return keras.layers.Dropout(dropout)(_normalised(lstm(x, mask=present)))


def _normalised(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(momentum=0.6, epsilon=1e-3)(x)
