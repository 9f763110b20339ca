import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import gammaincc

from kerastag.attacks import ThreatModel
from kerastag.attacks.summaries import FUNCTIONS
from kerastag.schema import JET_FLAVOR
from kerastag.simulation.jet_inputs import jet_probability
from tests.attacks.conftest import slots

OF_VERTICES = ("vertex_mass", "vertex_energy_fraction", "vertex_significance", "delta_r_vertex")


def column(x, name):
    return x[:, JET_FLAVOR.index(name)].astype(np.float64)


def oracle(x, clean):
    """The summaries as the simulation makes them, from the tracks in the slots of jets; `clean` tells vertices apart."""
    present = slots(clean, "D0D0") > 0
    significance = abs(slots(x, "D0")) / np.sqrt(np.where(present, slots(x, "D0D0"), 1))
    y = -np.where(present, np.log(jet_probability(significance)), 0).sum(axis=1)
    values = {"jet_prob": gammaincc(np.maximum(present.sum(axis=1), 1), y)}
    of_vertices = []
    for jet, of_jet in zip(x, clean, strict=True):
        displacement = slots(of_jet[None], "vertex_displacement")[0]
        _, first = np.unique(np.where(displacement > 0, displacement, -1), return_index=True)
        first = first[displacement[first] > 0]

        def of(name, jet=jet, first=first):
            return slots(jet[None], f"vertex_{name}")[0, first]

        length, precision = of("displacement"), (of("displacement_significance") / of("displacement")) ** 2
        delta_r = np.hypot(of("delta_eta_jet"), of("delta_phi_jet"))
        if not len(first):
            of_vertices.append([np.nan] * 4)
            continue
        of_vertices.append(
            [
                of("mass").sum(),
                of("energy_fraction").sum(),
                10 * (length * precision).sum() / np.sqrt(precision.sum()),
                np.average(delta_r, weights=of("n_tracks")),
            ]
        )
    return values | dict(zip(OF_VERTICES, np.array(of_vertices).T, strict=True))


def test_summaries_of_real_jets_follow_what_they_are_made_of(attacked):
    x, moved = attacked
    before, after = oracle(x, x), oracle(moved, x)
    for name, share in (("jet_prob", 0.4), *((name, 0.9) for name in OF_VERTICES)):
        feature = JET_FLAVOR.features[JET_FLAVOR.index(name)]
        has = ~np.isin(x[:, JET_FLAVOR.index(name)], np.float32([feature.default, *feature.special]))
        with np.errstate(invalid="ignore"):
            made = has & (abs(before[name] / column(x, name) - 1) < 0.5 * (0.01 if name == "jet_prob" else 1e-3))
        assert made.sum() > share * has.sum()
        ratio = column(moved, name)[made] / column(x, name)[made]
        assert ratio.std() > 1e-4
        np.testing.assert_allclose(ratio, after[name][made] / before[name][made], rtol=2e-3)


def test_summaries_move_on_their_own_elsewhere(attacked):
    x, moved = attacked
    with np.errstate(invalid="ignore"):
        other = abs(oracle(x, x)["jet_prob"] / column(x, "jet_prob") - 1) > 0.1
    shift = abs(column(moved, "jet_prob") - column(x, "jet_prob"))[other] / (x.std(axis=0)[JET_FLAVOR.index("jet_prob")])
    assert shift.max() <= 0.01 * 1.001 and np.median(shift) > 0.009


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_are_those_of_finite_differences(function):
    generator = np.random.default_rng(0)
    number = {"jet_probability": 2, "total": 1, "vertex_significance": 2, "mean_delta_r": 3}[function]
    counts = tf.constant(generator.random((6, 5)) < 0.7)
    arguments = [tf.constant(generator.uniform(0.5, 2, (6, 5))) for _ in range(number)]
    theory, numeric = tf.test.compute_gradient(lambda *values: FUNCTIONS[function](counts, *values), arguments)
    for ours, theirs in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert any(np.abs(ours).max() > 0.1 for ours in theory)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_jets_without_objects_have_no_gradient(function):
    number = {"jet_probability": 2, "total": 1, "vertex_significance": 2, "mean_delta_r": 3}[function]
    arguments = [tf.zeros((6, 5)) for _ in range(number)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = FUNCTIONS[function](tf.zeros((6, 5), tf.bool), *arguments)
    for gradient in tape.gradient(value, arguments, unconnected_gradients="zero"):
        np.testing.assert_array_equal(gradient, 0)


def test_a_frozen_summary_holds_what_it_is_made_of(attacked):
    x, _ = attacked
    sigma = x.std(axis=0) + 1e-12
    with np.errstate(invalid="ignore"):
        made = abs(oracle(x, x)["jet_prob"] / column(x, "jet_prob") - 1) < 0.005
    free = ThreatModel.from_schema(JET_FLAVOR, sigma, 0.01).moves(x).numpy()[:, JET_FLAVOR.index("track_0_D0")]
    held = ThreatModel.from_schema(JET_FLAVOR, sigma, 0.01, freeze=["jet_prob"]).moves(x).numpy()
    assert free[made].mean() > 0.9
    assert not held[made, JET_FLAVOR.index("track_0_D0")].any() and not held[:, JET_FLAVOR.index("jet_prob")].any()
    assert held[~made, JET_FLAVOR.index("track_0_D0")].mean() > 0.9


def test_who_names_a_summary_moves_nothing_else(attacked):
    x, _ = attacked
    moves = ThreatModel.from_schema(JET_FLAVOR, x.std(axis=0) + 1e-12, 0.01, only=["jet_prob"]).moves(x).numpy()
    assert np.flatnonzero(moves.any(axis=0)).tolist() == [JET_FLAVOR.index("jet_prob")]
    with np.errstate(invalid="ignore"):
        made = abs(oracle(x, x)["jet_prob"] / column(x, "jet_prob") - 1) < 0.005
    assert not moves[made].any()


def test_clean_jets_are_completed_bit_by_bit(attacked):
    x, _ = attacked
    box = ThreatModel.from_schema(JET_FLAVOR, x.std(axis=0) + 1e-12, 0.01).box(x)
    assert box.complete(tf.constant(x)).numpy().tobytes() == x.tobytes()


def test_config_survives_json(attacked):
    x, moved = attacked
    model = ThreatModel.from_schema(JET_FLAVOR, x.std(axis=0) + 1e-12, 0.01)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    again = keras.saving.deserialize_keras_object(config)
    beyond = x + 10 * (moved - x)
    np.testing.assert_array_equal(again.project(x, beyond), model.project(x, beyond))
    assert again.get_config() == model.get_config()


def test_groups_without_the_tracks_have_no_summaries():
    assert JET_FLAVOR.restricted(["jet", "vertex"]).summaries == ()
    assert len(JET_FLAVOR.restricted(["jet", "vertex", "track:2"]).summaries) == 5
