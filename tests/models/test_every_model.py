"""The harness on every model that comes along, and what each of them promises."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import models
from kerastag.attacks import PGD, ThreatModel
from kerastag.errors import UserError
from kerastag.layers import PairFeatures
from kerastag.schema import DEEPFLAVOUR, JET_FLAVOR, PARTICLE_TRANSFORMER_AK4, Group, Kinematics, Schema, Variable
from tests.models import checks
from tests.toy import TOY

SETS = ("pfn", "particle_net_lite", "particle_transformer_small")
# One group of as many slots as the seven neighbours of ParticleNet-Lite need, the same without momenta, and three groups.
SYMMETRIC = {
    "particles": checks.particles(8),
    "directions_alone": checks.particles(8, momentum=False),
    "deepflavour": DEEPFLAVOUR,
}
# Kinds whose graphs take long to compile.
SLOW = ("particle_transformer",)
# The same code with less of everything.
TINY = {
    "pfn": functools.partial(models.pfn, encoder=(8,), hidden=(8,)),
    "particle_net": functools.partial(models.particle_net, neighbours=2, channels=((8, 8),), hidden=(8,)),
    "particle_transformer": functools.partial(
        models.particle_transformer, embedding=(8,), pairs=(4,), heads=2, blocks=1, class_blocks=1
    ),
    "deep_jet": functools.partial(models.deep_jet, hidden=(8,)),
    "lipschitz_mlp": functools.partial(models.lipschitz_mlp, hidden=(8,)),
}


def schema_of(name):
    return TOY if name in ("mlp", "paper_mlp", "lipschitz_mlp") else checks.particles()


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in TINY])
def test_every_kind_of_model_passes_the_harness(name, tmp_path):
    checks.check_model(TINY[name], schema_of(name), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("mlp", "paper_mlp", "deep_sets"))
def test_the_other_models_pass_the_harness(name, tmp_path):
    checks.check_model(models.get(name), schema_of(name), tmp_path)


@pytest.mark.slow
def test_the_particle_transformer_passes_the_harness_without_momenta(tmp_path):
    """Directions alone bias no attention."""
    schema = checks.particles(momentum=False)
    model = TINY["particle_transformer"](schema, checks.flat_statistics(schema))
    assert not any(isinstance(layer, PairFeatures) for layer in model.layers)
    checks.check_model(TINY["particle_transformer"], schema, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("pfn", "particle_net", "particle_transformer", "deep_jet"))
def test_every_kind_of_model_takes_jets_of_several_groups(name, tmp_path):
    """Jet, tracks and a vertex, without directions or momenta."""
    checks.check_model(TINY[name], TOY, tmp_path)


@pytest.mark.parametrize("name", TINY)
def test_groups_may_have_any_name(name):
    """In a graph names of layers become scopes, in which a space is an error."""
    schema = checks.particles()
    groups, kinematics = [], []
    for prefix, group in (("first", "charged (|η| < 2.5)"), ("second", "neutral candidate")):
        variables = [Variable(one.name.replace("particle", prefix), one.branch) for one in schema.groups[0].variables]
        eta, phi, pt = (variable.name for variable in variables[:3])
        groups.append(Group(group, tuple(variables), slots=3))
        kinematics.append(Kinematics(group, eta, phi, (pt,)))
    schema = dataclasses.replace(schema, groups=tuple(groups), kinematics=tuple(kinematics))
    model = TINY[name](schema, checks.flat_statistics(schema))
    x = checks.made_up(schema, 8)
    np.testing.assert_allclose(tf.function(model)(tf.constant(x)), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("schema", SYMMETRIC.values(), ids=SYMMETRIC)
@pytest.mark.parametrize("name", SETS)
def test_order_of_slots_does_not_matter(name, schema):
    checks.check_order(models.get(name), schema)


@pytest.mark.parametrize("schema", SYMMETRIC.values(), ids=SYMMETRIC)
@pytest.mark.parametrize("name", (*SETS, "deep_jet"))
def test_empty_slots_do_not_matter(name, schema):
    checks.check_empty_slots(models.get(name), schema)


@pytest.mark.parametrize("schema", (checks.particles(), DEEPFLAVOUR), ids=("particles", "deepflavour"))
def test_order_does_not_matter_to_deep_sets_in_jets_without_empty_slots(schema):
    """A flag for each slot reaches its classifier, so that empty slots have weights of their own, and it cannot have more."""
    x = checks.made_up(schema, filled=True)
    checks.check_order(models.deep_sets, schema, x)
    model = models.deep_sets(schema, checks.flat_statistics(schema))
    assert checks.change_by_order(model, schema, checks.made_up(schema)).largest > 0.1
    longer = checks.with_more_slots(schema)
    with pytest.raises(ValueError, match="not compatible"):
        models.deep_sets(longer, checks.flat_statistics(longer)).set_weights(model.get_weights())


def test_fewer_slots_than_neighbours_are_fewer_neighbours():
    """Of six slots ParticleNet-Lite takes five neighbours, of nine its seven, among them empty ones."""
    schema = checks.particles()
    longer, x = checks.with_more_slots(schema), checks.made_up(schema)
    model, other = (models.particle_net_lite(one, checks.flat_statistics(one)) for one in (schema, longer))
    checks.stir(model)
    other.set_weights(model.get_weights())
    change = checks.change_by_empty_slots(model, other, schema, longer, x)
    print(f"particle_net_lite, 6 slots: 3 more empty slots change logits by {change}")
    assert change.largest > 1e-3


def test_momenta_of_several_groups_bias_one_attention_and_draw_one_graph():
    """Candidates and vertices of CMS have px, py, pz and E, and no directions relative to the jet."""
    schema, layers = PARTICLE_TRANSFORMER_AK4, {}
    for name in ("particle_transformer", "particle_net"):
        model = TINY[name](schema, checks.flat_statistics(schema))
        checks.check_logits(model, checks.made_up(schema, jets=20), schema)
        layers |= {type(layer).__name__: layer for layer in model.layers}
    assert layers["PairFeatures"].output.shape[1:] == (62, 62, 4) and layers["EdgeFeatures"].input[0].shape[1:] == (62, 3)


def of_features(number: int, classes: int, slots: int = 20) -> Schema:
    """Particles of a number of features, and a number of classes."""
    group = Group("particle", tuple(Variable(f"particle_{{slot}}_{n}", f"x{n}") for n in range(number)), slots=slots)
    where = tuple(f"particle_{{slot}}_{n}" for n in range(4))
    kinematics = (checks.Kinematics("particle", momentum=where),)
    return Schema("particles", (group,), tuple(JET_FLAVOR.classes[0] for _ in range(classes)), kinematics=kinematics)


# Network, features of a particle, classes, and the published number of trainable parameters.
PUBLISHED = [
    ("particle_net", 7, 2, 366_160),
    ("particle_net", 17, 10, 370_156),
    ("particle_net", 7, 10, 368_216),
    ("particle_net_lite", 4, 2, 26_122),
    ("particle_transformer", 17, 10, 2_143_486),
    ("pfn", 4, 2, 82_558),
    ("wide_pfn", 17, 10, 86_154),
]


def network(name):
    return {"wide_pfn": functools.partial(models.pfn, encoder=(128,) * 3, hidden=(128,) * 3)}.get(name) or models.get(name)


@pytest.mark.parametrize(("name", "features", "classes", "published"), PUBLISHED)
def test_trainable_parameters_are_as_many_as_published(name, features, classes, published):
    schema = of_features(features, classes)
    model = network(name)(schema, checks.flat_statistics(schema))
    counted = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    print(f"{name}, {features} features, {classes} classes: {counted:,} trainable parameters")
    assert counted == published


@pytest.mark.slow
@pytest.mark.parametrize(("name", "features", "classes"), [row[:3] for row in PUBLISHED])
def test_networks_of_published_size_do_not_depend_on_slots(name, features, classes):
    print(f"{name}, {features} features, {classes} classes:")
    schema = of_features(features, classes)
    checks.check_order(network(name), schema)
    checks.check_empty_slots(network(name), schema)


def test_deep_jet_has_the_layers_of_cms():
    """As many parameters as CMS's frozen graph, which has three logits of 100 inputs more, and a regression of 20."""
    model = models.deep_jet(DEEPFLAVOUR, checks.flat_statistics(DEEPFLAVOUR))
    assert model.count_params() == 268_278 - 3 * 101 - 20


@pytest.mark.parametrize("name", ("pfn", "particle_net", "particle_transformer", "deep_jet"))
def test_a_model_of_particles_needs_some(name):
    schema = JET_FLAVOR.restricted(["jet"])
    with pytest.raises(UserError, match="no group with slots"):
        models.get(name)(schema, checks.flat_statistics(schema))


@pytest.mark.parametrize("norm", ("one-inf", "inf"))
def test_no_attack_moves_a_logit_of_a_lipschitz_network_beyond_its_bound(norm):
    keras.utils.set_random_seed(0)
    statistics = checks.flat_statistics(TOY)
    model = models.lipschitz_mlp(TOY, statistics, hidden=(16, 16), norm=norm)
    for layer in model.layers:  # weights large enough that norms count
        if layer.name.startswith("dense"):
            layer.set_weights([20 * values for values in layer.get_weights()])
    x = checks.made_up(TOY)
    y = checks.labels(len(x), 3)
    threat_model = checks.threat_model(TOY, 0.05)
    bound = models.largest_change(model, threat_model.budget(x))
    logits = model(x).numpy()
    worst = np.zeros(len(x))
    generator = np.random.default_rng(0)
    budget = np.asarray(threat_model.budget(x))
    candidates = [PGD(threat_model, steps=20)(model, x, y).numpy()]
    candidates += [x + budget * generator.choice([-1, 1], x.shape) for _ in range(200)]
    for moved in candidates:
        worst = np.maximum(worst, abs(model(moved.astype(np.float32)).numpy() - logits).max(axis=1))
    assert (worst <= bound * (1 + 1e-4) + 1e-5).all()


def test_the_bound_holds_where_an_attack_ends_on_a_default():
    """A momentum of 0 stands for absent and is the end of its range, so attacks clip to it."""
    statistics = dataclasses.replace(checks.flat_statistics(TOY), median=np.full(20, 5.0))
    model = models.lipschitz_mlp(TOY, statistics, hidden=(2,))
    first, last = np.zeros(model.get_layer("dense.0").kernel.shape, np.float32), np.zeros((2, 3), np.float32)
    column = TOY.index("pt")
    first[column], last[0] = 1, 1
    model.get_layer("dense.0").set_weights([first, np.zeros(2, np.float32)])
    model.get_layer("dense.last").set_weights([last, np.zeros(3, np.float32)])
    x = checks.made_up(TOY)
    x[:, column] = 0.01
    threat_model = ThreatModel.from_schema(TOY, np.ones(20), 0.05)
    moved = PGD(threat_model, steps=5, objective="BvL")(model, x, checks.labels(len(x), 3)).numpy()
    moved[:, column] = 0.0
    change = abs(model(moved).numpy() - model(x).numpy()).max(axis=1)
    assert (change <= models.largest_change(model, threat_model.budget(x)) + 1e-5).all()


@pytest.mark.parametrize(("norm", "column"), [("one-inf", slice(None)), ("inf", slice(3, 4))])
def test_the_bound_is_reached_by_a_network_that_adds_up_what_it_can(norm, column):
    model = models.lipschitz_mlp(TOY, checks.flat_statistics(TOY), hidden=(2,), norm=norm)
    first, last = np.zeros((20, 2), np.float32), np.zeros((2, 3), np.float32)
    first[:20][column], last[0] = 1, 1
    model.get_layer("dense.0").set_weights([first, np.zeros(2, np.float32)])
    model.get_layer("dense.last").set_weights([last, np.zeros(3, np.float32)])
    x, budget = np.full((1, 20), 1e-4, np.float32), np.full((1, 20), 1e-3, np.float32)
    moved = abs(model(x + budget).numpy() - model(x).numpy()).max()
    np.testing.assert_allclose(moved, models.largest_change(model, budget)[0], rtol=2e-3)


def test_other_networks_have_no_such_bound():
    model = models.mlp(TOY, checks.flat_statistics(TOY))
    with pytest.raises(UserError, match="'mlp' is no lipschitz_mlp"):
        models.largest_change(model, np.ones((1, 20)))


def test_pairs_see_what_a_physicist_computes():
    """ln kT, ln z, ln ΔR and ln m² of two massive particles, in float64."""
    vectors = np.array([[3.0, 4.0, 2.0, 6.0], [-1.0, 0.2, -3.0, 3.5], [0.0, 0.0, 0.0, 0.0]])
    pairs = PairFeatures()(tf.constant(vectors[None], tf.float32)).numpy()[0]
    pt, phi = np.hypot(*vectors[:2, :2].T), np.arctan2(vectors[:2, 1], vectors[:2, 0])
    rapidity = np.arctanh(vectors[:2, 2] / vectors[:2, 3])
    delta = np.hypot(rapidity[0] - rapidity[1], (phi[0] - phi[1] + np.pi) % (2 * np.pi) - np.pi)
    total = vectors[0] + vectors[1]
    expected = [pt.min() * delta, pt.min() / pt.sum(), delta, total[3] ** 2 - (total[:3] ** 2).sum()]
    np.testing.assert_allclose(pairs[0, 1], np.log(expected), rtol=1e-5)
    np.testing.assert_array_equal(pairs, pairs.transpose(1, 0, 2))
    assert np.isfinite(pairs).all()


def test_pairs_of_massless_particles_are_those_of_their_four_vectors():
    generator = np.random.default_rng(0)
    pt, eta, phi = generator.random((3, 1, 8)) + 0.5
    vectors = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=-1)
    full = PairFeatures()(tf.constant(vectors, tf.float32)).numpy()
    short = PairFeatures()(tf.constant(np.stack([pt, eta, phi], axis=-1), tf.float32)).numpy()
    others = ~np.eye(8, dtype=bool)
    np.testing.assert_allclose(short[0][others], full[0][others], rtol=1e-3, atol=1e-3)
    assert (short[0][~others][:, 3] < -18).all(), "a massless particle has no mass with itself"


def test_graph_joins_each_particle_to_its_nearest():
    from kerastag.layers import EdgeFeatures

    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.1, 0.0], [5.0, 5.0], [0.0, 0.3]], np.float32)
    features, mask = np.arange(5, dtype=np.float32)[:, None], np.ones((5, 1), np.float32)
    mask[4] = 0
    edges = EdgeFeatures(2)(*(tf.constant(values[None]) for values in (points, features, mask))).numpy()[0]
    neighbours = [set((edge[:, 0] + edge[:, 1]).tolist()) for edge in edges[:4]]
    assert neighbours == [{2, 1}, {2, 0}, {0, 1}, {1, 2}]
    assert (edges[:4, :, 0] == features[:4]).all()


def with_equal_directions(x: np.ndarray, schema: Schema) -> np.ndarray:
    """The same jets, in which all particles of a jet point to one of two directions."""
    x = x.copy()
    for name in ("delta_eta", "delta_phi"):
        columns = [schema.index(f"particle_{slot}_{name}") for slot in range(6)]
        x[:, columns] = np.where(x[:, columns] == schema.defaults[columns], x[:, columns], np.sign(x[:, columns]) / 2)
    return x


@pytest.mark.parametrize("neighbours", (1, 2, 3))
def test_order_of_particles_of_equal_directions_does_not_matter(neighbours):
    """More are equally far than there are neighbours, and they differ in what else is known of them."""
    schema = checks.particles()
    build = functools.partial(TINY["particle_net"], neighbours=neighbours)
    checks.check_order(build, schema, with_equal_directions(checks.made_up(schema), schema))


def test_momenta_of_a_helix_are_those_of_its_parameters():
    from kerastag.layers import Kinematics

    x = np.tile(JET_FLAVOR.defaults, (2, 1))
    eta, phi, theta, q_over_p = -0.7, 0.2, 0.05, -0.25
    polar = 2 * np.arctan(np.exp(-eta)) + theta
    for name, value in (("PHI", phi), ("THETA", theta), ("QOVERP", q_over_p)):
        x[0, JET_FLAVOR.index(f"track_0_{name}")] = value
    x[:, JET_FLAVOR.index("jet_eta")] = eta
    mask = np.zeros((2, 6, 1), np.float32)
    mask[0, 0] = 1
    known = Kinematics.of_group(JET_FLAVOR, "track")(tf.constant(x), tf.constant(mask))
    delta_eta = -np.log(np.tan(polar / 2)) - eta
    pt = np.sin(polar) / abs(q_over_p)
    np.testing.assert_allclose(known["points"][0, 0], [delta_eta, phi], rtol=1e-5)
    np.testing.assert_allclose(known["vectors"][0, 0], [pt, delta_eta, phi], rtol=1e-5)
    assert not known["vectors"][:, 1:].numpy().any() and not known["points"][1].numpy().any()
