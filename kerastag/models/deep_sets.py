"""A tagger that treats all tracks alike, and all vertices: one small encoder each, applied to every slot."""

import keras

from kerastag.layers import Mend, PresenceFlags, Standardize, split_columns
from kerastag.models.objects import split_groups
from kerastag.schema import Schema
from kerastag.statistics import Statistics


def deep_sets(
    schema: Schema,
    statistics: Statistics,
    encoder: tuple[int, ...] = (64, 64),
    hidden: tuple[int, ...] = (128,),
    dropout: float = 0.5,
) -> keras.Model:
    """Encode each track and vertex, add the codes up, and classify the sums beside the jet's own features.

    Sharing the encoder over the slots makes every jet several training examples of a track, which is what small samples
    lack. Features are robustly scaled; absent objects contribute nothing.

    Reference: Zaheer et al., Deep Sets, arXiv:1703.06114; for flavour tagging ATL-PHYS-PUB-2020-014.

    Args:
        schema: Says which columns belong to which object.
        statistics: Statistics of the training jets.
        encoder: Widths of the layers applied to each track or vertex.
        hidden: Widths of the layers behind the sums.
        dropout: Rate before and after each hidden layer.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`.
    """
    inputs = keras.Input((len(schema.features),), name="features")
    features = Mend.from_schema(schema, name="mended")(inputs)
    scaled = Standardize.robust(schema, statistics, name="scaled")(features)
    present = PresenceFlags(schema.optional_objects, schema.defaults, name="present")(features)
    flags = split_columns(present, [group.optional * (group.slots or 1) for group in schema.groups])
    parts = [present]
    for group, values, flag in zip(schema.groups, split_groups(scaled, schema), flags, strict=True):
        parts.append(values if group.slots is None else _pooled(values, flag, encoder))
    x = keras.layers.Dropout(dropout)(keras.layers.Concatenate()(parts))
    for width in hidden:
        x = keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, keras.layers.Dense(len(schema.classes), dtype="float32", name="logits")(x), name="deep_sets")


def _pooled(x: keras.KerasTensor, present: keras.KerasTensor, encoder: tuple[int, ...]) -> keras.KerasTensor:
    """Sum of the codes of a group's objects, `(batch, code)`, from `(batch, slots, variables)` and flags `(batch, slots)`."""
    for width in encoder:
        x = keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")(x)
    return keras.layers.Dot(axes=1)([x, present])
