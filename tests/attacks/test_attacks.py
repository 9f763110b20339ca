"""One table of tests over all attacks and distortions, on jets of 20 features; what is special to one stands below."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import (
    APGD,
    FGSM,
    NGM,
    OBJECTIVES,
    PGD,
    CorrelatedShift,
    GaussianNoise,
    RandomSearch,
    RandomStartFGSM,
    SystematicShift,
    ThreatModel,
    Transfer,
    attacked_features,
)
from kerastag.attacks.apgd import checkpoints
from kerastag.catalogue import ATTACKS
from kerastag.errors import UserError
from tests.toy import SCALE, TOY, toy_threat_model

KINDS = {
    "FGSM": FGSM,
    "FGSM on predicted labels": lambda threat_model, **options: FGSM(threat_model, labels="predicted", **options),
    "random-start FGSM": RandomStartFGSM,
    "PGD": lambda threat_model, **options: PGD(threat_model, steps=5, **options),
    "PGD from the jet": lambda threat_model, **options: PGD(threat_model, steps=5, random_start=False, **options),
    "PGD with restarts": lambda threat_model, **options: PGD(threat_model, steps=3, restarts=3, **options),
    "NGM": NGM,
    "APGD": lambda threat_model, **options: APGD(threat_model, steps=8, **options),
    "random search": lambda threat_model, **options: RandomSearch(threat_model, queries=60, **options),
}
COVARIANCE = np.cov(np.random.default_rng(4).normal(size=(25, 20)).T)
DISTORTIONS = {
    "noise": GaussianNoise,
    "systematic up": SystematicShift,
    "systematic down": lambda threat_model: SystematicShift(threat_model, np.linspace(0.1, 2, 20), up=False),
    "correlated": lambda threat_model: CorrelatedShift(threat_model, COVARIANCE),
    "leading correlated, common": lambda threat_model: CorrelatedShift(threat_model, COVARIANCE, leading=2, common=True),
}
every_attack = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
every_kind = pytest.mark.parametrize("make", (KINDS | DISTORTIONS).values(), ids=KINDS | DISTORTIONS)
LIMITS = {
    "plain": {},
    "cap": {"relative_cap": 0.2},
    "bounds": {"bounds": True, "epsilon": 2.0},
    "by flavour": {"by_flavour": {"b": 2.0, "light": 0.0}},
    "selected": {"only": ["track_*"], "freeze": ["*_phi"]},
    "physical": {"epsilon": {"track_*_d0": 0.005, "vertex_*": 0.1, "vertex_mass": 0.02}},
}


def threat_model(dataset, epsilon=0.1, relative_cap=None):
    return ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, epsilon, relative_cap)


@every_kind
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_stays_inside_the_box_and_freezes_what_must_not_move(toy_tagger, toy_jets, make, limits):
    model, (x, y) = toy_threat_model(**limits), toy_jets
    moved, x = make(model)(toy_tagger, x, y).numpy(), x.numpy()
    frozen = TOY.integer | (x == TOY.defaults) | model.frozen
    assert moved[frozen].tobytes() == x[frozen].tobytes()
    assert moved.dtype == np.float32 and moved.shape == x.shape and np.isfinite(moved).all()
    is_distortion = make in DISTORTIONS.values()
    box = model.loose_box(x, y) if is_distortion else model.box(x, y)
    budget = np.asarray(box.budget, np.float64)
    rounding = 2 * np.spacing(np.abs(x) + np.where(np.isfinite(budget), budget, 0).astype(np.float32))
    assert (np.abs(moved.astype(np.float64) - x) <= budget + rounding).all()
    if "by_flavour" in limits:
        np.testing.assert_array_equal(moved[2::3], x[2::3])
    free = ~frozen & (budget > 0)
    assert (moved != x)[free].mean() > (0.3 if limits.get("bounds") else 0.6)
    if limits.get("bounds"):
        variances = [TOY.index(f"track_{slot}_var") for slot in range(3)]
        assert (moved[:, variances][x[:, variances] > 0] > 0).all()
        phi = [TOY.index(f"track_{slot}_phi") for slot in range(3)]
        inside = abs(x[:, phi]) < 3.14
        assert (abs(moved[:, phi])[inside] <= np.float32(3.14)).all()


@every_kind
def test_zero_does_not_move_under_a_cap(toy_tagger, toy_jets, make):
    x, y = toy_jets
    column = TOY.index("eta")
    assert (make(toy_threat_model())(toy_tagger, x, y).numpy()[:5, column] != 0).any()
    assert (make(toy_threat_model(relative_cap=0.2))(toy_tagger, x, y).numpy()[:5, column] == 0).all()


@every_kind
def test_changes_no_variable_and_repeats_itself_with_dropout_in_the_network(toy_tagger, toy_jets, make):
    before = [variable.numpy() for variable in toy_tagger.variables]
    first, second = (make(toy_threat_model())(toy_tagger, *toy_jets).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    attack = make(toy_threat_model())
    again = attack(toy_tagger, *toy_jets).numpy()
    attack.restart()
    np.testing.assert_array_equal(attack(toy_tagger, *toy_jets).numpy(), again)
    for old, variable in zip(before, toy_tagger.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


@pytest.mark.parametrize("name", ["random-start FGSM", "PGD", "PGD with restarts", "APGD", "random search", "noise"])
def test_another_seed_draws_something_else(toy_tagger, toy_jets, name):
    make = (KINDS | DISTORTIONS)[name]
    first, again, other = (make(toy_threat_model(), seed=seed)(toy_tagger, *toy_jets).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@every_kind
def test_survives_its_config(toy_tagger, toy_jets, make):
    attack = make(toy_threat_model(relative_cap=0.2, bounds=True, by_flavour={"c": 0.5}, freeze=["pt"]))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(attack))
    assert type(again) is type(attack)
    np.testing.assert_array_equal(again(toy_tagger, *toy_jets), attack(toy_tagger, *toy_jets))


@every_kind
def test_extreme_inputs_stay_finite(toy_tagger, toy_jets, make):
    x, y = toy_jets
    huge = x * tf.where(tf.random.stateless_uniform(x.shape, [0, 0]) < 0.1, 1e15, 1.0)
    assert np.isfinite(make(toy_threat_model())(toy_tagger, huge, y)).all()


@every_attack
def test_raises_the_loss_of_nearly_every_jet(toy_tagger, toy_jets, make):
    x, y = toy_jets
    attack = make(toy_threat_model(0.05))
    if attack.labels == "predicted":
        y = tf.one_hot(tf.argmax(toy_tagger(x), axis=1), 3)
    before, after = (OBJECTIVES["cross_entropy"](y, toy_tagger(values)).numpy() for values in (x, attack(toy_tagger, x, y)))
    assert (after > before).mean() > 0.95


@every_attack
def test_strength_is_a_factor_on_epsilon(toy_tagger, toy_jets, make):
    halved = make(toy_threat_model(0.1))(toy_tagger, *toy_jets, strength=0.5)
    np.testing.assert_allclose(halved, make(toy_threat_model(0.05))(toy_tagger, *toy_jets), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(make(toy_threat_model(0.1))(toy_tagger, *toy_jets, strength=0.0), toy_jets[0])


@pytest.mark.parametrize("make", [FGSM, NGM, KINDS["PGD from the jet"]])
def test_compiles_with_xla(toy_tagger, toy_jets, make):
    attack = make(toy_threat_model())
    plain = attack(toy_tagger, *toy_jets)
    attack.restart()
    compiled = tf.function(lambda x, y: attack(toy_tagger, x, y), jit_compile=True)(*toy_jets)
    close = np.isclose(compiled, plain, rtol=1e-4, atol=1e-4)
    assert close.mean() > 0.98  # a sign where the gradient is nearly 0 may differ


def test_real_schema_is_attacked_like_the_toy(dataset, tagger, jets):
    """Once for all, as the mask does not depend on the attack."""
    x, y = jets
    moved = PGD(threat_model(dataset, relative_cap=0.2), steps=2)(tagger, x, y).numpy()
    frozen = dataset.schema.integer | (x.numpy() == dataset.schema.defaults)
    assert moved[frozen].tobytes() == x.numpy()[frozen].tobytes()
    assert (moved != x.numpy())[~frozen].mean() > 0.8


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
    for options in (
        {"steps": 0},
        {"restarts": 2, "random_start": False},
        {"objective": "hinge"},
        {"step_size": -1.0},
        {"labels": "some"},
    ):
        with pytest.raises(UserError):
            PGD(model, **options)
    with pytest.raises(UserError):
        APGD(model, steps=1)


def test_predicted_labels_leave_no_trace_of_the_truth(toy_tagger, toy_jets):
    x, y = toy_jets
    attack = FGSM(toy_threat_model(), labels="predicted")
    np.testing.assert_array_equal(attack(toy_tagger, x, y), attack(toy_tagger, x, tf.roll(y, 1, axis=0)))
    predicted = tf.one_hot(tf.argmax(toy_tagger(x), axis=1), 3)
    np.testing.assert_array_equal(attack(toy_tagger, x, y), FGSM(toy_threat_model())(toy_tagger, x, predicted))


def test_directed_objective_pushes_all_jets_the_same_way():
    tagger, model = linear(np.eye(3, dtype=np.float32)), ThreatModel(0.1, np.ones(3), np.zeros(3, bool), np.full(3, -9.0))
    for sign, objective in ((1, "+BvL"), (-1, "-BvL")):
        moved = FGSM(model, objective)(tagger, tf.zeros((3, 3)), tf.eye(3)).numpy()
        np.testing.assert_allclose(moved, sign * np.tile([0.1, 0, -0.1], (3, 1)), atol=1e-7)


def test_random_start_fgsm_equals_numpy_on_a_linear_tagger():
    """There the gradient does not depend on the point, so the start is all that is random."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 20)).astype(np.float32)
    weights = generator.normal(size=(20, 3)).astype(np.float32)
    attack = RandomStartFGSM(ThreatModel(0.1, SCALE, np.zeros(20), np.full(20, -9.0)), "+BvL", seed=5)
    start = attack._uniform(tf.constant(x)).numpy()
    assert start.min() < -0.98 and start.max() > 0.98 and abs(start.mean()) < 0.05
    assert start.std() == pytest.approx(3**-0.5, rel=0.05)
    attack.restart()
    moved = attack(linear(weights), tf.constant(x), tf.one_hot(np.zeros(300, int), 3)).numpy()
    expected = x + 0.1 * SCALE * np.clip(start + 1.25 * np.sign(weights[:, 0] - weights[:, 2]), -1, 1)
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5)


def test_ngm_equals_numpy_on_a_linear_tagger(toy_jets):
    """Δu = ε·g_u/‖g_u‖ for each jet and group, over the cells that may move."""
    x, y = toy_jets
    weights = (np.random.default_rng(1).normal(size=(20, 3)) / SCALE[:, None]).astype(np.float32)
    model = toy_threat_model(0.3)
    moved = NGM(model, "+BvL")(linear(weights), x, y).numpy()
    g = np.tile(SCALE * (weights[:, 0] - weights[:, 2]).astype(np.float64), (200, 1))
    g[TOY.integer | (x.numpy() == TOY.defaults)] = 0
    u = np.zeros_like(g)
    for number in range(3):
        own = model.group == number
        u[:, own] = 0.3 * g[:, own] / np.maximum(np.linalg.norm(g[:, own], axis=1, keepdims=True), 1e-6)
    np.testing.assert_allclose(moved, x + SCALE * u, rtol=1e-4, atol=1e-5)
    assert np.linalg.norm((moved - x.numpy())[:, model.group == 1] / SCALE[model.group == 1], axis=1).max() == pytest.approx(
        0.3, abs=1e-4
    )


def test_apgd_halves_its_steps_until_it_is_at_a_maximum_inside_the_box():
    """Steps of the first size, twice the half-width of the box, only go from side to side."""
    inside = np.random.default_rng(0).uniform(-0.4, 0.4, 4).astype(np.float32)
    inputs = keras.Input((4,))
    away = keras.ops.sum((inputs - inside) ** 2, axis=1, keepdims=True)
    tagger = keras.Model(inputs, keras.layers.ZeroPadding1D((0, 2))(away[..., None])[..., 0])
    model = ThreatModel(0.5, np.ones(4), np.zeros(4), np.full(4, -99.0))
    attacked = APGD(model, steps=50)(tagger, tf.zeros((3, 4)), tf.one_hot([0, 0, 0], 3))
    np.testing.assert_allclose(attacked, np.tile(inside, (3, 1)), atol=0.02)


def test_apgd_checkpoints_are_the_published_ones():
    """Appendix A of arXiv:2003.01690 for 100 steps."""
    assert checkpoints(100).tolist()[:10] == [0, 22, 41, 57, 70, 80, 87, 93, 99, 105]


def test_stronger_attacks_reach_a_larger_loss_for_each_jet(toy_tagger, toy_jets):
    x, y = toy_jets
    model = toy_threat_model(0.5)

    def loss(attack):
        return OBJECTIVES["cross_entropy"](y, toy_tagger(attack(toy_tagger, x, y))).numpy()

    fgsm, pgd, apgd = loss(FGSM(model)), loss(PGD(model, steps=20)), loss(APGD(model, steps=50))
    restarted = loss(PGD(model, steps=20, restarts=3))
    for strong in (pgd, apgd, restarted):
        assert (strong >= fgsm - 1e-6).all()
    assert apgd.mean() > pgd.mean() - 1e-3 > fgsm.mean()
    assert restarted.mean() >= pgd.mean()


def test_transfer_attacks_the_source_and_not_the_target(toy_tagger, toy_jets, tmp_path):
    x, y = toy_jets
    other = keras.models.clone_model(toy_tagger)
    attack = Transfer(FGSM(toy_threat_model()), other)
    np.testing.assert_array_equal(attack(toy_tagger, x, y), FGSM(toy_threat_model())(other, x, y))
    assert not np.array_equal(attack(toy_tagger, x, y), FGSM(toy_threat_model())(toy_tagger, x, y))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(attack))
    again.source.set_weights(other.get_weights())
    np.testing.assert_array_equal(again(toy_tagger, x, y), attack(toy_tagger, x, y))


def free_cells(x):
    return ~TOY.integer & (x.numpy() != TOY.defaults)


def test_noise_has_the_size_it_says(toy_jets):
    x, y = toy_jets
    u = ((GaussianNoise(toy_threat_model(0.2))(None, x, y) - x) / SCALE).numpy()[free_cells(x)]
    assert u.mean() == pytest.approx(0, abs=0.02)
    assert u.std() == pytest.approx(0.2, rel=0.05)
    assert abs(u).max() > 0.5  # ε is no limit


def test_systematic_shift_is_common_and_follows_its_factors(toy_jets):
    x, y = toy_jets
    model = toy_threat_model(0.2)
    shift = SystematicShift.from_schema(model, TOY, {"track_*_d0": 1.5, "vertex_mass": -2.0}, up=False)
    u = ((shift(None, x, y) - x) / SCALE).numpy()
    expected = np.zeros(20)
    expected[[TOY.index(f"track_{slot}_d0") for slot in range(3)]] = -0.3
    expected[TOY.index("vertex_mass")] = 0.4
    np.testing.assert_allclose(u, np.where(free_cells(x), expected, 0), atol=1e-5)
    by_flavour = SystematicShift(toy_threat_model(0.2, by_flavour={"b": 0.0, "c": 2.0}))
    u = ((by_flavour(None, x, y) - x) / SCALE).numpy()
    assert not u[::3].any()
    np.testing.assert_allclose(u[1::3][free_cells(x)[1::3]], 0.4, atol=1e-4)


def test_correlated_shifts_have_the_covariance_they_were_given(toy_jets):
    y = tf.one_hot(np.zeros(20_000, int), 3)
    x = tf.constant(np.random.default_rng(0).uniform(5, 6, (20_000, 20)).astype(np.float32))
    free = ~TOY.integer
    shift = CorrelatedShift(toy_threat_model(0.1), COVARIANCE)
    u = ((shift(None, x, y) - x) / SCALE).numpy()
    np.testing.assert_allclose(np.cov(u.T)[np.ix_(free, free)], 0.01 * COVARIANCE[np.ix_(free, free)], atol=1e-3)
    leading = CorrelatedShift(toy_threat_model(0.1), COVARIANCE, leading=1)
    values, vectors = np.linalg.eigh(COVARIANCE)
    u = ((leading(None, x, y) - x) / SCALE).numpy()[:, free]
    direction = vectors[free, -1] * np.sqrt(values[-1])
    np.testing.assert_allclose(u, np.outer(u @ direction / (direction @ direction), direction), atol=1e-4)
    common = CorrelatedShift(toy_threat_model(0.1), COVARIANCE, common=True)
    u = ((common(None, x, y) - x) / SCALE).numpy()
    np.testing.assert_allclose(u, np.tile(u[:1], (20_000, 1)), atol=1e-4)


def test_correlations_of_jets_leave_absent_cells_out():
    generator = np.random.default_rng(0)
    latent = generator.normal(size=(50_000, 1))
    x = (0.8 * latent + 0.6 * generator.normal(size=(50_000, 20))).astype(np.float32)
    x[:, 5] = np.where(generator.random(50_000) < 0.3, -9.0, x[:, 5])
    shift = CorrelatedShift.of_jets(ThreatModel(0.1, np.ones(20), np.zeros(20), np.full(20, -9.0)), x)
    np.testing.assert_allclose(shift.covariance[0, 1:5], 0.64, atol=0.02)
    assert shift.covariance[0, 5] == pytest.approx(0.64 * np.sqrt(0.7), abs=0.02)


def test_wrong_covariances_and_factors_are_refused():
    model = toy_threat_model()
    for covariance, said in (
        (np.eye(3), "symmetric, 20 x 20"),
        (-np.eye(20), "negative eigenvalue"),
        (np.tri(20), "symmetric"),
    ):
        with pytest.raises(UserError, match=said):
            CorrelatedShift(model, covariance)
    with pytest.raises(UserError, match="one entry per feature"):
        SystematicShift(model, [1.0])
    with pytest.raises(UserError, match=r"No feature of toy matches 'trak_\*'"):
        SystematicShift.from_schema(model, TOY, {"trak_*": 1.0})


def test_random_search_nears_the_worst_corner_of_a_linear_tagger_and_is_no_worse():
    """Whose worst corner is FGSM's; each jet has a hundred cells that move."""
    generator = np.random.default_rng(5)
    slopes = generator.normal(0, 0.1, size=(100, 2)).astype(np.float32)  # larger ones leave no gradient
    inputs = keras.Input((100,))
    tagger = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(inputs))
    tagger.set_weights([slopes])
    x, y = tf.constant(generator.normal(size=(50, 100)), tf.float32), tf.one_hot(np.arange(50) % 2, 2)
    model = ThreatModel(0.1, np.ones(100), np.zeros(100, bool), np.full(100, -99.0))

    def margin(features):
        logits = tagger(features).numpy()
        return (logits[:, ::-1] - logits)[y.numpy() == 1]

    gains = [margin(attack(tagger, x, y)) - margin(x) for attack in (FGSM(model), RandomSearch(model, queries=600))]
    np.testing.assert_allclose(gains[0], 0.1 * np.abs(slopes[:, 1] - slopes[:, 0]).sum(), rtol=1e-3)
    assert (
        (gains[1] <= gains[0] * 1.001).all() and (gains[1] > 0.8 * gains[0]).all() and gains[1].mean() > 0.9 * gains[0].mean()
    )


def test_no_query_of_a_random_search_repeats_that_of_another_seed_or_batch(toy_tagger, toy_jets, monkeypatch):
    drawn, uniform = [], tf.random.stateless_uniform
    recorded = lambda shape, seed: drawn.append(tuple(seed.numpy())) or uniform(shape, seed)  # noqa: E731
    monkeypatch.setattr(tf.random, "stateless_uniform", recorded)
    for seed in range(3):
        attack = RandomSearch(toy_threat_model(), queries=5, seed=seed)
        for _ in range(2):
            attack(toy_tagger, *toy_jets)
    assert len(set(drawn)) == len(drawn) == 3 * 2 * 5


def test_random_search_needs_no_gradient(toy_jets):
    """Where FGSM leaves all jets as they are."""
    x, y = toy_jets
    inputs = keras.Input((20,))
    steps = keras.layers.Lambda(lambda values: tf.round(2 * values))(inputs)
    tagger = keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(seed=1))(steps))
    model = toy_threat_model(0.5)
    np.testing.assert_array_equal(FGSM(model)(tagger, x, y), x)
    before, after = (OBJECTIVES["cross_entropy"](y, tagger(jets)) for jets in (x, RandomSearch(model)(tagger, x, y)))
    assert (after >= before).numpy().all() and (after > before).numpy().mean() > 0.9
    with pytest.raises(UserError, match="`queries` of at least 1"):
        RandomSearch(model, queries=0)


@pytest.mark.parametrize(
    "name",
    ["fgsm", "fgsm-rs", "pgd-7", "pgd-20x5", "apgd-50", "ngm", "random-search-9", "noise", "systematic-up", "systematic-down"],
)
def test_attacks_by_name(toy_tagger, toy_jets, name):
    moved = ATTACKS.build(name, toy_threat_model())(toy_tagger, *toy_jets)
    assert np.isfinite(moved).all() and (moved.numpy() != toy_jets[0].numpy()).any()


def test_unknown_names_are_refused():
    for name in ("pgd", "pgd-0", "apgd-x", "nonsense", "pgd-20x0"):
        with pytest.raises(UserError, match=f"There is no attack '{name}'"):
            ATTACKS.build(name, toy_threat_model())


@every_kind
def test_one_attack_of_size_1_serves_other_sizes(toy_tagger, toy_jets, make):
    x, y = (values.numpy() for values in toy_jets)
    expected = attacked_features(toy_tagger, x, y, make(toy_threat_model(0.03, 0.2)))
    attacked = attacked_features(toy_tagger, x, y, make(toy_threat_model(1.0, 0.2)), strength=0.03)
    # A graph may multiply the numbers of a distortion in another order.
    rounding = 2 * np.spacing(np.abs(x)) if make in DISTORTIONS.values() else 0
    assert (np.abs(attacked - expected) <= rounding).all()
    assert (expected != x).any()


def test_a_graph_is_made_once_for_all_strengths(toy_tagger, toy_jets):
    traced, (x, y) = [], (values.numpy() for values in toy_jets)

    class Counted(FGSM):
        def perturb(self, box, objective):
            traced.append(None)
            return super().perturb(box, objective)

    attack, sizes = Counted(toy_threat_model(0.1)), np.array([0.5, 1, 2])
    moved = [np.abs(attacked_features(toy_tagger, x, y, attack, strength=size) - x).max() for size in sizes]
    assert len(traced) == 1
    np.testing.assert_allclose(moved, moved[1] * sizes, rtol=1e-4)


def test_restarts_begin_elsewhere_and_the_last_of_pgd_at_the_point_of_fgsm(toy_tagger, toy_jets, monkeypatch):
    x, y = toy_jets
    model, starts = toy_threat_model(0.5), []

    def noted(attack, box, objective, start):
        starts.append(start.numpy())
        return start, objective.ascend(start)[0]

    monkeypatch.setattr(PGD, "climb", noted)
    PGD(model, restarts=3)(toy_tagger, x, y)
    assert len(starts) == 3 and (starts[0] != starts[1]).any()
    np.testing.assert_array_equal(starts[2], FGSM(model)(toy_tagger, x, y))
    starts.clear()
    monkeypatch.setattr(APGD, "_climb", noted)
    APGD(model, steps=5, restarts=2)(toy_tagger, x, y)
    assert len(starts) == 2 and (starts[0] != starts[1]).any()


def test_transfer_leaves_dropout_of_its_source_out(toy_tagger, toy_jets):
    x, y = toy_jets
    attack = Transfer(FGSM(toy_threat_model()), toy_tagger)
    np.testing.assert_array_equal(attack(toy_tagger, x, y, training=True), attack(toy_tagger, x, y))
