"""Limits against what other code finds, against points of boxes, a million in all, and against closed forms."""

import functools
import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import models
from kerastag.attacks import APGD, FGSM, PGD, ThreatModel
from kerastag.bounds import all_margin_bounds, enclose, margin_bounds
from kerastag.bounds.nodes import root
from kerastag.bounds.preprocessing import mended, present, standardized, track_quantities
from kerastag.errors import UserError
from kerastag.evaluation import certified
from kerastag.evaluation.certified import Certifier
from kerastag.evaluation.working_points import threshold
from kerastag.jets import Jets
from kerastag.layers import Mend, PresenceFlags, Standardize, TrackQuantities
from kerastag.metrics import discriminant
from kerastag.request import CERTIFICATES, Physics
from kerastag.schema import JET_FLAVOR, Separation
from tests.models import checks
from tests.toy import SCALE, TOY, toy_threat_model

SMALL = {
    "mlp": functools.partial(models.mlp, hidden=(16, 16)),
    "paper_mlp": models.paper_mlp,
    "deep_sets": functools.partial(models.deep_sets, encoder=(8, 8), hidden=(16,)),
    "pfn": functools.partial(models.pfn, encoder=(8, 8), hidden=(16,)),
}
LIPSCHITZ = functools.partial(models.lipschitz_mlp, hidden=(16, 16))


def dense_network(inputs=6, hidden=(16, 16), classes=3, activation="relu"):
    keras.utils.set_random_seed(4)
    x = first = keras.Input((inputs,))
    for width in hidden:
        x = keras.layers.Dense(width, activation=activation, bias_initializer="normal")(x)
    return keras.Model(first, keras.layers.Dense(classes, bias_initializer="normal")(x))


def trained_like(build, schema=TOY):
    """A network whose ReLUs are on and off, with batch normalisations that do something."""
    keras.utils.set_random_seed(5)
    model = build(schema, checks.flat_statistics(schema))
    for layer in model.layers:
        if layer.weights:
            generator = np.random.default_rng(6)
            layer.set_weights([w + 0.1 * generator.random(w.shape, np.float32) for w in layer.get_weights()])
    return model


def made_of(build):
    """A network of six inputs that ends in what is built."""
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(build(inputs))))


@pytest.fixture(scope="module")
def box():
    return checks.made_up(TOY, jets=20), toy_threat_model(0.05, bounds=True)


def ends(threat_model, x):
    found = threat_model.box(x)
    moves = found.moves.numpy()
    return np.where(moves, found.low, x), np.where(moves, found.high, x)


@pytest.mark.parametrize("method", ["crown", "forward-ibp"])
def test_limits_are_those_of_decomon(method, monkeypatch):
    monkeypatch.setattr(np, "float_", np.float64, raising=False)  # decomon 0.2.1 was written for NumPy 1
    decomon = pytest.importorskip("decomon")
    from decomon.models import clone

    model = dense_network()
    x = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    low, high = x - 0.2, x + 0.2
    with pytest.warns(UserWarning, match="structure of `inputs`"):
        theirs = clone(model, method=method)
        expected = decomon.get_lower_box(theirs, low, high), decomon.get_upper_box(theirs, low, high)
    node = enclose(model, tf.constant(low), tf.constant(high), tight=method == "crown")
    node = node.tightened() if method == "crown" else node
    for ours, other, sign in ((node.low.numpy(), expected[0], 1), (node.high.numpy(), expected[1], -1)):
        # Limits of intervals are kept here where they are narrower than those of forms.
        assert (sign * (ours - other) >= -1e-5).all() and np.isclose(ours, other, rtol=1e-4, atol=1e-5).mean() > 0.95


@pytest.mark.parametrize(("name", "schema", "far"), [*((name, TOY, 0.3) for name in SMALL), ("mlp", JET_FLAVOR, 0.05)])
def test_points_and_corners_of_boxes_stay_within_limits(name, schema, far):
    """Those of every discriminator of tables. Of the 184 inputs with tracks, points by chance come less near to the worst."""
    x = checks.made_up(schema, jets=20)
    model = trained_like(SMALL[name], schema)
    scale = SCALE if schema is TOY else np.ones(len(schema.names))
    low, high = ends(ThreatModel.from_schema(schema, scale, 0.05, physics=Physics(bounds=True, untied=True)), x)
    box_of_jets = tf.constant(low), tf.constant(high)
    tight, wide = (np.array(all_margin_bounds(model, *box_of_jets, schema.in_tables, method)) for method in CERTIFICATES)
    share = np.random.default_rng(7).random((12_500, len(schema.names)), np.float32)
    share[::2] = np.rint(share[::2])  # every second point is a corner
    points = (np.clip(least + share * (most - least), least, most) for least, most in zip(low, high, strict=True))
    logits = [model.predict_on_batch(of_jet) for of_jet in points]
    for one, (least, most), wider in zip(schema.in_tables, tight, wide, strict=True):
        values = [discriminant(of_jet, one) for of_jet in logits]
        smallest, largest = np.min(values, axis=1), np.max(values, axis=1)
        assert (least <= smallest + 1e-4).all() and (largest <= most + 1e-4).all()
        assert (least >= wider[0] - 1e-4).all() and (most <= wider[1] + 1e-4).all()
        assert np.median(most - least) < 0.95 * np.median(wider[1] - wider[0]), "CROWN is no tighter than intervals"
        assert np.median((largest - smallest) / (most - least)) > far, "limits are wide of what points reach"


def test_other_activations_that_rise_have_limits_of_intervals():
    model = dense_network(activation="tanh")
    x = np.random.default_rng(5).normal(size=(30, 6)).astype(np.float32)
    low, high = (end.numpy() for end in margin_bounds(model, tf.constant(x - 0.1), tf.constant(x + 0.1), JET_FLAVOR.main))
    for seed in range(200):
        point = x + 0.1 * np.random.default_rng(seed).choice([-1, 1], x.shape).astype(np.float32)
        value = discriminant(model(point).numpy(), JET_FLAVOR.main)
        assert (low - 1e-5 <= value).all() and (value <= high + 1e-5).all()


def test_limits_of_a_network_whose_units_keep_their_side_are_reached_in_a_corner():
    model = dense_network(hidden=(16,))
    x = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    low, high = x - 1e-3, x + 1e-3
    before = x @ model.layers[1].get_weights()[0] + model.layers[1].get_weights()[1]
    same = (abs(before) > 6e-3 * abs(model.layers[1].get_weights()[0]).max()).all(axis=1)
    assert same.sum() > 20
    found, _ = margin_bounds(model, tf.constant(low), tf.constant(high), JET_FLAVOR.main)
    corners = [np.where(choice, high, low) for choice in itertools.product([False, True], repeat=6)]
    lowest = np.min([discriminant(model(corner).numpy(), JET_FLAVOR.main) for corner in corners], axis=0)
    np.testing.assert_allclose(found.numpy()[same], lowest[same], atol=2e-6)
    assert (found.numpy() <= lowest + 1e-5).all()


def test_a_discriminator_of_several_classes_is_bounded_by_each():
    model = dense_network(classes=4)
    several = Separation("bbVrest", ("b", "bb", "c", "light"), ((0, 1.0), (1, 1.0)), ((2, 0.3), (3, 0.7)))
    x = np.random.default_rng(2).normal(size=(20, 6)).astype(np.float32)
    low, high = (end.numpy() for end in margin_bounds(model, tf.constant(x - 0.1), tf.constant(x + 0.1), several))
    for seed in range(200):
        point = x + 0.1 * np.random.default_rng(seed).choice([-1, 1], x.shape)
        value = discriminant(model(point.astype(np.float32)).numpy(), several)
        assert (low - 1e-5 <= value).all() and (value <= high + 1e-5).all()


@pytest.mark.parametrize(
    ("schema", "make", "enclosed"),
    [
        (TOY, lambda schema: Standardize.robust(schema, checks.flat_statistics(schema)), standardized),
        (TOY, Mend.from_schema, mended),
        (TOY, lambda schema: PresenceFlags(schema.optional_objects, schema.defaults), present),
        (JET_FLAVOR, TrackQuantities.from_schema, track_quantities),
    ],
)
def test_first_layers_are_enclosed(schema, make, enclosed):
    layer = make(schema)
    x = checks.made_up(schema, jets=40)
    size = 0.1 * np.random.default_rng(3).random(x.shape, np.float32) * (1 + abs(x))
    size[:10] = 0  # nothing moves
    low, high = x - size, x + size
    low[30:] = np.minimum(low[30:], schema.defaults)  # what stands for absent may be reached
    node = enclosed(layer, root(tf.constant(low), tf.constant(high)))
    least, most = node.low.numpy(), node.high.numpy()
    np.testing.assert_allclose(least[:10], layer(x[:10]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(most[:10], layer(x[:10]), rtol=1e-5, atol=1e-5)
    generator = np.random.default_rng(4)
    points = [low, high, np.where((low <= schema.defaults) & (schema.defaults <= high), schema.defaults, x)]
    points += [np.clip(low + generator.random(x.shape, np.float32) * (high - low), low, high) for _ in range(200)]
    points += [np.where(generator.random(x.shape) < 0.5, low, high) for _ in range(200)]
    values = np.stack([layer(point.astype(np.float32)).numpy() for point in points])
    tolerance = 1e-5 * (1 + abs(values).max(axis=0))
    assert (least - tolerance <= values.min(axis=0)).all() and (values.max(axis=0) <= most + tolerance).all()


def test_certified_areas_of_weighted_jets_are_those_counted_by_hand(box, monkeypatch):
    x, threat_model = box
    model, label, generator = trained_like(SMALL["mlp"]), np.arange(len(x)) % 3, np.random.default_rng(5)
    weights = generator.exponential(size=len(x))
    spectators = {"generator_weight": weights, "source": np.zeros(len(x), int), "entry": np.arange(len(x))}
    jets = Jets(x, label, spectators, 3)
    monkeypatch.setattr(certified, "certified_boxes", lambda under: under)
    under = [SimpleNamespace(box_label="small", threat_model=lambda dataset: threat_model)]
    found, reasons = certified.certificates({"mlp": model}, SimpleNamespace(schema=TOY), jets, under, 20, "interval")
    assert not reasons

    def area(values, over=0, against=2):
        """Share of pairs in order, each counted by the product of its weights."""
        pairs = np.outer(weights[label == over], weights[label == against])
        above = values[label == over][:, None] - values[label == against]
        return ((above > 0) * pairs + 0.5 * (above == 0) * pairs).sum() / pairs.sum()

    clean = area(discriminant(model(x).numpy(), TOY.main))
    worst = area(Certifier(model, TOY.main, "interval")(jets, threat_model))
    (one,) = found["mlp"]
    assert worst < clean - 0.01
    for other in TOY.in_tables[1:]:
        values = Certifier(model, other, "interval")(jets, threat_model)
        (over,), (against,) = other.columns
        assert one.areas[other.name].value == pytest.approx(area(values, over, against), abs=1e-6)
    assert set(one.tagged[0.01]) == {"b", "light"}
    assert one.areas["BvL"].value == pytest.approx(worst, abs=1e-6) and one.loss.value == pytest.approx(clean - worst, abs=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_no_attack_passes_a_certificate_and_stronger_ones_come_nearer(name, box):
    """On every jet: certified, the best of APGD and PGD, PGD, FGSM, the worst of random corners, clean."""
    x, threat_model = box
    model, y = trained_like(SMALL[name]), checks.labels(len(x), 3)
    jets = Jets(x, y.argmax(axis=1), {}, 3)
    sign = np.select([jets.label == 0, jets.label == 2], [1.0, -1.0], 0.0)

    def margin(point):
        return sign * discriminant(model(point).numpy(), TOY.main)

    attacks = [APGD(threat_model, steps=20, objective="BvL"), PGD(threat_model, steps=20, objective="BvL")]
    apgd, pgd, fgsm = (margin(attack(model, x, y)) for attack in [*attacks, FGSM(threat_model, objective="BvL")])
    found, generator = threat_model.box(x), np.random.default_rng(0)
    corners = [found.corner(generator.choice([-1.0, 1.0], x.shape).astype(np.float32)) for _ in range(20)]
    limits, clean = Certifier(model, TOY.main)(jets, threat_model), margin(x)
    order = [sign * limits, np.minimum(apgd, pgd), pgd, fgsm, np.min([margin(corner) for corner in corners], axis=0), clean]
    for stronger, weaker in itertools.pairwise(order):
        assert (stronger <= weaker + 1e-5).all()
    assert (apgd <= fgsm + 1e-5).all()
    limit, *_, of_fgsm, at_random, of_clean = (values.mean() for values in order)
    assert limit < of_fgsm < at_random < of_clean
    # Of few jets PGD finds more than APGD.
    assert (apgd <= pgd + 1e-5).mean() >= 0.9 and apgd.mean() < pgd.mean() + 0.02 * (of_clean - limit)
    others = sign == 0
    np.testing.assert_array_equal(limits[others], discriminant(model(x).numpy(), TOY.main)[others].astype(np.float32))


@pytest.mark.parametrize("name", SMALL)
def test_no_corner_of_a_large_box_is_beyond_the_limits(name, box):
    """All 4,096 corners of boxes in which twelve cells move so far that many ReLUs change sides."""
    x, _ = box
    low, high = ends(toy_threat_model(0.5, bounds=True), x)
    free = np.argsort(high - low, axis=1)[:, -12:]
    model = trained_like(SMALL[name])
    choices = np.array(list(itertools.product([False, True], repeat=12)))
    for jet in range(4):
        corners = np.repeat(x[jet : jet + 1], len(choices), axis=0)
        corners[:, free[jet]] = np.where(choices, high[jet, free[jet]], low[jet, free[jet]])
        values = discriminant(model.predict_on_batch(corners), TOY.main)
        moves = np.isin(np.arange(x.shape[1]), free[jet])
        limits = (tf.constant(np.where(moves, end[jet], x[jet])[None]) for end in (low, high))
        least, most = (end.numpy()[0] for end in margin_bounds(model, *limits, TOY.main))
        assert least <= values.min() + 1e-4 and values.max() <= most + 1e-4
        assert values.max() - values.min() > 0.1 * (most - least), "limits are wide of what corners reach"


@pytest.mark.parametrize("size", [0.05, 0.3])
def test_sums_with_what_went_round_a_layer_have_limits(size):
    keras.utils.set_random_seed(8)
    first = keras.Input((6,))
    x = keras.layers.Dense(6, activation="relu", bias_initializer="normal")(first)
    x = keras.layers.BatchNormalization(gamma_initializer="ones")(keras.layers.Add()([x, first]))
    model = keras.Model(first, keras.layers.Dense(3, bias_initializer="normal")(x))
    normalisation = model.layers[3]
    normalisation.set_weights([np.full(6, value, np.float32) for value in (-0.7, 0.2, 0.1, 1.5)])
    x = np.random.default_rng(9).normal(size=(20, 6)).astype(np.float32)
    low, high = x - np.float32(size), x + np.float32(size)
    corners = [np.where(choice, high, low) for choice in itertools.product([False, True], repeat=6)]
    values = np.stack([discriminant(model(corner).numpy(), JET_FLAVOR.main) for corner in corners])
    least, most = (end.numpy() for end in margin_bounds(model, tf.constant(low), tf.constant(high), JET_FLAVOR.main))
    assert (least <= values.min(axis=0) + 1e-5).all() and (values.max(axis=0) <= most + 1e-5).all()
    assert np.median((values.max(axis=0) - values.min(axis=0)) / (most - least)) > 0.8


def test_limits_of_a_lipschitz_network_are_narrower_than_its_constant_says(box):
    x, threat_model = box
    model, y = trained_like(LIPSCHITZ), checks.labels(len(x), 3)
    found = Certifier(model, TOY.main)(Jets(x, y.argmax(axis=1), {}, 3), threat_model)
    sign = np.select([y[:, 0] > 0, y[:, 2] > 0], [1.0, -1.0], 0.0)
    lost = sign * (discriminant(model(x).numpy(), TOY.main) - found)
    assert (lost <= 2 * models.largest_change(model, np.asarray(threat_model.budget(x))) + 1e-5).all()
    attacked = discriminant(model(PGD(threat_model, steps=20, objective="BvL")(model, x, y)).numpy(), TOY.main)
    assert (sign * found <= sign * attacked + 1e-5).all()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (lambda: dense_network(activation="gelu"), "the layer 'dense.*' has an activation without a rule"),
        (lambda: models.particle_net_lite(JET_FLAVOR, checks.flat_statistics(JET_FLAVOR)), "which has no rule"),
        (lambda: made_of(lambda x: keras.layers.BatchNormalization(axis=1)(keras.layers.Reshape((2, 3))(x))), "another axis"),
        (lambda: made_of(lambda x: keras.layers.Dropout(0.5)(x, training=True)), "called in training mode"),
        (lambda: made_of(lambda x: keras.ops.cast(keras.ops.cast(x, "bool"), "float32")), "truth values"),
        (
            lambda: made_of(lambda x: keras.ops.take(np.eye(3, dtype="float32"), keras.ops.cast(x[:, 0], "int32"), axis=0)),
            "its place",
        ),
        (lambda: made_of(lambda x: keras.layers.Multiply()([x, x, x])), "more than two factors"),
        (lambda: made_of(lambda x: keras.layers.Add()([keras.layers.Reshape((2, 3))(x), x[:, :3]])), "different ranks"),
    ],
)
def test_a_layer_without_a_rule_is_named(model, name):
    made = model()
    x = tf.zeros((2, made.input_shape[-1]))
    with pytest.raises(UserError, match=name):
        margin_bounds(made, x, x, JET_FLAVOR.main)


def test_without_limits_there_is_no_certificate():
    """Features that follow others have no ε of their own, so nothing is certified where they move."""
    x = checks.made_up(TOY, jets=8)
    model = trained_like(SMALL["paper_mlp"])

    class Unlimited:
        lower = None

        def box(self, x, y):
            found = toy_threat_model(0.05).box(x)
            return found._replace(low=tf.fill(x.shape, -np.inf), high=tf.fill(x.shape, np.inf))

    jets = Jets(x, np.arange(8) % 3, {}, 3)
    found = Certifier(model, TOY.main)(jets, Unlimited())
    assert (found[jets.label == 0] == -np.inf).all() and (found[jets.label == 2] == np.inf).all()


@pytest.mark.parametrize("rate", [0.1, 0.01])
def test_certified_rates_are_those_of_the_worst_points(rate, monkeypatch):
    """At thresholds of clean light jets, for enough jets that there are rates."""
    x, model = checks.made_up(TOY, 9000), trained_like(SMALL["mlp"])
    label, weights = np.arange(9000) % 3, np.random.default_rng(5).uniform(0.5, 2, 9000)
    jets = Jets(x, label, {"generator_weight": weights, "source": 0 * label, "entry": np.arange(9000)}, 3)
    threat_model = toy_threat_model(0.003, bounds=True)
    monkeypatch.setattr(certified, "certified_boxes", lambda under: under)
    under = [SimpleNamespace(box_label="small", threat_model=lambda dataset: threat_model)]
    found, _ = certified.certificates({"mlp": model}, SimpleNamespace(schema=TOY), jets, under, 5, "interval")
    (one,), worst = found["mlp"], Certifier(model, TOY.main, "interval")(jets, threat_model)
    light, clean = label == 2, discriminant(model(x).numpy(), TOY.main)
    cut = threshold(clean[light], weights[light], rate)
    for flavour, number in (("b", 0), ("light", 2)):
        of = label == number
        share = weights[of & (worst >= cut)].sum() / weights[of].sum()
        assert one.tagged[rate][flavour].value == pytest.approx(share)
        assert share != pytest.approx(weights[of & (clean >= cut)].sum() / weights[of].sum())


def test_limits_of_jets_do_not_depend_on_the_batch(box, monkeypatch):
    x, threat_model = box
    model, jets = trained_like(SMALL["mlp"]), Jets(x, np.arange(len(x)) % 3, {}, 3)
    whole = Certifier(model, TOY.main)(jets, threat_model)
    monkeypatch.setattr(certified, "_AT_ONCE", 7)
    np.testing.assert_allclose(Certifier(model, TOY.main)(jets, threat_model), whole, rtol=1e-4, atol=1e-5)
