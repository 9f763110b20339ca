import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import PAPER, PGD, GaussianNoise, Physics, ThreatModel, attacked_features
from kerastag.schema import JET_FLAVOR, Group, Schema, Tie, Variable
from tests.attacks.conftest import slots

# A jet with a value and its significance, two slots with a quantity that they may share, and a table of two.
TIED = Schema(
    name="tied",
    version="1",
    description="",
    tree="jets",
    groups=(
        Group(
            "jet",
            (
                Variable("ip", "ip", default=-5.0),
                Variable("significance", "significance", default=-5.0),
                Variable("of_jet", "of_jet", default=-5.0, valid_min=0.0),
            ),
        ),
        Group(
            "track",
            (
                Variable("mass_{slot}", "mass", default=-5.0, valid_min=0.0, special=(0.0,)),
                Variable("xx_{slot}", "xx", default=-5.0, valid_min=0.0, tabulated=True),
                Variable("xy_{slot}", "xy", default=-5.0, tabulated=True),
                Variable("table_{slot}", "table", default=-5.0, tabulated=True),
            ),
            slots=2,
        ),
    ),
    classes=JET_FLAVOR.classes,
    spectators=(),
    pt="ip",
    eta="ip",
    ties=(
        Tie("mass_{slot}", (("mass_{slot}", 1.0),), factor=1.0),
        Tie("xy_{slot}", (("xx_{slot}", 1.0),)),
        Tie("significance", (("ip", 1.0),)),
        Tie("of_jet", (("mass_{slot}", 1.0), ("xx_{slot}", -0.5)), factor=1.0, tolerance=1e-4),
    ),
)
NAMES = TIED.names
# ip, significance, of_jet, mass, mass, xx, xx, xy, xy, table, table
X = np.array(
    [
        [2.0, 8.0, 1.0, 3.0, 3.0, 9.0, 4.0, -3.0, 1.0, 7.0, 7.0],  # equal masses; of_jet is that of slot 0
        [2.0, -5, 5.0, 3.0, 1.0, 9.0, 4.0, -3.0, 1.0, 7.0, 7.0],  # no significance; of_jet is that of no slot
        [-2.0, -8.0, 0.5, 0.0, 1.0, 9.0, 4.0, -3.0, 1.0, 7.0, 7.0],  # a special mass; of_jet is that of slot 1
    ],
    np.float32,
)
SCALE = np.ones(len(NAMES))


def column(values, name):
    return np.asarray(values)[:, NAMES.index(name)]


def tied(epsilon=0.1, **options):
    return ThreatModel.from_schema(TIED, SCALE, epsilon, **options)


def test_what_moves_on_its_own_and_what_follows():
    box = tied().box(X)
    free = np.asarray(box.budget) > 0
    follows = np.asarray(box.moves) & ~free
    assert column(free, "ip").all() and not column(free, "significance").any()
    assert column(follows, "significance").tolist() == [True, False, True]
    assert column(free, "mass_0").tolist() == [True, True, False] and column(free, "mass_1").tolist() == [False, True, True]
    assert column(follows, "mass_1").tolist() == [True, False, False]
    assert column(free, "xx_0").all() and column(follows, "xy_0").all()
    assert not column(box.moves, "table_0").any()
    assert column(free, "of_jet").tolist() == [False, True, False]


def test_what_is_zero_has_no_ratio_to_follow():
    x = X.copy()
    x[0, NAMES.index("ip")] = 0
    assert column(np.asarray(tied().box(x).budget) > 0, "significance").tolist() == [True, False, False]


def test_followers_keep_what_they_are_functions_of():
    generator = np.random.default_rng(0)
    box = tied().box(X)
    for _ in range(20):
        moved = box.complete(box.project(X + generator.normal(size=X.shape).astype(np.float32))).numpy()
        for row in (0, 2):
            np.testing.assert_allclose(column(moved, "significance")[row] / column(moved, "ip")[row], 4.0, rtol=1e-6)
        assert column(moved, "mass_0")[0] == column(moved, "mass_1")[0]
        for slot in (0, 1):
            ratio = column(moved, f"xy_{slot}") / column(moved, f"xx_{slot}")
            np.testing.assert_allclose(ratio, column(X, f"xy_{slot}") / column(X, f"xx_{slot}"), rtol=1e-6)
        for row, slot in ((0, 0), (2, 1)):
            expected = column(moved, f"mass_{slot}")[row] / np.sqrt(column(moved, f"xx_{slot}")[row])
            np.testing.assert_allclose(column(moved, "of_jet")[row], expected, rtol=1e-5)


def test_followers_stay_in_their_own_box():
    generator = np.random.default_rng(1)
    box = tied(0.3).box(X)
    for _ in range(50):
        moved = box.complete(box.project(X + 9 * generator.normal(size=X.shape).astype(np.float32))).numpy()
        assert (abs(moved - X) <= 0.3 + 1e-6).all()
    # A significance of 8 that may move by 0.3 lets its impact parameter of 2 move by 0.075.
    np.testing.assert_allclose(column(box.budget, "ip")[[0, 2]], 0.075, rtol=1e-5)


def test_clean_jets_are_completed_bit_by_bit():
    assert tied().box(X).complete(tf.constant(X)).numpy().tobytes() == X.tobytes()


def test_gradient_of_a_free_cell_holds_that_of_its_followers():
    """Of a linear tagger: ∂/∂ip of w·(ip, significance) is w_ip + w_significance·significance/ip."""
    weights = np.linspace(0.5, 2, len(NAMES)).astype(np.float32)
    point = tf.constant(X)
    box = tied().box(X)
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = tf.reduce_sum(box.complete(point) * weights, axis=1)
    gradient = tape.gradient(value, point).numpy()
    w = dict(zip(NAMES, weights, strict=True))
    expected = w["ip"] + np.array([4.0, 0.0, 4.0]) * w["significance"]
    np.testing.assert_allclose(column(gradient, "ip"), expected, rtol=1e-5)
    # of_jet = mass/√xx in slot 0, where slot 1 shares the mass; xy follows xx.
    np.testing.assert_allclose(column(gradient, "mass_0")[0], w["mass_0"] + w["mass_1"] + w["of_jet"] / 3, rtol=1e-5)
    expected = w["xx_0"] - w["xy_0"] / 3 - w["of_jet"] * 1.0 / 18
    np.testing.assert_allclose(column(gradient, "xx_0")[0], expected, rtol=1e-5)


def test_pgd_through_ties_finds_the_optimum_that_a_grid_finds():
    """The value pulls one way and its significance the other; what counts is their sum."""
    inputs = keras.Input((len(NAMES),))
    kernel = np.zeros((len(NAMES), 3), np.float32)
    kernel[NAMES.index("ip"), 0], kernel[NAMES.index("significance"), 0] = 1.0, -0.5
    dense = keras.layers.Dense(3, use_bias=False)
    tagger = keras.Model(inputs, dense(inputs))
    dense.set_weights([kernel])
    y = np.tile([[1.0, 0.0, 0.0]], (3, 1)).astype(np.float32)
    moved = attacked_features(tagger, X, y, PGD(tied(), steps=20, random_start=False))
    # Logit 0 is ip - significance/2 = -ip in jets whose ratio is 4, and ip where there is no significance.
    expected = [2.0 + 0.025, 2.0 - 0.1, -2.0 + 0.025]
    np.testing.assert_allclose(column(moved, "ip"), expected, rtol=1e-5)


def test_special_values_and_tables_stay_and_the_papers_box_moves_them():
    moving = np.asarray(tied(physics=PAPER).moves(X))
    assert moving[X != -5].all()
    untied = np.asarray(tied(physics=Physics(untied=True)).moves(X))
    assert not column(untied, "xx_0").any() and not column(untied, "mass_0")[2] and column(untied, "significance")[0]


def test_who_names_a_follower_moves_what_it_follows():
    box = tied(only=("significance",)).box(X)
    moving = np.asarray(box.moves)
    assert column(moving, "ip").tolist() == [True, False, True] and moving.sum() == 4
    np.testing.assert_allclose(column(box.budget, "ip"), [0.025, 0, 0.025], rtol=1e-5)
    named = np.asarray(tied({"ip": 0.5}).box(X).budget)
    np.testing.assert_allclose(column(named, "ip"), 0.5, rtol=1e-6)  # a budget that does not name what follows


def test_frozen_features_hold_what_leads_them():
    assert not column(tied(freeze=("significance",)).moves(X), "ip")[[0, 2]].any()


def test_distortions_move_followers_too():
    moved = attacked_features(
        keras.Sequential([keras.Input((len(NAMES),))]), X, np.eye(3, dtype=np.float32), GaussianNoise(tied())
    )
    assert not np.array_equal(column(moved, "ip"), column(X, "ip"))
    np.testing.assert_allclose(column(moved, "significance")[[0, 2]] / column(moved, "ip")[[0, 2]], 4.0, rtol=1e-6)


def test_config_survives_json():
    model = tied(0.2, relative_cap=0.1)
    for one in (tied(0.2), model):
        again = ThreatModel.from_config(json.loads(json.dumps(one.get_config())))
        assert again.get_config() == one.get_config()
        for name in ("budget", "low", "high"):
            np.testing.assert_array_equal(getattr(again.box(X), name), getattr(one.box(X), name))
    assert (
        again.box(X).complete(tf.constant(X * 1.01)).numpy().tobytes()
        == model.box(X).complete(tf.constant(X * 1.01)).numpy().tobytes()
    )


@pytest.mark.parametrize("direction", (-1.0, 1.0))
def test_no_cell_becomes_special_at_the_end_of_its_range(direction):
    """A mass of 0 means something else than the smallest mass."""
    box = tied(epsilon=100.0).box(X)
    moved = np.asarray(box.complete(box.corner(tf.fill(X.shape, direction))))
    for name in ("mass_0", "mass_1"):
        np.testing.assert_array_equal(column(moved, name) == 0, column(X, name) == 0)
        assert (column(moved, name) >= 0).all() and (column(moved, name) != column(X, name)).any()


def test_threat_models_of_older_versions_are_read():
    config = tied(physics=PAPER).get_config()
    for name in ("special", "ties", "alone", "limited", "proportional"):
        del config[name]
    assert np.asarray(ThreatModel.from_config(config).moves(X))[X != -5].all()


def test_real_jets_keep_zeros_and_ranges(attacked):
    x, moved = attacked
    assert (x != moved).any(axis=0).sum() > 150
    for name in ("vertex_displacement", "vertex_displacement_significance"):
        assert (slots(x, name) == 0).mean() > 0.4
        np.testing.assert_array_equal(slots(x, name) == 0, slots(moved, name) == 0)
    for number, feature in enumerate(JET_FLAVOR.features):
        inside = moved[:, number] != np.float32(feature.default)
        if feature.valid_min is not None:
            assert moved[inside, number].min() >= feature.valid_min
        if feature.valid_max is not None:
            assert moved[inside, number].max() <= np.float32(feature.valid_max)


def test_covariances_of_real_jets_stay_positive_definite(attacked):
    x, moved = attacked
    names = ("D0", "Z0", "PHI", "THETA", "QOVERP")
    present = slots(x, "D0D0") > 0
    matrices = {}
    for kind, values in (("clean", x), ("attacked", moved)):
        matrices[kind] = np.zeros((present.sum(), 5, 5))
        for row, first in enumerate(names):
            for col, second in enumerate(names[: row + 1]):
                matrices[kind][:, row, col] = matrices[kind][:, col, row] = slots(values, first + second)[present]
    variances = {kind: np.einsum("nii->ni", values) for kind, values in matrices.items()}
    factors = variances["attacked"] / variances["clean"]
    assert (factors.std(axis=0) > 1e-4).all() and (abs(np.corrcoef(factors.T) - np.eye(5)) < 0.9).all()
    correlations = {
        kind: values / np.sqrt(variances[kind][:, :, None] * variances[kind][:, None]) for kind, values in matrices.items()
    }
    np.testing.assert_allclose(correlations["attacked"], correlations["clean"], atol=1e-5)
    assert np.linalg.eigvalsh(correlations["attacked"]).min() > 0


def test_tracks_of_a_vertex_share_it_and_significances_follow(attacked):
    x, moved = attacked
    for name in ("mass", "displacement", "energy_fraction", "delta_eta_jet"):
        clean, after = slots(x, f"vertex_{name}"), slots(moved, f"vertex_{name}")
        equal = clean[:, :, None] == clean[:, None, :]
        assert (after[:, :, None] == after[:, None, :])[equal].all()
    significances = {}
    for name in ("D0", "Z0"):
        with np.errstate(divide="ignore", invalid="ignore"):
            significances[name] = [abs(slots(jets, name)) / np.sqrt(slots(jets, 2 * name)) for jets in (x, moved)]
    for number in (2, 3):
        columns = [JET_FLAVOR.index(f"track_{number}_{name}_significance") for name in ("d0", "z0")]
        pairs = zip(("D0", "Z0"), columns, strict=True)
        difference = np.maximum(*(abs(significances[name][0] - x[:, [column]]) for name, column in pairs))
        # What is exactly 0 has no ratio to follow.
        match = (slots(x, "D0D0") > 0) & (difference < 0.003) & (slots(x, "D0") != 0) & (slots(x, "Z0") != 0)
        has = x[:, columns[0]] > 0
        # Jets in which one track alone has both.
        rows = np.flatnonzero(has & (match.sum(axis=1) == 1))
        assert len(rows) > 0.8 * has.sum()
        for name, column in zip(("D0", "Z0"), columns, strict=True):
            np.testing.assert_allclose(moved[rows, column], significances[name][1][rows][match[rows]], atol=0.01, rtol=0.01)


def test_both_significances_of_a_track_follow_the_same_slot():
    """Of jets in which two slots have the same d0 significance, the z0 significance says which one it is."""
    rows = np.tile(JET_FLAVOR.defaults, (2, 1))
    for slot, z0 in ((0, (1.0, 2.0)), (1, (2.0, 1.0))):
        for name, value in (("D0", 0.3), ("D0D0", 0.01), ("Z0", np.array(z0)), ("Z0Z0", 0.25)):
            rows[:, JET_FLAVOR.index(f"track_{slot}_{name}")] = value
    rows[:, JET_FLAVOR.index("track_2_d0_significance")] = 3.0
    rows[:, JET_FLAVOR.index("track_2_z0_significance")] = 4.0
    box = ThreatModel.from_schema(JET_FLAVOR, np.ones(184), {"track_*_D0": 1e-4, "track_*_Z0": 1e-4}).box(rows)
    point = rows.copy()
    for slot, shift in ((0, 1e-4), (1, -1e-4)):
        for name in ("D0", "Z0"):
            point[:, JET_FLAVOR.index(f"track_{slot}_{name}")] += shift
    moved = box.complete(box.project(point)).numpy() - rows
    for name in ("d0", "z0"):
        signs = np.sign(moved[:, JET_FLAVOR.index(f"track_2_{name}_significance")])
        np.testing.assert_array_equal(signs, [-1, 1])


def test_distortions_leave_what_a_budget_does_not_name():
    """What leads a named feature has no size of its own; σ is none."""
    model = tied(only=("significance",))
    tagger = keras.Sequential([keras.Input((len(NAMES),))])
    moved = attacked_features(tagger, X, np.eye(3, dtype=np.float32), GaussianNoise(model))
    np.testing.assert_array_equal(moved, X)


def test_one_completer_serves_many_points():
    """In a graph, too, where the gradient of each point is taken by itself."""
    box = tied().box(X)
    complete = box.completer()
    points = [box.project(X * factor) for factor in np.float32((1.01, 0.98))]
    gradient = tf.function(lambda point: tf.gradients(complete(point) ** 2, point)[0])
    for point in points:
        np.testing.assert_array_equal(complete(point), box.complete(point))
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = box.complete(point) ** 2
        np.testing.assert_allclose(gradient(point), tape.gradient(value, point), rtol=1e-6)
