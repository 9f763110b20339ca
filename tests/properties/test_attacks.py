"""What holds of every box, attack and area, whatever the numbers."""

import keras
import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from kerastag.attacks import FGSM, NGM, PGD, RandomStartFGSM, ThreatModel
from kerastag.metrics import discriminator_auc
from kerastag.request import Physics
from tests.toy import SCALE, TOY

JETS = 4
# Ordinary numbers, ±0, denormals, huge ones, and the defaults that features of the schema may have.
NUMBERS = st.one_of(
    st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, 1e-40, -1e-45, 3e38, *{*TOY.defaults.tolist()}])
)
FEATURES = arrays(np.float32, (JETS, 20), elements=NUMBERS)


def threat_model(epsilon, cap, bounds):
    return ThreatModel.from_schema(TOY, SCALE, epsilon, cap, physics=Physics(bounds=bounds))


@given(FEATURES, FEATURES, st.floats(0, 10), st.none() | st.floats(0, 2), st.booleans())
def test_a_point_in_the_box_is_allowed_and_projection_is_idempotent(x, point, epsilon, cap, bounds):
    model = threat_model(epsilon, cap, bounds)
    box = model.box(x)
    inside = np.asarray(box.project(point))
    limit = np.float64(np.float32(epsilon)) * SCALE.astype(np.float32)
    change = np.abs(inside.astype(np.float64) - x)
    rounding = 2 * np.spacing(np.abs(x) + limit.astype(np.float32)).astype(np.float64)
    assert (change <= limit + rounding).all()
    if cap is not None:
        assert (change <= np.float64(np.float32(cap)) * np.abs(x) + rounding).all()
    frozen = np.broadcast_to(TOY.integer, x.shape) | (x == TOY.defaults)
    assert inside[frozen].tobytes() == x[frozen].tobytes()
    assert np.asarray(box.project(inside)).tobytes() == inside.tobytes()
    if bounds:
        lower = np.array([-np.inf if f.valid_min is None else f.valid_min for f in TOY.features], np.float32)
        assert (inside >= np.minimum(lower, x)).all()


def linear(weights):
    """A network of one layer, for which the worst corner of a box is known."""
    inputs = keras.Input((20,))
    layer = keras.layers.Dense(3, use_bias=False)
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([weights])
    return model


# Where a gradient vanishes, its sign is one of rounding; normal weights have none.
WEIGHTS = st.integers(0, 2**31 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(20, 3)).astype(np.float32))
SMALL = arrays(np.float32, (JETS, 20), elements=st.floats(-3, 3, width=16))
Y = np.eye(3, dtype=np.float32)[np.arange(JETS) % 3]


def losses(model, x):
    return tf.nn.softmax_cross_entropy_with_logits(Y, model(x)).numpy()


@given(WEIGHTS, SMALL, st.floats(0.01, 1))
def test_stronger_attacks_raise_the_loss_more(weights, x, epsilon):
    """Clean, FGSM, PGD, which looks at FGSM's point too; and more in a larger box."""
    tagger = linear(weights)
    clean = losses(tagger, x)
    fgsm, pgd, twice = (
        losses(tagger, np.asarray(attack(tagger, x, Y)))
        for attack in (
            FGSM(threat_model(epsilon, None, False)),
            PGD(threat_model(epsilon, None, False), steps=3, seed=0),
            PGD(threat_model(2 * epsilon, None, False), steps=3, seed=0),
        )
    )
    tolerance = 1e-4 * (1 + np.abs(pgd))
    assert (fgsm >= clean - tolerance).all()  # of a convex loss the step along its gradient cannot go down
    assert (pgd >= fgsm - tolerance).all()
    assert (twice >= pgd - 0.02 * (1 + pgd)).all()  # three steps come near the best point, not onto it


@given(WEIGHTS, SMALL, st.floats(0.01, 1), st.integers(0, 2**31 - 1))
def test_no_point_of_the_box_moves_a_linear_margin_further_than_fgsm(weights, x, epsilon, seed):
    """The best corner is known: each cell moves by its budget against the sign of its weight."""
    tagger, model = linear(weights), threat_model(epsilon, None, False)
    budget = np.asarray(model.box(x).budget, np.float64)
    slope = (weights[:, 0] - weights[:, 2]).astype(np.float64)
    sign = np.array([1, 0, -1])[np.arange(JETS) % 3]  # b jets are pushed down, light jets up, c jets have no margin here

    def margin(points):
        logits = tagger(points).numpy().astype(np.float64)
        return sign * (logits[:, 0] - logits[:, 2])

    attacked = margin(np.asarray(FGSM(model, objective="BvL")(tagger, x, Y)))
    expected = margin(x) - np.abs(sign) * (budget * abs(slope)).sum(axis=1)
    np.testing.assert_allclose(attacked, expected, rtol=1e-4, atol=1e-3)
    corner = np.sign(np.random.default_rng(seed).normal(size=x.shape)).astype(np.float32)
    assert (margin(np.asarray(model.box(x).corner(corner))) >= attacked - 1e-3).all()


@given(WEIGHTS, SMALL, st.permutations(range(20)), arrays(np.int8, 20, elements=st.integers(-8, 8)))
def test_units_and_order_of_features_do_not_matter(weights, x, order, exponents):
    """Powers of two are exact, so the attacked jets are equal bit by bit."""
    order, unit = np.array(order), np.ldexp(np.float32(1), exponents)
    integer, default, scale = TOY.integer, TOY.defaults, SCALE.astype(np.float32)
    for attack in (FGSM, NGM):
        plain = attack(ThreatModel(0.125, scale, integer, default))(linear(weights), x, Y)
        model = ThreatModel(0.125, (scale * unit)[order], integer[order], (default * unit)[order])
        other = attack(model)(linear((weights / unit[:, None])[order]), (x * unit)[:, order], Y)
        np.testing.assert_allclose(np.asarray(other) / unit[order], np.asarray(plain)[:, order], rtol=1e-5, atol=1e-6)


@given(WEIGHTS, SMALL, st.permutations(range(JETS)))
def test_jets_do_not_see_each_other(weights, x, order):
    """Neither the order of a batch nor its size changes an attack."""
    tagger, order = linear(weights), np.array(order)
    attack = FGSM(threat_model(0.1, 0.2, True))
    whole = np.asarray(attack(tagger, x, Y))
    assert np.asarray(attack(tagger, x[order], Y[order])).tobytes() == whole[order].tobytes()
    single = np.concatenate([np.asarray(attack(tagger, x[[row]], Y[[row]])) for row in range(JETS)])
    np.testing.assert_allclose(single, whole, rtol=1e-5, atol=1e-6)


@given(SMALL, st.integers(0, 1000))
def test_a_random_start_is_repeated_by_its_seed(x, seed):
    tagger = linear(np.ones((20, 3), np.float32) * [1, 2, 3])
    first, second = (RandomStartFGSM(threat_model(0.1, None, False), seed=seed) for _ in range(2))
    assert np.asarray(first(tagger, x, Y)).tobytes() == np.asarray(second(tagger, x, Y)).tobytes()


SCORES = arrays(np.float32, (12, 3), elements=st.floats(-5, 5, width=16))
LABELS = np.arange(12) % 3


@given(SCORES, st.permutations(range(12)), arrays(np.float64, 12, elements=st.floats(0.1, 10)))
def test_areas_are_those_of_scikit_learn_and_of_no_order_or_copy(scores, order, weights):
    area = discriminator_auc(LABELS, scores, weights)
    for name, (over, against) in {"BvL": (0, 2), "CvB": (1, 0), "CvL": (1, 2)}.items():
        rows = (over == LABELS) | (against == LABELS)
        value = scores[rows, over].astype(float) - scores[rows, against]
        expected = roc_auc_score(over == LABELS[rows], value, sample_weight=weights[rows])
        np.testing.assert_allclose(area[name], expected, rtol=1e-9)
    order = np.array(order)
    again = discriminator_auc(LABELS[order], scores[order], weights[order])
    halves = discriminator_auc(np.tile(LABELS, 2), np.tile(scores, (2, 1)), np.tile(weights / 2, 2))
    shifted = discriminator_auc(LABELS, scores + 2.0, weights)
    for other in (again, halves, shifted):
        np.testing.assert_allclose(list(other.values()), list(area.values()), rtol=1e-9)
