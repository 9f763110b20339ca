import json

import numpy as np
import pytest

from kerastag.attacks import ThreatModel, describe
from kerastag.attacks.description import untied
from kerastag.errors import UserError
from kerastag.schema import JET_FLAVOR
from tests.toy import SCALE, TOY, toy_threat_model


def toy(epsilon=0.1, relative_cap=None):
    return ThreatModel(epsilon, [1.0, 2.0, 5.0, 1.0], [False, False, True, False], [-1.0, 0.0, 0.0, -9.0], relative_cap)


X = np.array([[3.0, 4.0, 2.0, 0.0], [-1.0, 0.0, 7.0, -9.0], [0.1, -0.5, 0.0, 2.0]], np.float32)


def test_budget_is_epsilon_times_scale_and_zero_for_integers_and_defaults():
    expected = [[0.1, 0.2, 0, 0.1], [0, 0, 0, 0], [0.1, 0.2, 0, 0.1]]
    np.testing.assert_allclose(toy().budget(X), expected, rtol=1e-6)


def test_cap_holds_per_cell_and_freezes_zeros():
    expected = [[0.1, 0.2, 0, 0], [0, 0, 0, 0], [0.02, 0.1, 0, 0.1]]
    np.testing.assert_allclose(toy(relative_cap=0.2).budget(X), expected, rtol=1e-6)


def test_projection_clips_to_the_box_and_keeps_frozen_cells_bit_equal():
    wild = X + np.array([[1, -1, 1, 1], [1, 1, 1, 1], [-0.05, 0.01, 3, -1]], np.float32)
    projected = toy().project(X, wild).numpy()
    np.testing.assert_allclose(projected[0], [3.1, 3.8, 2.0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(projected[2], [0.05, -0.49, 0.0, 1.9], rtol=1e-6)
    assert projected[1].tobytes() == X[1].tobytes()


def test_default_is_compared_in_raw_units_whatever_the_scale():
    default = np.float32(-7.92894)
    x = np.array([[default, np.nextafter(default, np.float32(0), dtype=np.float32)]])
    for scale in (1e-12, 1.0, 1e9):
        model = ThreatModel(0.01, [scale, scale], [False, False], [default, default])
        assert (model.budget(x).numpy() > 0).tolist() == [[False, True]]


def test_config_survives_json():
    model = toy(relative_cap=0.2)
    again = ThreatModel.from_config(json.loads(json.dumps(model.get_config())))
    np.testing.assert_array_equal(again.budget(X), model.budget(X))


@pytest.mark.parametrize(
    ("change", "name"),
    [({"epsilon": -1}, "epsilon"), ({"relative_cap": -0.1}, "relative_cap"), ({"epsilon": float("nan")}, "epsilon")],
)
def test_impossible_values_are_refused(change, name):
    with pytest.raises(UserError, match=f"`{name}`"):
        toy(**change)


def test_arrays_must_fit_together():
    with pytest.raises(UserError, match="one entry per feature"):
        ThreatModel(0.1, [1.0, 2.0], [False], [0.0, 0.0])
    with pytest.raises(UserError, match="positive"):
        ThreatModel(0.1, [0.0], [False], [0.0])


def test_epsilon_by_flavour_needs_labels_and_is_the_largest_without_them():
    model = ThreatModel(0.1, np.ones(2), np.zeros(2), np.full(2, -9.0), by_flavour=[1.0, 0.0, 2.0])
    x = np.ones((3, 2), np.float32)
    np.testing.assert_allclose(model.budget(x, np.eye(3, dtype=np.float32)), [[0.1] * 2, [0] * 2, [0.2] * 2], rtol=1e-6)
    np.testing.assert_allclose(model.budget(x), np.full((3, 2), 0.2), rtol=1e-6)
    moved = model.project(x, x + 1, np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(moved, [[1.1] * 2, [1] * 2, [1.2] * 2], rtol=1e-6)
    for factors in ([1.0, 0.0, 2.0], [[1.0, 2.0], [0.0, 0.5], [2.0, 0.0]]):
        of_flavours = ThreatModel(0.1, np.ones(2), np.zeros(2), np.full(2, -9.0), by_flavour=factors)
        of_all = of_flavours.for_any_flavour().budget(x, np.eye(3, dtype=np.float32))
        np.testing.assert_allclose(of_all, of_flavours.budget(x), rtol=1e-6)
    with pytest.raises(UserError, match="no flavour 'tau'; it has b, c, light"):
        toy_threat_model(by_flavour={"tau": 1.0})
    with pytest.raises(UserError, match="`by_flavour`"):
        ThreatModel(0.1, np.ones(2), np.zeros(2), np.full(2, -9.0), by_flavour=[-1.0, 0.0, 2.0])


def test_epsilon_in_physical_units_by_name():
    model = toy_threat_model({"track_*_d0": 0.005, "track_1_d0": 0.02, "vertex_mass": 0.5})
    x = np.full((1, 20), 2.5, np.float32)
    budget = dict(zip(TOY.names, model.budget(x).numpy()[0], strict=True))
    assert budget["track_0_d0"] == pytest.approx(0.005)
    assert budget["track_1_d0"] == pytest.approx(0.02)
    assert budget["vertex_mass"] == pytest.approx(0.5)
    assert sum(value > 0 for value in budget.values()) == 4
    with pytest.raises(UserError, match=r"No feature of toy matches 'track_\*_z0'; the nearest are"):
        toy_threat_model({"track_*_z0": 0.005})


def test_features_are_selected_and_frozen_by_name():
    x = np.full((1, 20), 2.5, np.float32)
    moves = toy_threat_model(only=["track_*"], freeze=["track_2_*"]).budget(x).numpy()[0] > 0
    expected = [name.startswith(("track_0", "track_1")) and not name.endswith("hits") for name in TOY.names]
    assert moves.tolist() == expected


def test_bounds_hold_but_clean_values_outside_may_stay():
    model = ThreatModel(1.0, np.ones(3), np.zeros(3), np.full(3, -9.0), lower=[0.0, -np.inf, 0.0], upper=[np.inf, 1.0, 1.0])
    x = np.array([[0.5, 0.5, 0.5], [-2.0, 3.0, 5.0]], np.float32)
    low, high = model.project(x, x - 5).numpy(), model.project(x, x + 5).numpy()
    np.testing.assert_allclose(low, [[0, -0.5, 0], [-2, 2, 4]])
    np.testing.assert_allclose(high, [[1.5, 1, 1], [-1, 3, 5]])


def test_bounds_of_a_schema_keep_cells_off_their_default():
    model = toy_threat_model(100.0, bounds=True)
    x = np.full((1, 20), 2.0, np.float32)
    moved = model.project(x, x - 1000).numpy()[0]
    assert 0 < moved[TOY.index("track_0_var")] < 1e-30
    assert moved[TOY.index("track_0_phi")] == np.float32(-3.14)
    assert moved[TOY.index("track_0_d0")] < -10


def test_description_is_in_physical_units():
    text = describe(toy_threat_model(0.1, 0.2, by_flavour={"b": 2.0}, freeze=["eta"], bounds=True), TOY)
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in text.splitlines()}
    assert rows["feature"][1] == "largest shift of its own, b jets"
    column = TOY.index("vertex_mass")
    assert rows["vertex_mass"][1:3] == [f"{0.2 * SCALE[column]:.3g}", f"{0.1 * SCALE[column]:.3g}"]
    assert rows["eta"][-1] == "frozen, stays" and rows["eta"][1] == "0"
    assert rows["n"][-1] == "whole number, stays"
    assert "at most 20% of the value" in rows["pt"][-1] and "not above 3.14" in rows["track_0_phi"][-1]
    assert "-4 stays" in rows["track_0_phi"][-1]


def test_variables_that_follow_from_no_input_are_listed_once_by_reason():
    reasons = {feature.variable: feature.untied for feature in JET_FLAVOR.features if feature.untied}
    lines = untied(JET_FLAVOR).splitlines()
    assert len(reasons) > len(lines) == len(set(reasons.values()))
    listed = [(name, reason) for names, reason in (line[2:].split(": ", 1) for line in lines) for name in names.split(", ")]
    assert sorted(listed) == sorted(reasons.items())
    assert untied(TOY) == ""
