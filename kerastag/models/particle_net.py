"""ParticleNet: convolutions over the graph of nearest neighbours, which is drawn anew from what each block has learned.

Reference: Qu and Gouskos, Phys. Rev. D 101 (2020) 056019, arXiv:1902.08570.
"""

from collections.abc import Sequence

import keras

from kerastag.layers import EdgeFeatures
from kerastag.models.particles import Particles, as_one_set, masked_mean, of_jet, with_own
from kerastag.schema import Schema
from kerastag.statistics import Statistics


def particle_net(
    schema: Schema,
    statistics: Statistics,
    neighbours: int = 16,
    channels: Sequence[Sequence[int]] = ((64, 64, 64), (128, 128, 128), (256, 256, 256)),
    hidden: Sequence[int] = (256,),
    dropout: float = 0.1,
) -> keras.Model:
    """Three EdgeConv blocks over all particles, their mean, and a dense layer.

    Neighbours are near in Δη and Δφ first. Where the schema has no directions, they are near in all scaled features instead.
    Which of several equally near ones are taken depends on their features, and not on their slots as in the original.
    Several groups with slots become one set, each behind a layer of its own. What a jet has beside them joins the mean.

    Args:
        schema: Says which groups have slots, and where their objects point.
        statistics: Statistics of the training jets.
        neighbours: Of each particle, less where there are fewer slots.
        channels: Widths of the three convolutions of each block.
        hidden: Widths of the layers behind the mean.
        dropout: Rate after each of them.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`. With particles of 7 features and 2 classes
        it has 366,160 trainable parameters.

    Raises:
        UserError: if no group of the schema has slots.
    """
    inputs = keras.Input((len(schema.features),), name="features")
    groups, own = of_jet(inputs, schema, statistics)
    pooled = with_own(edge_convolved(as_one_set(groups), neighbours, channels), own)
    return keras.Model(inputs, head(pooled, hidden, dropout, len(schema.classes)), name="particle_net")


def particle_net_lite(schema: Schema, statistics: Statistics) -> keras.Model:
    """ParticleNet-Lite of the same paper: two narrower blocks of 7 neighbours, 26,122 parameters for 4 features and 2 classes.

    Args:
        schema: As of `particle_net`.
        statistics: Statistics of the training jets.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`.

    Raises:
        UserError: if no group of the schema has slots.
    """
    return particle_net(schema, statistics, 7, ((32, 32, 32), (64, 64, 64)), (128,))


def edge_convolved(particles: Particles, neighbours: int, channels: Sequence[Sequence[int]]) -> keras.KerasTensor:
    """What the blocks make of a jet's particles, `(batch, last channels)`, a mean over the particles that exist.

    Args:
        particles: Features, mask and coordinates.
        neighbours: Of each particle.
        channels: Widths of the convolutions of each block.
    """
    mask = particles.mask
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="bn_fts")(particles.features) * mask
    points = x if particles.points is None else particles.points
    for number, widths in enumerate(channels):
        x = _edge_conv(x, points, mask, neighbours, widths, f"edge_convs.{number}") * mask
        points = x
    return masked_mean(x, mask)


def head(x: keras.KerasTensor, hidden: Sequence[int], dropout: float, classes: int) -> keras.KerasTensor:
    """Logits `(batch, classes)` of a jet's code `(batch, channels)`.

    Args:
        x: The code.
        hidden: Widths of dense layers.
        dropout: Rate after each of them.
        classes: Number of logits.
    """
    for number, width in enumerate(hidden):
        x = keras.layers.Dense(width, activation="relu", name=f"fc.{number}.0")(x)
        x = keras.layers.Dropout(dropout)(x)
    return keras.layers.Dense(classes, dtype="float32", name=f"fc.{len(hidden)}")(x)


def _edge_conv(
    x: keras.KerasTensor,
    points: keras.KerasTensor,
    mask: keras.KerasTensor,
    neighbours: int,
    widths: Sequence[int],
    name: str,
) -> keras.KerasTensor:
    """Mean over the edges of each particle beside a shortcut, `(batch, slots, last width)`."""
    edges = EdgeFeatures(neighbours, name=f"{name}.graph")(points, x, mask)
    for number, width in enumerate(widths):
        edges = keras.layers.Dense(width, use_bias=False, name=f"{name}.convs.{number}")(edges)
        edges = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}.bns.{number}")(edges)
        edges = keras.layers.ReLU()(edges)
    shortcut = keras.layers.Dense(widths[-1], use_bias=False, name=f"{name}.sc")(x)
    shortcut = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}.sc_bn")(shortcut)
    return keras.layers.ReLU()(shortcut + keras.ops.mean(edges, axis=2))
