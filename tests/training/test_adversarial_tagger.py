import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import models
from kerastag.attacks import FGSM, PGD, ThreatModel
from kerastag.errors import UserError
from kerastag.layers.mending import beyond_ranges
from kerastag.metrics import discriminator_auc
from kerastag.request import PAPER, PHYSICS
from kerastag.training.adversarial_tagger import AdversarialTagger
from kerastag.training.callbacks import AttackedAUC, FiniteWeights
from kerastag.training.defenses import AttackedBatches


def network(dataset, seed=0):
    keras.utils.set_random_seed(seed)
    return models.mlp(dataset.schema, dataset.statistics, hidden=(16,))


def threat_model(dataset, epsilon, physics=PAPER):
    """By default the paper's box: features that follow others take seconds to trace, and XLA most of a minute."""
    return ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, epsilon, physics=physics)


def fitted(dataset, attack=None, epochs=2, compile_options=None, **options):
    model = AdversarialTagger(network(dataset), attack, **options)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, weighted_metrics=["accuracy"], **(compile_options or {}))
    batches = dataset.batches("train", 240, shuffle=True, weights="variable")
    model.fit(batches, epochs=epochs, steps_per_epoch=8, shuffle=False, verbose=0)
    return model


def weights(model):
    return [variable.numpy() for variable in model.tagger.weights]


@pytest.mark.parametrize("attack", [FGSM, PGD])
def test_epsilon_zero_is_bit_equal_to_nominal_training(dataset, attack):
    nominal, adversarial = fitted(dataset), fitted(dataset, attack(threat_model(dataset, 0.0)))
    for a, b in zip(weights(nominal), weights(adversarial), strict=True):
        assert a.tobytes() == b.tobytes()


def test_adversarial_training_differs_from_nominal(dataset):
    nominal, adversarial = fitted(dataset), fitted(dataset, FGSM(threat_model(dataset, 0.1)))
    assert any((a != b).any() for a, b in zip(weights(nominal), weights(adversarial), strict=True))


def test_step_updates_on_attacked_jets(dataset):
    """One step of plain SGD equals the gradient of the loss at inputs that were attacked outside."""
    split = dataset.arrays("train")
    x, y = tf.constant(split.features[:100]), tf.constant(split.y[:100])
    attack = FGSM(threat_model(dataset, 0.1, PHYSICS))
    keras.utils.set_random_seed(0)
    tagger = models.mlp(dataset.schema, dataset.statistics, hidden=(8,), dropout=0.0)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    for mix in ("adversarial", "mean"):
        start = tagger.get_weights()
        attacked = attack(tagger, x, y)
        with tf.GradientTape() as tape:
            value = loss(y, tagger(attacked)) if mix == "adversarial" else (loss(y, tagger(x)) + loss(y, tagger(attacked))) / 2
        gradients = tape.gradient(value, [variable.value for variable in tagger.trainable_variables])
        expected = [weight - 0.1 * gradient for weight, gradient in zip(start, gradients, strict=True)]
        model = AdversarialTagger(tagger, defense=AttackedBatches(attack, mix))
        model.compile(keras.optimizers.SGD(0.1), loss)
        model.train_on_batch(x, y)
        for new, wanted in zip(tagger.get_weights(), expected, strict=True):
            np.testing.assert_allclose(new, wanted, rtol=1e-4, atol=1e-6)
        tagger.set_weights(start)


def test_training_mode_attack_sees_dropout(dataset):
    attack = FGSM(threat_model(dataset, 0.1))
    inference, training = fitted(dataset, attack), fitted(dataset, defense=AttackedBatches(attack, in_training_mode=True))
    assert any((a != b).any() for a, b in zip(weights(inference), weights(training), strict=True))


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"steps_per_execution": 4}, {"run_eagerly": True}])
def test_composes_with_compile(dataset, options):
    plain, other = (
        fitted(dataset, PGD(threat_model(dataset, 0.1), steps=2), epochs=1, compile_options=given)
        for given in ({"jit_compile": False}, options)
    )
    assert np.isfinite(weights(other)[0]).all()
    if "jit_compile" not in options:  # whose random numbers are others
        for ours, theirs in zip(weights(plain), weights(other), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert plain.optimizer.iterations == other.optimizer.iterations == 8


def test_survives_saving(dataset, tmp_path):
    model = fitted(dataset, defense=AttackedBatches(PGD(threat_model(dataset, 0.1), steps=2), "mean"))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = dataset.arrays("test").features[:50]
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.defense.mix == "mean"
    assert again.attack.get_config() == model.attack.get_config()


def test_random_state_of_the_attack_is_a_variable_of_the_model(dataset):
    attack = PGD(threat_model(dataset, 0.1))
    model = AdversarialTagger(network(dataset), attack)
    assert any(variable is attack.seed_generator.state for variable in model.variables)


def test_any_tagger_will_do(dataset):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm, self.dense = keras.layers.BatchNormalization(), keras.layers.Dense(3)

        def call(self, x, training=None):
            return self.dense(self.norm(x, training=training))

    tagger = Own()
    tagger(np.zeros((1, 184), np.float32))
    model = AdversarialTagger(tagger, FGSM(threat_model(dataset, 0.01)))
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    history = model.fit(dataset.batches("train", 100), epochs=1, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_other_precision_is_refused(dataset):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        tagger = keras.Sequential([keras.Input((184,)), keras.layers.Dense(3)])
        with pytest.raises(UserError, match="rounds features to float16"):
            AdversarialTagger(tagger)
    finally:
        keras.config.set_dtype_policy("float32")


def test_unknown_mix_is_refused(dataset):
    with pytest.raises(UserError, match="'both'"):
        AttackedBatches(FGSM(threat_model(dataset, 0.1)), "both")
    with pytest.raises(UserError, match="not both"):
        attack = FGSM(threat_model(dataset, 0.1))
        AdversarialTagger(network(dataset), attack, AttackedBatches(attack))


def validation(dataset):
    split = dataset.arrays("validation")
    return split.features, split.y


def test_attacked_auc_is_in_the_logs_and_right(dataset, tmp_path):
    x, y = validation(dataset)
    attack = FGSM(threat_model(dataset, 0.1))
    model = AdversarialTagger(network(dataset))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    callbacks = [
        AttackedAUC(x, y, {"fgsm": attack}, batch_size=50),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_BvL_auc_fgsm", mode="max", save_best_only=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = model.fit(
        dataset.batches("train", 240, shuffle=True), epochs=3, steps_per_epoch=8, callbacks=callbacks, shuffle=False, verbose=0
    ).history
    attacked = attack(model.tagger, tf.constant(x), tf.constant(y))

    def logits(tagger, values):
        with beyond_ranges():
            return tagger(values)

    for name, values in (("val_BvL_auc", x), ("val_BvL_auc_fgsm", attacked)):
        expected = discriminator_auc(y, logits(model.tagger, values).numpy())["BvL"]
        assert history[name][-1] == pytest.approx(expected, abs=1e-9)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)(y, logits(model.tagger, attacked))
    assert history["val_cross_entropy_fgsm"][-1] == pytest.approx(float(loss), rel=1e-5)
    assert "val_CvL_auc_fgsm" in (tmp_path / "log.csv").read_text().splitlines()[0]
    best = keras.saving.load_model(tmp_path / "best.keras")
    areas = discriminator_auc(y, logits(best.tagger, attack(best.tagger, tf.constant(x), tf.constant(y))).numpy())
    assert areas["BvL"] == pytest.approx(max(history["val_BvL_auc_fgsm"]), abs=1e-9)


def test_attacked_auc_says_so_when_it_stands_behind_its_consumers(dataset):
    x, y = validation(dataset)
    model = AdversarialTagger(network(dataset))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    early = keras.callbacks.EarlyStopping("loss", mode="min")
    with pytest.warns(UserWarning, match="AttackedAUC stands behind EarlyStopping"):
        model.fit(dataset.batches("train", 500), epochs=1, shuffle=False, callbacks=[early, AttackedAUC(x, y, {})], verbose=0)


def test_attacked_auc_refuses_discriminators_of_other_classes():
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(UserError, match="BvL is a discriminator of b, c, light, but labels have 2 columns; give those of the"):
        AttackedAUC(x, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], {})
    with pytest.raises(UserError, match="one logit"):
        AdversarialTagger(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))


def test_attacked_auc_says_which_flavour_is_missing(dataset):
    x, y = validation(dataset)
    keep = y[:, 2] == 0
    model = AdversarialTagger(network(dataset))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match=r"is not defined: no light jets") as caught:
        history = model.fit(
            dataset.batches("train", 500), epochs=2, shuffle=False, callbacks=[AttackedAUC(x[keep], y[keep], {})], verbose=0
        ).history
    assert "val_BvL_auc" not in history and len(history["val_CvB_auc"]) == 2
    said = [str(warning.message).split()[0] for warning in caught]
    assert sorted(said) == ["val_BvL_auc", "val_CvL_auc"]  # once each, not once an epoch


def test_a_training_that_diverges_ends_in_a_sentence(dataset):
    """One weight becomes NaN; a ReLU may hide that from the loss."""
    model = AdversarialTagger(network(dataset))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    batches = dataset.batches("train", 500)
    model.fit(batches, epochs=1, shuffle=False, callbacks=[FiniteWeights()], verbose=0)
    kernel, *others = model.tagger.get_weights()
    kernel[0, 0] = np.nan
    model.tagger.set_weights([kernel, *others])
    with pytest.raises(UserError, match="after epoch 1 weights are not finite"):
        model.fit(batches, epochs=3, shuffle=False, callbacks=[FiniteWeights()], verbose=0)


def test_catastrophic_overfitting_is_warned_of_once():
    """A tagger whose single-step gradient misleads: FGSM finds nothing, several steps do."""
    inputs = keras.Input((2,))
    kink = keras.layers.Lambda(lambda x: keras.ops.maximum(keras.ops.abs(x) - 0.03, 0) * 50 - 1e-3 * keras.ops.abs(x))(inputs)
    tagger = keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(kink))
    tagger.set_weights([np.array([[-1.0, 0, 1.0], [0, 0, 0]], np.float32)])
    x, y = np.full((100, 2), 0.01, np.float32), np.eye(3, dtype=np.float32)[np.arange(100) % 3]
    model = ThreatModel(0.1, np.ones(2), np.zeros(2), np.full(2, -9.0))
    weak = FGSM(ThreatModel(0.001, np.ones(2), np.zeros(2), np.full(2, -9.0)))
    callback = AttackedAUC(x, y, {"fgsm": weak, "pgd": PGD(model, steps=5)}, watch=("fgsm", "pgd"))
    callback.set_model(tagger)
    with pytest.warns(UserWarning, match="Catastrophic overfitting at epoch 3: fgsm raises the cross-entropy by") as caught:
        callback.on_epoch_end(2, {})
        callback.on_epoch_end(3, {})
    assert len(caught) == 1


def test_honest_training_is_not_accused(dataset):
    x, y = validation(dataset)
    attacks = {"fgsm": FGSM(threat_model(dataset, 0.1)), "pgd": PGD(threat_model(dataset, 0.1), steps=5)}
    callback = AttackedAUC(x, y, attacks, watch=("fgsm", "pgd"))
    callback.set_model(fitted(dataset, attacks["fgsm"]))
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs["val_cross_entropy_pgd"] >= logs["val_cross_entropy_fgsm"] > logs["val_cross_entropy"]


def test_attacked_auc_weights_the_jets(dataset):
    x, y = validation(dataset)
    weights = np.random.default_rng(0).uniform(0, 3, len(x))
    model = AdversarialTagger(network(dataset))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    callback, logs = AttackedAUC(x, y, {}, weights=weights), {}
    callback.set_model(model)
    callback.on_epoch_end(0, logs)
    logits = model.tagger(x).numpy()
    assert logs["val_BvL_auc"] == pytest.approx(discriminator_auc(y, logits, weights)["BvL"], abs=1e-6)
    assert logs["val_BvL_auc"] != pytest.approx(discriminator_auc(y, logits)["BvL"], abs=1e-6)
    losses = tf.nn.softmax_cross_entropy_with_logits(y, logits).numpy()
    assert logs["val_cross_entropy"] == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-5)
