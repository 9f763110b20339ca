"""Networks, an attack and an objective as users write them, named on command lines as tests.own_networks:…"""

import keras
import tensorflow as tf
from keras import layers, ops

from kerastag.attacks import Attack
from kerastag.layers import SplitGroups, Standardize
from kerastag.training import Defense


@keras.saving.register_keras_serializable("tests.own")
class Gate(layers.Layer):
    """A layer of one's own."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * ops.sigmoid(self.weight)


@keras.saving.register_keras_serializable("tests.own")
class Subclassed(keras.Model):
    """A model whose graph Keras does not know, on the parts of a jet."""

    def __init__(self, groups, center, scale, units=8, **options):
        super().__init__(**options)
        self.groups, self.center, self.scale, self.units = groups, center, scale, units
        self.scaled = Standardize(center, scale, compress=True)
        self.parts = SplitGroups(groups)
        self.tracks, self.hidden, self.logits = layers.GRU(units), layers.Dense(units, "elu"), layers.Dense(3)

    def call(self, x, training=None):
        parts = self.parts(self.scaled(x))
        return self.logits(self.hidden(ops.concatenate([parts["jet"], self.tracks(parts["track"])], axis=-1)))

    def get_config(self):
        return super().get_config() | {name: getattr(self, name) for name in ("groups", "center", "scale", "units")}


@keras.saving.register_keras_serializable("tests.own")
class Mixed(keras.Model):
    """A class whose hidden layers take Keras' policy, also when it is read again under another."""

    def __init__(self, center, scale, **options):
        super().__init__(autocast=False, **options)
        self.center, self.scale = center, scale
        self.scaled = Standardize(center, scale, compress=True)
        self.hidden, self.logits = layers.Dense(8, "elu", dtype=self.dtype_policy), layers.Dense(3, dtype="float32")

    def call(self, x):
        return self.logits(self.hidden(self.scaled(x)))

    def get_config(self):
        return super().get_config() | {"center": self.center, "scale": self.scale}


@keras.saving.register_keras_serializable("tests.own")
class WithoutConfig(keras.Model):
    def __init__(self, classes, **options):
        super().__init__(**options)
        self.logits = layers.Dense(classes)

    def call(self, x):
        return self.logits(x)


class Unregistered(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.logits = layers.Dense(3)

    def call(self, x):
        return self.logits(x)


def _scaled(schema, statistics):
    inputs = keras.Input((len(schema.features),))
    return inputs, Standardize.robust(schema, statistics)(inputs)


def gated(schema, statistics):
    inputs, x = _scaled(schema, statistics)
    return keras.Model(inputs, layers.Dense(3)(Gate()(x)))


def subclassed(schema, statistics):
    groups = SplitGroups.from_schema(schema).groups
    return Subclassed(groups, statistics.median.tolist(), statistics.sigma.tolist())


def mixed(schema, statistics):
    return Mixed(statistics.median.tolist(), statistics.sigma.tolist())


def mixed_functional(schema, statistics):
    """Of Keras' layers alone; normalisations compute in float32 by themselves, the last one says so."""
    inputs = _inputs_of_groups(schema)
    jet, track = (layers.LayerNormalization()(inputs[name]) for name in ("jet", "track"))
    code = layers.Dense(8, "relu")(layers.Concatenate()([jet, layers.GRU(4)(track)]))
    return keras.Model(inputs, layers.Dense(3, dtype="float32")(code))


def _of_tracks(schema, statistics, encode):
    inputs, x = _scaled(schema, statistics)
    parts = SplitGroups.from_schema(schema)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([parts["jet"], encode(parts["track"])])))


def convolution(schema, statistics):
    return _of_tracks(schema, statistics, lambda x: layers.GlobalMaxPooling1D()(layers.Conv1D(8, 2, activation="relu")(x)))


def gru(schema, statistics):
    return _of_tracks(schema, statistics, layers.Bidirectional(layers.GRU(4)))


def attention(schema, statistics):
    return _of_tracks(
        schema, statistics, lambda x: layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 4)(x, layers.Dense(4)(x)))
    )


def graph(schema, statistics):
    """Edges to the nearest tracks, as in ParticleNet."""

    def encode(x):
        distance = ops.sum((x[:, :, None] - x[:, None]) ** 2, axis=-1)
        _, nearest = ops.top_k(-distance, 2)
        neighbours = ops.take_along_axis(x[:, None], nearest[..., None], axis=2)
        edges = layers.Dense(8, "relu")(ops.concatenate([neighbours, neighbours - x[:, :, None]], axis=-1))
        return ops.mean(ops.max(edges, axis=2), axis=1)

    return _of_tracks(schema, statistics, encode)


def _inputs_of_groups(schema):
    groups = {group.name: group for group in schema.groups}
    jet, track = groups["jet"], groups["track"]
    return {
        "track": keras.Input((track.slots, len(track.variables)), name="track"),
        "jet": keras.Input((len(jet.variables),), name="jet"),
    }


def _logits_of_groups(inputs):
    # As many do, without any scaling but that of a layer.
    tracks = layers.GRU(4)(layers.LayerNormalization()(inputs["track"]))
    return layers.Dense(3)(layers.Concatenate()([layers.LayerNormalization()(inputs["jet"]), tracks]))


def dictionary(schema, statistics):
    inputs = _inputs_of_groups(schema)
    return keras.Model(inputs, _logits_of_groups(inputs))


def several_inputs(schema, statistics):
    inputs = _inputs_of_groups(schema)
    return keras.Model(list(inputs.values()), _logits_of_groups(inputs))


def tracks_alone(schema, statistics):
    tracks = _inputs_of_groups(schema)["track"]
    return keras.Model(tracks, layers.Dense(3)(layers.GRU(4)(tracks)))


def other_groups(schema, statistics):
    tracks = keras.Input((3, 4), name="tracks")
    return keras.Model([tracks], layers.Dense(3)(layers.GRU(4)(tracks)))


def other_slots(schema, statistics):
    tracks = keras.Input((99, 4), name="track")
    return keras.Model(tracks, layers.Dense(3)(layers.GRU(4)(tracks)))


def with_lambda(schema, statistics):
    inputs, x = _scaled(schema, statistics)
    return keras.Model(inputs, layers.Dense(3)(layers.Lambda(lambda x: x / 2)(x)))


def unregistered(schema, statistics):
    return Unregistered()


def without_config(schema, statistics):
    return WithoutConfig(len(schema.classes))


def ends_in_softmax(schema, statistics):
    inputs, x = _scaled(schema, statistics)
    return keras.Model(inputs, layers.Dense(3, "softmax")(x))


def hidden_half(schema, statistics):
    inputs, x = _scaled(schema, statistics)
    inner = keras.Sequential([keras.Input(x.shape[1:]), layers.Dense(3, dtype="mixed_float16")])
    return keras.Model(inputs, layers.Activation("linear", dtype="float32")(inner(x)))


def two_classes(schema, statistics):
    inputs, x = _scaled(schema, statistics)
    return keras.Model(inputs, layers.Dense(2)(x))


def of_ten_features(schema, statistics):
    inputs = keras.Input((10,))
    return keras.Model(inputs, layers.Dense(3)(inputs))


def no_model(schema, statistics):
    return "a network"


@keras.saving.register_keras_serializable("tests.own")
class Halfway(Attack):
    """Half of FGSM's step."""

    def __init__(self, box, objective="cross_entropy"):
        super().__init__(box, objective)

    def perturb(self, box, objective):
        _, direction = objective.ascend(box.x)
        return box.project(box.x + 0.5 * box.budget * direction)


@keras.saving.register_keras_serializable("tests.own")
class Partly(Defense):
    """A share of each batch is attacked."""

    def __init__(self, attack, share=0.5):
        self.attack, self.share = attack, share

    def batch(self, tagger, x, y, w, step):
        attacked = tf.range(tf.shape(x)[0]) < tf.cast(self.share * tf.cast(tf.shape(x)[0], tf.float32), tf.int32)
        return tf.where(attacked[:, None], tf.stop_gradient(self.attack(tagger, x, y)), x), y, w

    def get_config(self):
        return {"attack": keras.saving.serialize_keras_object(self.attack), "share": self.share}


class Demanding(Partly):
    def __init__(self, attack, temperature):
        super().__init__(attack)


class Forgetful(Defense):
    pass


@keras.saving.register_keras_serializable("tests.own")
def against_truth(y, logits):
    """Minus the logit of the true class."""
    return -tf.reduce_sum(y * logits, axis=-1)
