import numpy as np
import pytest

from kerastag.evaluation.shapes import as_drawn, normality, one_of_each_variable
from kerastag.evaluation.visibility import Side, visibility
from tests.toy import TOY


@pytest.fixture(scope="module")
def jets():
    """Features `(4000, 20)` and weights."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4000, 20)).astype(np.float32)
    x[:, TOY.integer] = np.rint(2 * x[:, TOY.integer])
    return np.where(generator.random(x.shape) < 0.1, TOY.defaults, x), generator.uniform(0.5, 2, 4000)


def test_a_shift_of_everything_shows_and_one_that_changes_nothing_does_not(jets):
    x, weights = jets
    moved = x.copy()
    column, other = TOY.index("track_0_d0"), TOY.index("vertex_mass")
    present = x[:, column] != TOY.defaults[column]
    moved[present, column] += 1
    rows = np.flatnonzero(x[:, other] != TOY.defaults[other])
    moved[rows, other] = np.roll(x[rows, other], 1)  # every jet another value, the distribution the same
    chi2, divergence = as_drawn(TOY, x, moved, np.ones(len(x)), 0.2)
    assert chi2[column] > 5 and divergence[column] > 0.05
    assert chi2[other] == 0 and divergence[other] < 1e-12
    half, label = np.arange(len(x)) % 2 == 0, np.zeros(len(x), int)
    before, after, others = Side(x[half], label[half]), Side(moved[half], label[half]), Side(x[~half], label[~half])
    found = visibility(TOY, after, others, before=before, uncertainty=0.2)
    answer = normality(TOY, x, moved, weights, found)
    assert answer["moving"] == 2 and answer["normal"] == 1
    rows = {row["feature"]: row for row in answer["features"]}
    assert rows.keys() == {"track_0_d0", "vertex_mass"}
    assert rows["track_0_d0"]["shows"] and not rows["vertex_mass"]["shows"]
    assert answer["largest_distance"] == rows["track_0_d0"]["distance"] > 0.2
    assert answer["largest_chi2_per_ndf"] == rows["track_0_d0"]["chi2_per_ndf"] > 5
    assert answer["largest_jensen_shannon_bits"] == rows["track_0_d0"]["jensen_shannon_bits"] > 0.05


def test_one_slot_of_each_variable_is_chosen():
    importance = np.zeros(20)
    for name, value in {"track_2_d0": 5, "track_0_d0": 4, "track_1_phi": 3, "eta": 2, "pt": np.nan}.items():
        importance[TOY.index(name)] = value
    assert one_of_each_variable(TOY, importance, 10) == ["track_2_d0", "track_1_phi", "eta"]
    assert one_of_each_variable(TOY, importance, 1) == ["track_2_d0"]
