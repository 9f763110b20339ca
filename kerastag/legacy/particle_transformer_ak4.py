"""RobustParTAK4 of CMS: a Particle Transformer for AK4 jets, trained nominally or adversarially.

Embeddings of charged and neutral candidates and of vertices are 62 tokens; three layers of attention, biased by features of
pairs, let them see each other, and a class token gathers what they say.

Reference: Qu, Li and Qian, arXiv:2202.03772.
"""

from pathlib import Path

import keras
import tensorflow as tf

from kerastag.layers import ClassLogits, ClassToken, PairAttention, PairFeaturesAK4, PairMatrix
from kerastag.legacy.arrays import fill, torch_onnx
from kerastag.models.objects import split_groups
from kerastag.schema import PARTICLE_TRANSFORMER_AK4
from kerastag.schema.particle_transformer_ak4 import FOUR_VECTOR

# Numbers in the names of the 1x1 convolutions of each group.
_EMBEDDINGS = {"cpf": (1, 2, 3), "npf": (1, 3), "vtx": (1, 2, 3)}
_WIDTH, _HIDDEN, _HEADS, _PAIR_WIDTH = 128, 512, 8, 64
_LAYERS = 3


def build(path: Path, classes: tuple[str, ...], name: str) -> keras.Model:
    """The tagger from raw features `(batch, 1016)` to logits `(batch, 6)`, without the dropout of the training.

    A slot is empty where px is 0, or below 1e-38 GeV, which TensorFlow takes for 0 and the original does not. A jet of which
    all slots are empty, for which the original gives NaN, gets what the class token says alone.

    Args:
        path: The ONNX file.
        classes: Names of the logits.
        name: Name of the model.

    Raises:
        UserError: if the file is not that of the tagger.
    """
    inputs = keras.Input((len(PARTICLE_TRANSFORMER_AK4.features),), name="features")
    groups = split_groups(inputs, PARTICLE_TRANSFORMER_AK4)
    parts = [keras.ops.split(group, [group.shape[-1] - len(FOUR_VECTOR)], axis=-1) for group in groups]
    tokens = _joined([_embedded(prefix, values) for prefix, (values, _) in zip(_EMBEDDINGS, parts, strict=True)])
    vectors = _joined([vector for _, vector in parts])
    exists = keras.ops.cast(vectors[..., :1] != 0, "float32")
    bias = _bias(vectors)
    for number in range(_LAYERS):
        tokens = _encoded(f"Encoder.layers.{number}", tokens, exists, bias)
    summary = _summarised("CLS_EncoderLayer1", tokens, exists)
    logits = keras.layers.Dense(len(classes), name="Linear")(_normalised("cls_norm", summary[:, 0]))
    model = keras.Model(inputs, ClassLogits(classes, name="logits")(logits), name=name)
    fill(model, torch_onnx(path))
    return model


def _embedded(prefix: str, x: tf.Tensor) -> tf.Tensor:
    """Tokens `(batch, slots, 128)` of a group's objects, `(batch, slots, variables)`."""
    prefix = f"InputProcess.{prefix}"
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{prefix}_bn0")(x)
    for number in _EMBEDDINGS[prefix.removeprefix("InputProcess.")]:
        x = _dense(f"{prefix}_conv{number}.lin", _WIDTH, x, "gelu")
        x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{prefix}_conv{number}.bn1")(x)
    return x


def _bias(vectors: tf.Tensor) -> tf.Tensor:
    """What is added to the scores of attention, `(batch, slots, slots, heads)`, from four-vectors `(batch, slots, 4)`."""
    x, places = PairFeaturesAK4(name="pair_features")(vectors)
    x = keras.layers.BatchNormalization(epsilon=1e-5, name="pair_embed.embed.0")(x)
    x = keras.layers.Activation("gelu")(x)
    for number in (2, 5):  # their normalisations are folded into them
        x = _dense(f"pair_embed.embed.embed.{number}", _PAIR_WIDTH, x, "gelu")
    x = _dense("pair_embed.embed.embed.8", _HEADS, x)
    return PairMatrix(name="pair_matrix")(x, places, vectors)


def _encoded(name: str, x: tf.Tensor, exists: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Tokens that have seen each other, `(batch, slots, 128)`."""
    normalised = _normalised(f"{name}.norm0", x)
    attention = PairAttention(_HEADS, _WIDTH, name=f"{name}.self_attn")
    return _fed_forward(name, x + attention(normalised, normalised, exists, bias))


def _summarised(name: str, x: tf.Tensor, exists: tf.Tensor) -> tf.Tensor:
    """The class token after it has seen all tokens and itself, `(batch, 1, 128)`."""
    token = ClassToken(name="cls_token")(x)
    everything = _normalised(f"{name}.norm0b", _joined([token, x]))
    exists = keras.ops.pad(exists, ((0, 0), (1, 0), (0, 0)), constant_values=1.0)
    attention = PairAttention(_HEADS, _WIDTH, name=f"{name}.self_attn")
    return _fed_forward(name, token + attention(_normalised(f"{name}.norm0a", token), everything, exists))


def _fed_forward(name: str, x: tf.Tensor) -> tf.Tensor:
    """The second half of a layer; it adds to what is normalised already."""
    x = _normalised(f"{name}.norm1", x)
    hidden = _normalised(f"{name}.norm2", _dense(f"{name}.linear1", _HIDDEN, x, "gelu"))
    return x + _dense(f"{name}.linear2", _WIDTH, hidden)


def _normalised(name: str, x: tf.Tensor) -> tf.Tensor:
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def _dense(name: str, width: int, x: tf.Tensor, activation: str | None = None) -> tf.Tensor:
    return keras.layers.Dense(width, activation=activation, name=name)(x)


def _joined(parts: list[tf.Tensor]) -> tf.Tensor:
    return keras.layers.Concatenate(axis=1)(parts)
