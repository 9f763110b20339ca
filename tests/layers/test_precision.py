"""What attacks see has float32, at whatever depth the rest of a network computes in 16 bits."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kerastag import bounds, models
from kerastag.attacks import FGSM
from kerastag.errors import UserError
from kerastag.layers import Mend, SplitGroups, Standardize, TrackQuantities
from kerastag.layers.precision import check_precision, hidden_layers_in, precisions
from kerastag.training import AdversarialTagger
from tests.models import checks
from tests.models.test_every_model import TINY, schema_of
from tests.toy import SCALE, TOY, toy_threat_model

MODELS = {"mlp": models.mlp, "paper_mlp": models.paper_mlp, "deep_sets": models.deep_sets} | TINY
del MODELS["lipschitz_mlp"]
QUICK = ("mlp", "deep_sets", "pfn")


@contextlib.contextmanager
def policy(name):
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS if name not in QUICK)]
)
def test_every_model_computes_in_16_bits_where_no_attack_looks(name, precision, tmp_path):
    schema = schema_of(name) if name != "deep_sets" else TOY
    x = checks.made_up(schema)
    taggers = []
    for used in (None, precision):
        keras.utils.set_random_seed(3)
        with hidden_layers_in(used):
            taggers.append(MODELS[name](schema, checks.flat_statistics(schema)))
    exact, mixed = taggers
    check_precision(mixed, x.shape[1])
    assert set(precisions(mixed).values()) == {precision} and not precisions(exact)
    for one, other in zip(exact.get_weights(), mixed.get_weights(), strict=True):
        assert other.dtype == np.float32
        np.testing.assert_array_equal(one, other)
    assert mixed(x).dtype == tf.float32
    assert (mixed(x) != exact(x)).numpy().any()
    np.testing.assert_allclose(checks.probabilities(mixed, x), checks.probabilities(exact, x), atol=0.03)
    mixed.save(tmp_path / "tagger.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "tagger.keras")(x), mixed(x))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_frozen_cells_and_most_signs_are_those_of_float32(precision):
    x = checks.made_up(TOY)
    y = checks.labels(len(x), 3)
    attacked = []
    for used in (None, precision):
        keras.utils.set_random_seed(3)
        with hidden_layers_in(used):
            tagger = models.mlp(TOY, checks.flat_statistics(TOY))
        attacked.append(FGSM(toy_threat_model())(tagger, x, y).numpy())
    frozen = np.asarray(toy_threat_model().budget(x)) == 0
    assert frozen.any() and (attacked[1][frozen] == x[frozen]).all()
    assert (attacked[1] == attacked[0])[~frozen].mean() > 0.9


def features():
    return keras.Input((20,))


def scaled(x):
    return layers.Rescaling(1 / SCALE, dtype="float32")(x)


def deep(inner, depth=3):
    """A network inside of a network inside of a network."""
    for _ in range(depth):
        inputs = keras.Input(inner.input_shape[1:])
        inner = keras.Model(inputs, inner(inputs))
    return inner


def hidden(dtype="mixed_bfloat16"):
    return keras.Sequential([keras.Input((20,)), layers.Dense(8, "relu", dtype=dtype)])


def nested():
    x = features()
    return keras.Model(x, layers.Dense(3)(deep(hidden())(scaled(x))))


def wrapped():
    x = features()
    steps = layers.Reshape((5, 4))(scaled(x))
    codes = layers.Bidirectional(layers.LSTM(4, dtype="mixed_bfloat16"), dtype="mixed_bfloat16")(steps)
    return keras.Model(x, layers.Dense(3)(codes))


def under_the_policy():
    """As Keras' guide has it."""
    with policy("mixed_bfloat16"):
        x = features()
        mended = Mend.from_schema(TOY)(x)
        parts = SplitGroups.from_schema(TOY)(Standardize(np.zeros(20), SCALE, compress=True)(mended))
        code = layers.GRU(4)(parts["track"])
        return keras.Model(x, layers.Dense(3, dtype="float32")(layers.Concatenate()([parts["jet"], code])))


@keras.saving.register_keras_serializable("tests.precision")
class Own(keras.Model):
    """A class of one's own, whose layers follow its policy."""

    def __init__(self, rounds=False, **options):
        super().__init__(autocast=rounds, **options)
        self.scaled = layers.Rescaling((1 / SCALE).tolist(), dtype="float32")
        self.hidden, self.logits = layers.Dense(8, "elu", dtype=self.dtype_policy), layers.Dense(3, dtype="float32")

    def call(self, x):
        return self.logits(self.hidden(self.scaled(x)))


def called(model):
    model(np.zeros((1, 20), np.float32))
    return model


def normalised():
    """Keras normalises in float32 and rounds what comes out."""
    x = features()
    return keras.Model(x, layers.Dense(3)(layers.LayerNormalization(dtype="mixed_bfloat16")(x)))


def raw_in_a_dense_layer():
    x = features()
    return keras.Model(x, layers.Dense(3)(layers.Dense(8, dtype="mixed_bfloat16")(x)))


def raw_in_track_quantities():
    helix = {
        name: [number] for number, name in enumerate(("d0", "z0", "phi", "theta", "q_over_p", "d0_variance", "z0_variance"))
    }
    x = features()
    return keras.Model(x, layers.Dense(3)(TrackQuantities(helix, 8, dtype="mixed_bfloat16")(x)))


def raw_moved_before_it_is_rounded():
    x = features()
    moved = keras.ops.transpose(keras.ops.reshape(keras.ops.flip(x[:, :15], axis=1), (-1, 3, 5)), (0, 2, 1))
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.Dense(4, dtype="mixed_float16")(moved))))


def raw_beside_scaled():
    x = features()
    joined = layers.Concatenate()([scaled(x), x[:, :2]])
    return keras.Model(x, layers.Dense(3)(layers.Dense(4, dtype="mixed_bfloat16")(joined)))


def half_shortcut_to_the_logits():
    x = features()
    code = hidden()(scaled(x))
    shortcut = layers.Activation("linear", dtype="float32")(layers.Dense(3, dtype="mixed_bfloat16")(code))
    return keras.Model(x, layers.Add()([layers.Dense(3)(code), shortcut]))


def rescaled_logits_of_16_bits():
    x = features()
    return keras.Model(x, layers.Rescaling(2.0)(layers.Dense(3, dtype="mixed_float16")(scaled(x))))


def logits_of(dtype):
    x = features()
    return keras.Model(x, layers.Dense(3, dtype=dtype)(scaled(x)))


def everywhere(name):
    with policy(name):
        return keras.Sequential([features(), layers.Rescaling(1 / SCALE), layers.Dense(8, "relu"), layers.Dense(3)])


def nested_with_its_logits_in(name):
    with policy(name):
        inner = keras.Sequential([keras.Input((20,)), layers.Dense(8, "relu"), layers.Dense(3)])
    x = features()
    return keras.Model(x, layers.Activation("linear")(deep(inner)(scaled(x))))


FINE = {
    "nested": nested,
    "wrapped": wrapped,
    "normalised": normalised,
    "under the policy": under_the_policy,
    "a class of one's own": lambda: called(Own(dtype="mixed_bfloat16")),
}
REFUSED = {
    "bfloat16 everywhere": (lambda: everywhere("bfloat16"), "raw features and their scaling in float32"),
    "float16 everywhere": (lambda: everywhere("float16"), "rounds features to float16"),
    "mixed everywhere": (lambda: everywhere("mixed_bfloat16"), "rounds features to bfloat16"),
    "a class that rounds its input": (
        lambda: called(Own(True, dtype="mixed_bfloat16")),
        "a class of its own needs autocast=False",
    ),
    "raw in a dense layer": (raw_in_a_dense_layer, "raw features"),
    "raw in track quantities": (raw_in_track_quantities, "raw features"),
    "raw, moved": (raw_moved_before_it_is_rounded, "rounds features to float16"),
    "raw beside scaled": (raw_beside_scaled, "raw features"),
    "nested with its logits": (lambda: nested_with_its_logits_in("mixed_bfloat16"), "logits in float32"),
    "shortcut": (half_shortcut_to_the_logits, "computes them in bfloat16"),
    "rescaled": (rescaled_logits_of_16_bits, "computes them in float16"),
    "half logits": (lambda: logits_of("mixed_float16"), "Attacks need logits in float32"),
    "double logits": (lambda: logits_of("float64"), "gives them in float64"),
}


def stored(tagger, folder):
    """The same as a SavedModel in a layer, in which Keras sees nothing."""
    archive = keras.export.ExportArchive()
    archive.track(tagger)
    archive.add_endpoint("logits", lambda x: tagger(x), [tf.TensorSpec((None, 20))])
    archive.write_out(str(folder), verbose=False)
    return keras.Sequential([features(), layers.TFSMLayer(str(folder), "logits")])


@pytest.mark.parametrize("make", FINE.values(), ids=FINE)
def test_hidden_layers_may_have_16_bits_at_any_depth(make, tmp_path):
    tagger = make()
    assert precisions(tagger)
    check_precision(tagger, 20)
    check_precision(stored(tagger, tmp_path / "saved"), 20)


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_attacks_see_must_not(make, reason, tmp_path):
    tagger = make()
    with pytest.raises(UserError, match=reason):
        check_precision(tagger, 20)
    if tagger(np.zeros((1, 20), np.float32)).dtype == tf.float32:
        with pytest.raises(UserError, match=reason):
            check_precision(stored(tagger, tmp_path / "saved"), 20)


@pytest.mark.parametrize("name", ["mixed everywhere", "nested with its logits", "half logits"])
def test_trainer_refuses_it_when_it_is_made(name):
    make, reason = REFUSED[name]
    with pytest.raises(UserError, match=reason):
        AdversarialTagger(make())


def test_trainer_is_not_rounded_by_the_policy_of_the_day(toy_jets):
    tagger = nested()
    with policy("mixed_bfloat16"):
        model = AdversarialTagger(tagger)
    np.testing.assert_array_equal(model(toy_jets[0]), model.tagger(toy_jets[0]))


def test_an_attack_refuses_logits_of_16_bits(toy_jets):
    with pytest.raises(UserError, match="gives logits in float16, and attacks need float32"):
        FGSM(toy_threat_model())(logits_of("float16"), *toy_jets)


def test_weights_of_16_bits_are_not_trained(toy_jets):
    x = features()
    tagger = keras.Model(x, layers.Dense(3)(layers.Dense(8, dtype="bfloat16")(scaled(x))))
    check_precision(tagger, 20)
    model = AdversarialTagger(tagger)
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    with pytest.raises(UserError, match="in bfloat16, where small steps are lost; give the layer dtype='mixed_bfloat16'"):
        model.fit(*(values.numpy() for values in toy_jets), verbose=0)


def test_limits_are_refused_where_they_would_enclose_no_rounding(toy_jets):
    x = toy_jets[0]
    with pytest.raises(UserError, match=r"has no bounds: 'dense.*' computes in bfloat16, whose rounding"):
        bounds.worst_logits(nested(), x, x, toy_jets[1])
    with policy("mixed_bfloat16"), pytest.raises(UserError, match="'lipschitz_mlp' computes in float32 alone"):
        models.lipschitz_mlp(TOY, checks.flat_statistics(TOY))


def test_other_precisions_are_no_precisions_of_hidden_layers():
    with pytest.raises(UserError, match="Hidden layers cannot compute in 'float8'"):
        models.build("mlp", TOY, checks.flat_statistics(TOY), mixed="float8")
    assert keras.config.dtype_policy().name == "float32"
