import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import FGSM, OBJECTIVES, PGD, ThreatModel
from kerastag.errors import UserError

ATTACKS = {
    "FGSM": FGSM,
    "PGD": lambda threat_model, **options: PGD(threat_model, steps=5, **options),
    "PGD from the jet": lambda threat_model, **options: PGD(threat_model, steps=5, random_start=False, **options),
    "PGD with restarts": lambda threat_model, **options: PGD(threat_model, steps=3, restarts=2, **options),
}
every_attack = pytest.mark.parametrize("make", ATTACKS.values(), ids=ATTACKS)


def threat_model(dataset, epsilon=0.1, relative_cap=None):
    return ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, epsilon, relative_cap)


@every_attack
@pytest.mark.parametrize("relative_cap", [None, 0.2])
def test_moves_cells_inside_the_box_and_freezes_integers_and_defaults(dataset, tagger, jets, make, relative_cap):
    x, y = jets
    model = threat_model(dataset, relative_cap=relative_cap)
    moved = make(model)(tagger, x, y).numpy()
    x = x.numpy()
    frozen = dataset.schema.integer | (x == dataset.schema.defaults)
    assert moved[frozen].tobytes() == x[frozen].tobytes()
    assert moved.dtype == np.float32 and moved.shape == x.shape and np.isfinite(moved).all()
    budget = np.asarray(model.budget(x), np.float64)
    rounding = 2 * np.spacing(np.abs(x) + budget.astype(np.float32))
    assert (np.abs(moved.astype(np.float64) - x) <= budget + rounding).all()
    assert (moved != x)[~frozen].mean() > 0.9


@every_attack
def test_zero_does_not_move_under_a_cap(dataset, tagger, jets, make):
    x, y = jets
    column = dataset.schema.index("track_0_PHI")
    x = tf.tensor_scatter_nd_update(x, [[row, column] for row in range(10)], tf.zeros(10))
    assert (make(threat_model(dataset))(tagger, x, y).numpy()[:10, column] != 0).any()
    assert (make(threat_model(dataset, relative_cap=0.2))(tagger, x, y).numpy()[:10, column] == 0).all()


@every_attack
def test_changes_no_variable_and_is_deterministic_with_dropout_in_the_network(dataset, tagger, jets, make):
    x, y = jets
    before = [variable.numpy() for variable in tagger.variables]
    first, second = (make(threat_model(dataset))(tagger, x, y).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for old, variable in zip(before, tagger.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


@every_attack
def test_raises_the_loss_of_every_jet_or_leaves_it(dataset, tagger, jets, make):
    x, y = jets
    loss = [
        OBJECTIVES["cross_entropy"](y, tagger(values)).numpy()
        for values in (x, make(threat_model(dataset, 0.02))(tagger, x, y))
    ]
    assert (loss[1] > loss[0]).mean() > 0.95


@every_attack
def test_extreme_inputs_stay_finite(dataset, tagger, jets, make):
    x, y = jets
    huge = x * tf.where(tf.random.stateless_uniform(x.shape, [0, 0]) < 0.1, 1e15, 1.0)
    assert np.isfinite(make(threat_model(dataset))(tagger, huge, y)).all()


@every_attack
def test_survives_its_config(dataset, tagger, jets, make):
    x, y = jets
    attack = make(threat_model(dataset, relative_cap=0.2), objective="BvL")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(attack))
    assert type(again) is type(attack)
    np.testing.assert_array_equal(again(tagger, x, y), attack(tagger, x, y))


def linear(weights):
    inputs = keras.Input((weights.shape[0],))
    model = keras.Model(inputs, keras.layers.Dense(weights.shape[1])(inputs))
    model.set_weights([weights, np.zeros(weights.shape[1], np.float32)])
    return model


def test_fgsm_equals_numpy_on_a_linear_tagger():
    """The gradient of softmax cross-entropy in closed form: W (p - y)."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 20)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[generator.integers(0, 3, 500)]
    weights = generator.normal(size=(20, 3)).astype(np.float32)
    scale = generator.uniform(0.1, 10, 20)
    default = np.where(np.arange(20) % 3 == 0, x[0], 99).astype(np.float32)
    integer = np.arange(20) % 7 == 0
    logits = x.astype(np.float64) @ weights
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient = (p / p.sum(axis=1, keepdims=True) - y) @ weights.T.astype(np.float64)
    budget = np.minimum(0.05 * scale, 0.2 * np.abs(x))
    budget[:, integer] = 0
    budget[x == default] = 0
    expected = x + budget * np.sign(gradient)
    attacked = FGSM(ThreatModel(0.05, scale, integer, default, 0.2))(linear(weights), tf.constant(x), tf.constant(y))
    sure = np.abs(gradient) > 1e-6  # where float32 cannot mistake the sign
    assert sure.mean() > 0.99
    np.testing.assert_allclose(attacked.numpy()[sure], expected[sure], rtol=1e-6)


@every_attack
def test_change_of_units_changes_no_attack(make):
    """The same jets with some features in other units, by powers of two so that floats scale exactly."""
    generator = np.random.default_rng(1)
    units = 2.0 ** generator.integers(-30, 30, 12)
    x = generator.normal(size=(100, 12)).astype(np.float32)
    y = tf.one_hot(generator.integers(0, 3, 100), 3)
    weights = generator.normal(size=(12, 3)).astype(np.float32)
    scale = generator.uniform(0.5, 2, 12)
    plain, scaled = (
        make(ThreatModel(0.1, scale * unit, np.zeros(12, bool), np.full(12, 99.0), 0.2))(
            linear((weights / np.reshape(unit, (-1, 1))).astype(np.float32)), tf.constant((x * unit).astype(np.float32)), y
        ).numpy()
        for unit in (np.ones(12), units)
    )
    np.testing.assert_allclose(scaled / units, plain, rtol=1e-6)


def test_pgd_is_at_least_as_strong_as_fgsm_for_each_jet(dataset, tagger, jets):
    x, y = jets
    for epsilon in (0.01, 0.3):
        model = threat_model(dataset, epsilon)
        fgsm, pgd = (
            OBJECTIVES["cross_entropy"](y, tagger(attack(tagger, x, y))).numpy() for attack in (FGSM(model), PGD(model))
        )
        assert (pgd >= fgsm - 1e-6).all()
        assert (pgd > fgsm + 1e-4).any()


def test_random_starts_differ_from_call_to_call_and_follow_the_seed(dataset, tagger, jets):
    x, _ = jets
    attacks = [PGD(threat_model(dataset, 0.5), steps=1, step_size=0.01, seed=seed) for seed in (1, 1, 2)]
    starts = [[attack._uniform(x).numpy() for _ in range(2)] for attack in attacks]
    assert not np.array_equal(starts[0][0], starts[0][1])
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0][0], starts[2][0])


def test_gradients_that_are_not_finite_count_as_zero_and_are_counted():
    inputs = keras.Input((2,))
    root = keras.layers.Lambda(keras.ops.sqrt)(inputs)  # infinite slope at 0
    tagger = keras.Model(inputs, keras.layers.Dense(3, kernel_initializer="ones")(root))
    tagger.set_weights([np.array([[1, 0, 0], [0, 1, 0]], np.float32), np.zeros(3, np.float32)])
    attack = FGSM(ThreatModel(0.1, [1.0, 1.0], [False, False], [-1.0, -1.0]))
    x = tf.constant([[0.0, 4.0], [1.0, 4.0]])
    moved = attack(tagger, x, tf.constant([[0.0, 1, 0], [0, 1, 0]])).numpy()
    assert moved[0, 0] == 0.0
    assert moved[1, 0] != 1.0
    assert int(attack.nonfinite_gradients) == 1


def test_attack_reaches_jets_on_which_a_focal_loss_has_no_gradient():
    """γ = 25 from logits: the compiled loss is exactly flat for confident jets, right or wrong; the attack is not fooled."""
    tagger = linear(np.array([[40.0, 0, 0], [0, 0, 40.0]], np.float32))
    x = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    y = tf.constant([[1.0, 0, 0], [1.0, 0, 0]])  # a jet that is confidently right, and one that is confidently wrong
    focal = keras.losses.CategoricalFocalCrossentropy(gamma=25, from_logits=True, reduction=None)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = focal(y, tagger(x))
    assert not np.any(tape.gradient(loss, x))
    model = ThreatModel(0.1, [1.0, 1.0], [False, False], [-9.0, -9.0])
    assert (FGSM(model)(tagger, x, y) != x).numpy().any(axis=1).all()


def test_discriminator_objective_pushes_both_flavours_together_and_leaves_others():
    weights = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]], np.float32)
    model = ThreatModel(0.1, np.ones(3), np.zeros(3, bool), np.full(3, -9.0))
    moved = FGSM(model, "BvL")(linear(weights), tf.zeros((3, 3)), tf.eye(3)).numpy()
    np.testing.assert_allclose(moved, [[-0.1, 0, 0.1], [0, 0, 0], [0.1, 0, -0.1]], atol=1e-7)


def test_wrong_options_are_refused(dataset):
    model = threat_model(dataset)
    for options in ({"steps": 0}, {"restarts": 2, "random_start": False}, {"objective": "hinge"}, {"step_size": -1.0}):
        with pytest.raises(UserError):
            PGD(model, **options)
