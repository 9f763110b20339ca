"""Fully connected taggers."""

from typing import Any

import keras

from kerastag.layers import Mend, PresenceFlags, Standardize, TrackQuantities
from kerastag.schema import Schema
from kerastag.statistics import Statistics


def mlp(schema: Schema, statistics: Statistics, hidden: tuple[int, ...] = (256, 256), dropout: float = 0.4) -> keras.Model:
    """A network on robustly scaled features, presence flags and, where the schema has helices, `TrackQuantities`.

    Args:
        schema: Says which columns there are and which objects may be absent.
        statistics: Statistics of the training jets.
        hidden: Widths of the hidden layers.
        dropout: Rate after each hidden layer.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`.
    """
    inputs = keras.Input((len(schema.features),), name="features")
    features = Mend.from_schema(schema, name="mended")(inputs)
    scaled = Standardize.robust(schema, statistics, name="scaled")(features)
    parts = [scaled, PresenceFlags(schema.optional_objects, schema.defaults, name="present")(features)]
    if schema.helix:
        parts.append(TrackQuantities.from_schema(schema, name="track_quantities")(features))
    x = keras.layers.Concatenate()(parts)
    for width in hidden:
        x = keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, keras.layers.Dense(len(schema.classes), dtype="float32", name="logits")(x), name="mlp")


def paper_mlp(schema: Schema, statistics: Statistics) -> keras.Model:
    """The network of arXiv:2203.13890: five hidden layers of 100, dropout 0.1 after the first four.

    Features are standardised by mean and σ, absent cells included. Initial weights and biases are U(±1/sqrt(fan_in)) as in
    PyTorch. 184 inputs give 59,203 parameters.

    Args:
        schema: Says which columns there are.
        statistics: Statistics of the training jets.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`.
    """
    inputs = keras.Input((len(schema.features),), name="features")
    features = Mend.from_schema(schema, name="mended")(inputs)
    x = Standardize(statistics.mean, statistics.sigma, names=schema.names, name="scaled")(features)
    for number in range(5):
        x = _dense_like_pytorch(100, x.shape[-1], activation="relu")(x)
        if number < 4:
            x = keras.layers.Dropout(0.1)(x)
    logits = _dense_like_pytorch(len(schema.classes), x.shape[-1], dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="paper_mlp")


def _dense_like_pytorch(units: int, fan_in: int, **options: Any) -> keras.layers.Dense:
    limit = fan_in**-0.5
    kernel, bias = (keras.initializers.RandomUniform(-limit, limit) for _ in range(2))
    return keras.layers.Dense(units, kernel_initializer=kernel, bias_initializer=bias, **options)
