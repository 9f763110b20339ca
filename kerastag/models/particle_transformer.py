"""Particle Transformer, version 1: attention among all particles, biased by features of each pair.

Later versions of the authors' code have other blocks.

Reference: Qu, Li and Qian, ICML 2022, arXiv:2202.03772.
"""

from collections.abc import Sequence

import keras

from kerastag.layers import ClassToken, PairAttention, PairFeatures, Scale
from kerastag.models.particles import Particles, joined, layer_name, of_jet, with_own
from kerastag.schema import Schema
from kerastag.statistics import Statistics


def particle_transformer(
    schema: Schema,
    statistics: Statistics,
    embedding: Sequence[int] = (128, 512, 128),
    pairs: Sequence[int] = (64, 64, 64),
    heads: int = 8,
    blocks: int = 8,
    class_blocks: int = 2,
    dropout: float = 0.1,
) -> keras.Model:
    """Blocks of attention over all particles, then a learned token that attends to them.

    Pairs bias the attention where the schema has momenta of one kind for every group with slots; otherwise nothing does. Each
    group has an embedding of its own. What a jet has beside them joins the token.

    Args:
        schema: Says which groups have slots, and what momenta their objects have.
        statistics: Statistics of the training jets.
        embedding: Widths of the embedding; the last is that of all blocks.
        pairs: Widths of the embedding of pairs, before that of a bias per head.
        heads: Heads of each attention.
        blocks: Blocks over particles.
        class_blocks: Blocks of the token.
        dropout: Rate in the blocks over particles.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`. With particles of 17 features and 10
        classes it has 2,143,486 trainable parameters.

    Raises:
        UserError: if no group of the schema has slots.
    """
    inputs = keras.Input((len(schema.features),), name="features")
    groups, own = of_jet(inputs, schema, statistics)
    code = attended(groups, embedding, pairs, heads, blocks, class_blocks, dropout)
    logits = keras.layers.Dense(len(schema.classes), dtype="float32", name="fc.0")(with_own(code, own))
    return keras.Model(inputs, logits, name="particle_transformer")


def particle_transformer_small(schema: Schema, statistics: Statistics) -> keras.Model:
    """The same with three blocks of width 64, for small samples and CPUs.

    Args:
        schema: As of `particle_transformer`.
        statistics: Statistics of the training jets.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`.

    Raises:
        UserError: if no group of the schema has slots.
    """
    return particle_transformer(schema, statistics, (64, 64), (16, 16), heads=4, blocks=3, class_blocks=1)


def attended(
    groups: Sequence[Particles],
    embedding: Sequence[int],
    pairs: Sequence[int],
    heads: int,
    blocks: int,
    class_blocks: int,
    dropout: float,
) -> keras.KerasTensor:
    """The token of a jet behind all blocks, `(batch, last embedding)`.

    Args:
        groups: Features, masks and four-vectors.
        embedding: Widths of the embedding.
        pairs: Widths of the embedding of pairs.
        heads: Heads of each attention.
        blocks: Blocks over particles.
        class_blocks: Blocks of the token.
        dropout: Rate in the blocks over particles.
    """
    names = ["embed", *(f"embed_{layer_name(group.name)}" for group in groups[1:])]
    tokens = [_embedded(group, embedding, name) for group, name in zip(groups, names, strict=True)]
    x, mask = joined(tokens), joined([group.mask for group in groups])
    vectors = joined([group.vectors for group in groups])
    bias = None if vectors is None else _pair_bias(vectors, pairs, heads)
    for number in range(blocks):
        x = _block(x, x, mask, bias, heads, dropout, f"blocks.{number}")
    token = ClassToken(name="cls_token")(x)
    mask = joined([keras.ops.ones_like(mask[:, :1]), mask])
    for number in range(class_blocks):
        token = _block(token, joined([token, x]), mask, None, heads, 0.0, f"cls_blocks.{number}")
    return keras.ops.squeeze(_normalised(token, "norm"), axis=1)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def _batch_normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def _embedded(particles: Particles, widths: Sequence[int], name: str) -> keras.KerasTensor:
    """Codes `(batch, slots, last width)`; 0 in padded slots."""
    x = _batch_normalised(particles.features, f"{name}.input_bn")
    for number, width in enumerate(widths):
        x = _normalised(x, f"{name}.embed.{3 * number}")
        x = keras.layers.Dense(width, activation="gelu", name=f"{name}.embed.{3 * number + 1}")(x)
    return x * particles.mask


def _pair_bias(vectors: keras.KerasTensor, widths: Sequence[int], heads: int) -> keras.KerasTensor:
    """Bias of each head for each pair, `(batch, slots, slots, heads)`, of momenta as of `Particles`."""
    x = _batch_normalised(PairFeatures(name="pairs")(vectors), "pair_embed.embed.0")
    for number, width in enumerate((*widths, heads)):
        x = keras.layers.Dense(width, name=f"pair_embed.embed.{3 * number + 1}")(x)
        x = keras.layers.Activation("gelu")(_batch_normalised(x, f"pair_embed.embed.{3 * number + 2}"))
    return x


def _block(
    query: keras.KerasTensor,
    objects: keras.KerasTensor,
    mask: keras.KerasTensor,
    bias: keras.KerasTensor | None,
    heads: int,
    dropout: float,
    name: str,
) -> keras.KerasTensor:
    """Attention and a dense network, each beside a shortcut, `(batch, queries, width)`.

    The query of a class block is used as it is, while all objects are normalised, the query among them.
    """
    width = query.shape[-1]
    normalised = _normalised(objects, f"{name}.pre_attn_norm")
    attention = PairAttention(heads, width, name=f"{name}.attn")
    x = attention(normalised if query is objects else query, normalised, present=mask, bias=bias)
    x = _normalised(Scale(heads, name=f"{name}.c_attn")(x), f"{name}.post_attn_norm")
    x = keras.layers.Dropout(dropout)(x) + query
    shortcut = Scale(name=f"{name}.w_resid")(x)
    x = keras.layers.Dense(4 * width, activation="gelu", name=f"{name}.fc1")(_normalised(x, f"{name}.pre_fc_norm"))
    x = _normalised(keras.layers.Dropout(dropout)(x), f"{name}.post_fc_norm")
    x = keras.layers.Dense(width, name=f"{name}.fc2")(x)
    return keras.layers.Dropout(dropout)(x) + shortcut
