import json

import numpy as np
import pytest

from kerastag.attacks import ThreatModel
from kerastag.errors import UserError


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
