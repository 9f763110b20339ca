"""Particle Flow Network: a sum over the codes of all particles.

Reference: Komiske, Metodiev and Thaler, JHEP 01 (2019) 121, arXiv:1810.05165.
"""

from collections.abc import Sequence

import keras

from kerastag.models.particles import as_one_set, of_jet, with_own
from kerastag.schema import Schema
from kerastag.statistics import Statistics


def pfn(
    schema: Schema,
    statistics: Statistics,
    encoder: Sequence[int] = (100, 100, 256),
    hidden: Sequence[int] = (100, 100, 100),
) -> keras.Model:
    """The sum of the codes of all particles, `encoder`, and dense layers behind it, `hidden`.

    `deep_sets` is its like for few jets: a smaller encoder for each group, and dropout. Several groups with slots become one
    set here, each behind a layer of its own. What a jet has beside them joins the sum.

    Args:
        schema: Says which groups have slots.
        statistics: Statistics of the training jets.
        encoder: Widths of the layers that each particle passes, Φ of the paper.
        hidden: Widths of the layers behind the sum, F of the paper.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`. With particles of 4 features and 2 classes
        it has 82,558 parameters.

    Raises:
        UserError: if no group of the schema has slots.
    """
    inputs = keras.Input((len(schema.features),), name="features")
    groups, own = of_jet(inputs, schema, statistics)
    particles = as_one_set(groups)
    x = particles.features
    for width in encoder:
        x = keras.layers.Dense(width, activation="relu", kernel_initializer="he_uniform")(x)
    x = with_own(keras.ops.sum(x * particles.mask, axis=1), own)
    for width in hidden:
        x = keras.layers.Dense(width, activation="relu", kernel_initializer="he_uniform")(x)
    return keras.Model(inputs, keras.layers.Dense(len(schema.classes), dtype="float32", name="logits")(x), name="pfn")
