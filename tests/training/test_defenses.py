"""One table of tests over all defences, on jets of 20 features."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, NGM, PGD, RDSA, GaussianNoise, RandomStartFGSM, ThreatModel
from kerastag.errors import UserError
from kerastag.training.adversarial_tagger import AdversarialTagger
from kerastag.training.curvature import CURE
from kerastag.training.defenses import TRADES, AttackedBatches, InputGradientPenalty, Ramp
from kerastag.training.free import FreeBatches
from kerastag.training.weight_shifts import AWP
from tests.attacks.test_ties import TIED
from tests.attacks.test_ties import X as TIED_JETS
from tests.toy import SCALE, toy_threat_model

DEFENSES = {
    "nominal": lambda tm: None,
    "fgsm": lambda tm: AttackedBatches(FGSM(tm)),
    "fgsm-mixed": lambda tm: AttackedBatches(FGSM(tm), "mean"),
    "fgsm-rs": lambda tm: AttackedBatches(RandomStartFGSM(tm)),
    "pgd": lambda tm: AttackedBatches(PGD(tm, steps=2)),
    "trades": lambda tm: TRADES(PGD(tm, steps=2, try_corner=False), 2.0),
    "ngm every second": lambda tm: AttackedBatches(NGM(tm), every=2),
    "noise": lambda tm: AttackedBatches(GaussianNoise(tm)),
    "ramp": lambda tm: AttackedBatches(FGSM(tm), ramp=Ramp(2, 4, random=True)),
    "input-gradient": lambda tm: InputGradientPenalty(tm, 0.5),
    "cure": lambda tm: CURE(tm, 5.0),
}
# Those to which ε means nothing, or not everything.
UNSIZED = {
    "awp": lambda tm: AWP(AttackedBatches(FGSM(tm))),
    "rdsa": lambda tm: AttackedBatches(RDSA(tm)),
}
ALL = DEFENSES | UNSIZED
every_defense = pytest.mark.parametrize("make", ALL.values(), ids=ALL)
every_sized = pytest.mark.parametrize("make", DEFENSES.values(), ids=DEFENSES)


def network(dropout=0.0):
    keras.utils.set_random_seed(4)
    inputs = keras.Input((20,))
    x = keras.layers.Dense(8, "tanh")(keras.layers.Rescaling(1 / SCALE)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dropout(dropout)(x)))


def compiled(defense, dropout=0.0, **options):
    model = AdversarialTagger(network(dropout), defense=defense)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, weighted_metrics=["accuracy"], **options)
    return model


def weights(model):
    return [variable.numpy() for variable in model.tagger.weights]


@every_defense
def test_fits_evaluates_and_stays_finite(toy_jets, make):
    fits(toy_jets, make)


@pytest.mark.parametrize("name", ["ramp", "trades", "input-gradient", "awp"])
def test_compiles_with_xla(toy_jets, name):
    fits(toy_jets, ALL[name], jit_compile=True)


def fits(jets, make, **options):
    x, y = jets
    model = compiled(make(toy_threat_model()), dropout=0.2, **options)
    history = model.fit(x, y, sample_weight=tf.ones(200), batch_size=40, epochs=2, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["loss"][1] < history["loss"][0]
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
    assert model.predict(x, verbose=0).shape == (200, 3)
    assert all(np.isfinite(value).all() for value in weights(model))


@every_sized
def test_epsilon_zero_is_nominal_training(toy_jets, make):
    x, y = toy_jets
    models = [compiled(defense) for defense in (None, make(toy_threat_model(0.0)))]
    for model in models:
        model.fit(x, y, batch_size=50, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(*map(weights, models), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@every_defense
def test_survives_saving(toy_jets, make, tmp_path):
    x, y = toy_jets
    model = compiled(make(toy_threat_model()))
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert type(again.defense) is type(model.defense)
    if model.defense:
        assert again.defense.get_config() == model.defense.get_config()


def step(defense, x, y, w=None):
    """Change of the weights in a step of plain SGD, and the weights before."""
    model = compiled(defense)
    before = weights(model)
    model.train_on_batch(x, y, sample_weight=w)
    return model, before, [(a - b) / -0.1 for a, b in zip(weights(model), before, strict=True)]


def gradient_of(loss, tagger):
    with tf.GradientTape() as tape:
        value = loss(tagger)
    return tape.gradient(value, [variable.value for variable in tagger.trainable_variables])


def cross_entropy(tagger, x, y, w=None):
    losses = tf.nn.softmax_cross_entropy_with_logits(y, tagger(x))
    return tf.reduce_mean(losses if w is None else w * losses)


def test_trades_step_is_the_gradient_of_its_formula(toy_jets):
    x, y = toy_jets
    w = tf.random.stateless_uniform((200,), [1, 2]) + 0.5
    attack = PGD(toy_threat_model(0.3), steps=3, seed=7, try_corner=False)
    _, _, found = step(TRADES(attack, 2.5), x, y, w)
    tagger = network()
    attack.restart()
    moved = attack(tagger, x, tf.nn.softmax(tagger(x)))

    def loss(tagger):
        p, q = tf.nn.softmax(tagger(x)), tf.nn.softmax(tagger(moved))
        divergence = keras.losses.kl_divergence(p, q)
        return cross_entropy(tagger, x, y, w) + 2.5 * tf.reduce_mean(w * divergence)

    for a, b in zip(found, gradient_of(loss, tagger), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_trades_attack_changes_the_output_without_knowing_the_truth(toy_jets):
    x, y = toy_jets
    tagger, defense = network(), TRADES(PGD(toy_threat_model(0.3), steps=3, try_corner=False))
    moved, doubled, _ = defense.batch(tagger, x, y, None, tf.constant(0))
    np.testing.assert_array_equal(moved[:200], x)
    np.testing.assert_array_equal(doubled, np.concatenate([y, y]))
    p, q = tf.nn.softmax(tagger(x)), tf.nn.softmax(tagger(moved[200:]))
    random = x + 0.3 * SCALE * np.random.default_rng(0).uniform(-1, 1, x.shape)
    assert (
        keras.losses.kl_divergence(p, q).numpy().mean()
        > keras.losses.kl_divergence(p, tf.nn.softmax(tagger(random))).numpy().mean()
    )


def test_input_gradient_step_is_the_gradient_of_its_formula(toy_jets):
    """The penalty from finite differences of the loss along the sign of the gradient."""
    x, y = toy_jets
    model = toy_threat_model(0.2, 0.3)
    _, _, found = step(InputGradientPenalty(model, 0.7), x, y)
    tagger = network()
    with tf.GradientTape() as tape:
        tape.watch(x)
        losses = tf.nn.softmax_cross_entropy_with_logits(y, tagger(x))
    direction = tf.sign(tape.gradient(losses, x)) * model.budget(x)
    small = 1e-2

    def loss(tagger):
        rise = (cross_entropy(tagger, x + small * direction, y) - cross_entropy(tagger, x - small * direction, y)) / (2 * small)
        return cross_entropy(tagger, x, y) + 0.7 * rise

    for a, b in zip(found, gradient_of(loss, tagger), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.02, atol=2e-3)


def test_every_other_batch_is_attacked(toy_jets):
    x, y = toy_jets
    defense = AttackedBatches(FGSM(toy_threat_model()), every=3)
    moved = [not np.array_equal(defense.batch(network(), x, y, None, tf.constant(number))[0], x) for number in range(6)]
    assert moved == [True, False, False, True, False, False]


def test_ramp_rises_from_nothing_and_draws_below_itself():
    ramp = Ramp(warmup=10, rise=4)
    assert [float(ramp(tf.constant(number))) for number in (0, 9, 10, 11, 12, 13, 100)] == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    drawn = np.array([float(Ramp(0, 0, random=True, seed=seed)(tf.constant(5))) for seed in range(50)])
    assert 0 <= drawn.min() < 0.2 < 0.8 < drawn.max() <= 1
    again = Ramp(0, 0, random=True)
    assert float(again(tf.constant(0))) != float(again(tf.constant(0)))


def test_random_states_are_variables_of_the_model():
    defense = AttackedBatches(PGD(toy_threat_model()), ramp=Ramp(random=True))
    model = AdversarialTagger(network(), defense=defense)
    for generator in (defense.attack.seed_generator, defense.ramp.seed_generator):
        assert any(variable is generator.state for variable in model.variables)


def test_impossible_options_are_refused():
    attack = FGSM(toy_threat_model())
    for make in (
        lambda: AttackedBatches(attack, every=0),
        lambda: TRADES(attack, beta=-1),
        lambda: InputGradientPenalty(toy_threat_model(), -1),
        lambda: Ramp(-1),
    ):
        with pytest.raises(UserError):
            make()


@pytest.mark.parametrize(("step", "strength"), [(0, 0.0), (2, 0.5), (9, 1.0)])
def test_the_ramp_is_the_strength_of_the_attack(toy_jets, step, strength):
    x, y = toy_jets
    tagger, threat_model, ramp = network(), toy_threat_model(), Ramp(2, 2)
    fgsm, step = FGSM(threat_model), tf.constant(step)
    moved = AttackedBatches(fgsm, ramp=ramp).batch(tagger, x, y, None, step)[0]
    np.testing.assert_array_equal(moved, fgsm(tagger, x, y, strength=strength))
    moved = TRADES(FGSM(threat_model, "+BvL"), ramp=ramp).batch(tagger, x, y, None, step)[0][200:]
    np.testing.assert_array_equal(moved, FGSM(threat_model, "+BvL")(tagger, x, y, strength=strength))
    box, _ = FreeBatches(threat_model, ramp=ramp).begin(tagger, x, y, step)
    np.testing.assert_array_equal(box.budget, threat_model.box(x, y, strength).budget)


def test_a_penalty_follows_the_ties():
    """Its gradient is that of the free cells, through the ones that follow them."""
    inputs = keras.Input((len(TIED.names),))
    keras.utils.set_random_seed(2)
    tagger = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(4, "tanh")(inputs)))
    threat_model = ThreatModel.from_schema(TIED, np.ones(len(TIED.names)), 0.01)
    x, y = tf.constant(TIED_JETS), tf.eye(3)
    box = threat_model.box(x, y)

    def entropy(complete):
        with tf.GradientTape() as tape:
            tape.watch(x)
            losses = tf.nn.softmax_cross_entropy_with_logits(y, tagger(complete(x)))
        return np.abs(np.asarray(box.budget) * tape.gradient(losses, x)).sum(axis=1).mean()

    found = InputGradientPenalty(threat_model, 1.0).loss(tagger, lambda *_: 0.0, x, y, tagger(x), None)
    assert float(found) == pytest.approx(entropy(box.complete), rel=1e-4)
    assert entropy(box.complete) != pytest.approx(entropy(tf.identity), rel=0.01)
