"""Mistakes that are found before the first epoch, and changes between two trainings."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM
from kerastag.errors import UserError
from kerastag.training import TRADES, AdversarialTagger
from tests.toy import toy_threat_model


def compiled(tagger, attack=None, **options):
    model = AdversarialTagger(tagger, attack, **options)
    model.compile(keras.optimizers.SGD(1e-2), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def linear(activation=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((20,)), keras.layers.Dense(3, activation)])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, y: (x[:, :10], y), r"features of shape \(jets, 20\). Received: \((200|jets), 10\)"),
        (lambda x, y: (x.reshape(200, 4, 5), y), r"Received: \((200|jets), 4, 5\)"),
        (lambda x, y: (x, y[:, :2]), "Labels have 2 columns, but the tagger has 3 classes"),
        (lambda x, y: (x, y.argmax(axis=1)), "Labels are whole numbers; give keras.utils.to_categorical"),
    ],
)
@pytest.mark.parametrize("batched", [False, True], ids=["arrays", "data set"])
def test_other_shapes_are_refused_before_the_first_epoch(change, sentence, batched, toy_jets):
    data = change(*(values.numpy() for values in toy_jets))
    data = (tf.data.Dataset.from_tensor_slices(data).batch(50),) if batched else data
    model = compiled(linear(), FGSM(toy_threat_model()))
    for use in (model.fit, model.evaluate):
        with pytest.raises(UserError, match=sentence):
            use(*data, verbose=0)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, number):
        rows = slice(50 * number, 50 * number + 50)
        return self.x[rows], self.y[rows]


FORMS = {
    "one input": lambda x, y: ([x], [y]),
    "own batches": lambda x, y: (Batches(x, y),),
    "a data set": lambda x, y: (tf.data.Dataset.from_tensor_slices((x, y)).batch(50),),
}


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_that_keras_takes_gives_the_same(form, toy_jets):
    x, y = (values.numpy() for values in toy_jets)
    expected = compiled(linear(), FGSM(toy_threat_model()))
    expected.fit(x, y, batch_size=50, shuffle=False, verbose=0)
    model = compiled(linear(), FGSM(toy_threat_model()))
    data = FORMS[form](x, y)
    model.fit(*data, batch_size=50 if len(data) == 2 else None, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.tagger.get_weights()[0], expected.tagger.get_weights()[0], rtol=1e-5)
    assert model.evaluate(*data, verbose=0) == pytest.approx(expected.evaluate(x, y, verbose=0), rel=1e-4)
    np.testing.assert_allclose(model.predict(data[0], verbose=0), expected.predict(x, verbose=0), rtol=1e-4)


def test_predictions_look_at_no_labels(toy_jets):
    x, y = (values.numpy() for values in toy_jets)
    model = compiled(linear())
    with_labels = tf.data.Dataset.from_tensor_slices((x, y.argmax(axis=1))).batch(50)
    np.testing.assert_allclose(model.predict(with_labels, verbose=0), model.predict(x, verbose=0), rtol=1e-5)
    for wrong in (x[:, :10], x.reshape(200, 4, 5)):
        with pytest.raises(UserError, match="takes features of shape"):
            model.predict(wrong, verbose=0)


def test_labels_in_a_column_go_with_a_loss_of_whole_numbers(toy_jets):
    x, y = (values.numpy() for values in toy_jets)
    model = AdversarialTagger(linear())
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y.argmax(axis=1)[:, None], verbose=0)


def test_probabilities_are_noticed(toy_jets):
    x, y = (values.numpy() for values in toy_jets)
    for tagger in (linear("softmax"), keras.Sequential([linear(), keras.layers.Softmax()])):
        with pytest.raises(UserError, match="gives probabilities; attacks and losses need logits"):
            compiled(tagger).fit(x, y, verbose=0)


@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        keras.losses.CategoricalCrossentropy(),
        keras.losses.sparse_categorical_crossentropy,
        "CategoricalFocalCrossentropy",
    ],
)
def test_losses_that_take_logits_for_probabilities_are_refused(loss, toy_jets):
    model = AdversarialTagger(linear())
    model.compile("sgd", loss)
    with pytest.raises(UserError, match="takes logits for probabilities; compile with"):
        model.fit(*(values.numpy() for values in toy_jets), verbose=0)


@pytest.mark.parametrize("loss", ["kl_divergence", lambda y, logits: keras.ops.mean((y - logits) ** 2, axis=-1)])
def test_other_losses_are_the_users(loss, toy_jets):
    model = AdversarialTagger(linear())
    model.compile("sgd", loss)
    model.fit(*(values.numpy() for values in toy_jets), verbose=0)


def test_half_precision_is_found_inside_of_layers(toy_jets, tmp_path):
    x, y = (values.numpy() for values in toy_jets)
    inner = keras.Sequential([keras.Input((20,)), keras.layers.Dense(3, dtype="mixed_float16")])
    inputs = keras.Input((20,))
    tagger = keras.Model(inputs, keras.layers.Activation("linear", dtype="float32")(inner(inputs)))
    archive = keras.export.ExportArchive()
    archive.track(tagger)
    archive.add_endpoint("logits", tagger.call, [tf.TensorSpec((None, 20))])
    archive.write_out(str(tmp_path / "saved_model"), verbose=False)
    loaded = keras.Sequential([keras.Input((20,)), keras.layers.TFSMLayer(str(tmp_path / "saved_model"), "logits")])
    for model in (tagger, loaded):
        with pytest.raises(UserError, match="rounds features to float16 at"):
            compiled(model).fit(x, y, verbose=0)


def test_changed_attack_takes_effect_in_the_next_training(toy_jets):
    """As in a model that had the second threat model from the start."""
    x, y = (values.numpy() for values in toy_jets)
    tagger = linear()
    start = tagger.get_weights()
    model = compiled(tagger, FGSM(toy_threat_model(0.1)))
    model.fit(x, y, verbose=0, shuffle=False)
    model.attack.threat_model = toy_threat_model(3.0)
    tagger.set_weights(start)
    model.fit(x, y, verbose=0, shuffle=False)
    other = compiled(linear(), FGSM(toy_threat_model(3.0)))
    other.fit(x, y, verbose=0, shuffle=False)
    np.testing.assert_array_equal(tagger.get_weights()[0], other.tagger.get_weights()[0])
    model.defense = TRADES(FGSM(toy_threat_model(3.0)))
    for trainer in (model, compiled(linear(), defense=TRADES(FGSM(toy_threat_model(3.0))))):
        trainer.tagger.set_weights(start)
        trainer.fit(x, y, verbose=0, shuffle=False)
        np.testing.assert_array_equal(trainer.tagger.get_weights()[0], model.tagger.get_weights()[0])
    with pytest.raises(AttributeError, match="attack"):
        model.attack = FGSM(toy_threat_model(1.0))


def test_export_gives_the_tagger(toy_jets, tmp_path):
    x, y = (values.numpy() for values in toy_jets)
    model = compiled(linear(), FGSM(toy_threat_model(0.1)))
    model.fit(x, y, verbose=0)
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))  # owns the variables
    np.testing.assert_allclose(exported.serve(x), model.tagger(x), atol=1e-5)
