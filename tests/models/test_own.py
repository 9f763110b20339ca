"""Networks of the user's own: fed with the parts of a jet, trained, stored and read again; or refused in one sentence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastag
from kerastag import models
from kerastag.attacks import FGSM
from kerastag.errors import UserError
from kerastag.layers import Mend, SplitGroups
from kerastag.layers.precision import precisions
from kerastag.saving import export
from kerastag.saving.trial import check_storable
from kerastag.schema import JET_FLAVOR
from kerastag.statistics import Statistics
from kerastag.training import AdversarialTagger
from tests.toy import TOY, toy_threat_model

QUICK = ("subclassed", "dictionary")
SLOW = ("gated", "convolution", "gru", "attention", "graph", "several_inputs", "tracks_alone")


@pytest.fixture(scope="session")
def toy_statistics(toy_jets):
    return Statistics.of(toy_jets[0].numpy(), TOY.defaults)


def build(name, statistics, mixed=None):
    keras.utils.set_random_seed(0)
    return models.build(f"tests.own_networks:{name}", TOY, statistics, mixed=mixed)


@pytest.mark.parametrize("schema", [TOY, JET_FLAVOR], ids=lambda schema: schema.name)
def test_splitter_puts_each_feature_where_its_name_says(schema):
    x = np.arange(2 * len(schema.features), dtype=np.float32).reshape(2, -1)
    parts = SplitGroups.from_schema(schema)(x)
    assert list(parts) == [group.name for group in schema.groups]
    column = {name: number for number, name in enumerate(schema.names)}
    for group in schema.groups:
        for number, variable in enumerate(group.variables):
            for slot in range(group.slots or 1):
                values = parts[group.name][:, number] if group.slots is None else parts[group.name][:, slot, number]
                np.testing.assert_array_equal(values, x[:, column[variable.name.format(slot=slot)]])


def test_splitter_is_differentiable_and_survives_its_config(toy_jets):
    x, layer = toy_jets[0], SplitGroups.from_schema(TOY)
    again = SplitGroups.from_config(layer.get_config())
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.add_n([tf.reduce_sum(part**2) for part in again(x).values()])
    np.testing.assert_allclose(tape.gradient(total, x), 2 * x)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_own_network_is_trained_stored_and_read_again(name, toy_jets, toy_statistics, tmp_path):
    is_trained_stored_and_read_again(build(name, toy_statistics), toy_jets, toy_statistics, tmp_path)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["mixed", "mixed_functional"])
def test_so_is_one_whose_hidden_layers_have_16_bits(name, precision, toy_jets, toy_statistics, tmp_path):
    tagger = build(name, toy_statistics, precision)
    assert set(precisions(tagger).values()) == {precision} and not precisions(build(name, toy_statistics))
    is_trained_stored_and_read_again(tagger, toy_jets, toy_statistics, tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"), [("tracks_alone", "raw features and their scaling in float32"), ("gated", "logits in float32")]
)
def test_one_that_does_not_say_what_stays_in_float32_is_told(name, sentence, toy_statistics):
    with pytest.raises(UserError, match=sentence):
        build(name, toy_statistics, "bfloat16")


def is_trained_stored_and_read_again(tagger, toy_jets, toy_statistics, tmp_path):
    x, y = toy_jets
    check_storable(tagger, TOY, toy_statistics)
    attack = FGSM(toy_threat_model(bounds=True))
    model = AdversarialTagger(tagger, attack)
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    before = tagger.get_weights()
    model.fit(x.numpy(), y.numpy(), epochs=1, batch_size=100, verbose=0)
    assert all((new != old).any() for new, old in zip(tagger.get_weights(), before, strict=True) if old.ndim > 1)
    assert (attack(tagger, x, y) != x).numpy().any()
    tagger.save(tmp_path / "tagger.keras")
    np.testing.assert_array_equal(kerastag.load(tmp_path / "tagger.keras")(x), tagger(x))
    export(tagger, TOY, toy_statistics, tmp_path / "saved_model")
    exported = kerastag.load(tmp_path / "saved_model")
    if precisions(tagger):  # a graph rounds less often
        np.testing.assert_allclose(exported(x), tagger(x), atol=0.05)
        assert np.isclose(attack(exported, x, y), attack(tagger, x, y), atol=1e-5).mean() > 0.98
    else:
        np.testing.assert_allclose(exported(x), tagger(x), atol=1e-5)
        np.testing.assert_allclose(attack(exported, x, y), attack(tagger, x, y), atol=1e-5)


def test_inputs_by_name_get_the_groups_of_that_name(toy_jets, toy_statistics):
    """The same weights on the parts, cut out by hand."""
    tagger = build("dictionary", toy_statistics)
    inner = next(layer for layer in tagger.layers if isinstance(layer, keras.Model))
    x = Mend.from_schema(TOY)(toy_jets[0]).numpy()
    track = np.stack(
        [x[:, [TOY.index(f"track_{slot}_{name}") for name in ("d0", "var", "phi", "hits")]] for slot in range(3)], 1
    )
    np.testing.assert_allclose(tagger(x), inner({"jet": x[:, :3], "track": track}), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_own_network_takes_what_files_hold(name, toy_jets, toy_statistics):
    """NaN in, NaN out: the models that come along mended raw values, those of users did not."""
    tagger, raw = build(name, toy_statistics), toy_jets[0].numpy()
    mended = raw.copy()
    raw[:5, TOY.index("track_0_d0")] = np.nan
    mended[:5, TOY.index("track_0_d0")] = TOY.defaults[TOY.index("track_0_d0")]
    np.testing.assert_array_equal(tagger(raw), tagger(mended))
    assert np.isfinite(tagger(raw)).all()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ends_in_softmax", "gives probabilities; it must give logits"),
        ("hidden_half", "Attacks need logits in float32"),
        ("two_classes", r"output of shape \('batch', 2\); it must give a logit for each of b, c, light"),
        ("of_ten_features", "fails on raw features: ValueError"),
        ("no_model", "gives a str, not a keras.Model"),
        ("other_groups", "has an input 'tracks', but the groups of toy are jet, track, vertex"),
        ("other_slots", r"takes 'track' of shape \('batch', 99, 4\), but in toy it has shape \('batch', 3, 4\)"),
    ],
)
def test_what_is_no_tagger_is_refused_before_it_is_trained(name, sentence, toy_statistics):
    with pytest.raises(UserError, match=sentence):
        build(name, toy_statistics)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("with_lambda", "holds keras.layers.Lambda"), ("unregistered", "Unregistered"), ("without_config", "get_config")],
)
def test_what_could_not_be_read_again_is_refused_before_it_is_trained(name, sentence, toy_statistics):
    tagger = build(name, toy_statistics)
    with pytest.raises(UserError, match=rf"so it is not trained: [\s\S]*{sentence}"):
        check_storable(tagger, TOY, toy_statistics)
