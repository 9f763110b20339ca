"""Networks as physicists build them are exported, saved and loaded, whatever Keras makes of their layers."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerastag
from kerastag.saving import export
from kerastag.statistics import Statistics
from tests.toy import TOY


@keras.saving.register_keras_serializable("tests")
class Gate(layers.Layer):
    """A layer of somebody's own."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * ops.sigmoid(self.weight)


@keras.saving.register_keras_serializable("tests")
class Counter(layers.Layer):
    """One that makes a variable by itself, with a value."""

    def __init__(self, **options):
        super().__init__(**options)
        self.calls = keras.Variable(0.0, trainable=False)

    def call(self, x):
        return x + 0 * self.calls


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A tagger whose graph Keras does not know."""

    def __init__(self, **options):
        super().__init__(**options)
        self.logits = layers.Dense(3)

    def call(self, x):
        return self.logits(x)


def normalized():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(size=(50, 20)))
    return layer


def nested():
    inner = keras.Sequential([keras.Input((20,)), layers.Dense(8, "relu"), layers.Dense(4)])
    return inner


def with_lora():
    layer = layers.Dense(8)
    layer.build((None, 20))
    layer.enable_lora(2)
    return layer


def tracks(layer):
    """A layer of a jet's tracks, five of four features each."""
    return lambda x: layers.Flatten()(layer(layers.Reshape((5, 4))(x)))


def attention(x):
    x = layers.Reshape((5, 4))(x)
    return layers.Flatten()(layers.MultiHeadAttention(2, 3)(x, x, attention_mask=ops.ones((1, 5, 5), "bool")))


def nearest_neighbours(x):
    """As in ParticleNet: distances of tracks, the nearest, their features."""
    x = layers.Reshape((5, 4))(x)
    distance = ops.sum((x[:, :, None] - x[:, None]) ** 2, axis=-1)
    _, index = ops.top_k(-distance, 3)
    gathered = ops.take_along_axis(x[:, None], index[..., None], axis=2)
    return layers.Flatten()(ops.max(gathered - x[:, :, None], axis=2))


def sorted_and_summed(x):
    order = ops.argsort(x, axis=-1)
    best = ops.one_hot(ops.argmax(x, axis=-1), 20)
    return ops.concatenate([ops.take_along_axis(x, order, axis=-1), ops.cumsum(x, axis=-1), best], axis=-1)


def covariance(x):
    x = ops.reshape(x, (-1, 5, 4))
    matrix = ops.einsum("bni,bnj->bij", x, x) + ops.eye(4)
    return ops.concatenate([layers.Flatten()(ops.cholesky(matrix)), ops.linalg.eigh(matrix)[0]], axis=-1)


NETWORKS = {
    "dense": layers.Dense(8, "gelu"),
    "normalization": lambda x: normalized()(x),
    "constant normalization": layers.Normalization(mean=[0.5] * 20, variance=[2.0] * 20),
    "batch normalization": layers.BatchNormalization(),
    "layer normalization": layers.LayerNormalization(),
    "unit normalization": layers.UnitNormalization(),
    "dropout and noise": lambda x: layers.GaussianNoise(0.1)(layers.GaussianDropout(0.1)(layers.AlphaDropout(0.1)(x))),
    "activations": lambda x: layers.PReLU()(layers.LeakyReLU()(layers.ELU()(ops.silu(ops.softplus(x))))),
    "LSTM": tracks(layers.LSTM(3)),
    "GRU, both ways": tracks(layers.Bidirectional(layers.GRU(3, return_sequences=True))),
    "simple RNN": tracks(layers.SimpleRNN(3)),
    "convolution": tracks(layers.Conv1D(3, 2, padding="same")),
    "separable convolution": tracks(layers.SeparableConv1D(3, 2)),
    "transposed convolution": tracks(layers.Conv1DTranspose(3, 2)),
    "pooling": tracks(layers.GlobalAveragePooling1D()),
    "upsampling": lambda x: layers.Flatten()(layers.UpSampling2D(2, interpolation="bilinear")(layers.Reshape((5, 4, 1))(x))),
    "attention": attention,
    "time distributed": tracks(layers.TimeDistributed(layers.Dense(2))),
    "masking": lambda x: layers.LSTM(3)(layers.Masking()(layers.Reshape((5, 4))(x))),
    "embedding": lambda x: layers.Flatten()(layers.Embedding(7, 2)(ops.cast(ops.clip(x, 0, 6), "int32"))),
    "einsum": layers.EinsumDense("ab,bc->ac", 8),
    "nearest neighbours": nearest_neighbours,
    "sorting and sums": sorted_and_summed,
    "matrices": covariance,
    "lora": lambda x: with_lora()(x),
    "nested": lambda x: nested()(x),
    "registered layer": lambda x: Gate()(x),
    "layer with a variable of its own": lambda x: Counter()(x),
}


def test_a_subclassed_model_is_loaded(tmp_path):
    tagger, x = Subclassed(), np.ones((2, 20), np.float32)
    logits = tagger(x)
    tagger.save(tmp_path / "tagger.keras")
    np.testing.assert_array_equal(kerastag.load(tmp_path / "tagger.keras")(x), logits)


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_and_saved_networks_are_loaded(name, tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((20,))
    tagger = keras.Model(inputs, layers.Dense(3)(NETWORKS[name](inputs)))
    x = np.random.default_rng(1).normal(size=(6, 20)).astype(np.float32)
    ones = np.ones(20)
    tagger.save(tmp_path / "tagger.keras")
    np.testing.assert_array_equal(kerastag.load(tmp_path / "tagger.keras")(x), tagger(x))
    export(tagger, TOY, Statistics(ones, ones, ones, ones, ones), tmp_path / "saved_model")
    np.testing.assert_allclose(kerastag.load(tmp_path / "saved_model")(x), tagger(x), atol=1e-5)
