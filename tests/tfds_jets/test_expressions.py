"""What expressions of branches mean, and that they can do nothing else."""

import awkward as ak
import numpy as np
import pytest

from kerastag.errors import UserError
from tfds_jets import expressions

PT, ETA = np.array([20.0, 40.0, 60.0]), np.array([0.5, -3.0, 1.0])
COLUMNS = {
    "jet_pt": ak.Array(PT),
    "jet_eta": ak.Array(ETA),
    "Jet.PT": ak.Array(PT),
    "track_d0": ak.Array([[1.0, -2.0], [], [3.0]]),
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("jet_pt > 30 and abs(jet_eta) < 2.5", (PT > 30) & (abs(ETA) < 2.5)),
        ("not jet_pt > 30 or jet_eta < 0", ~(PT > 30) | (ETA < 0)),
        ("30 < jet_pt < 50", (PT > 30) & (PT < 50)),
        ("Jet.PT", PT),
        ("2 * Jet.PT ** 2 - 1", 2 * PT**2 - 1),
        ("sqrt(jet_pt) / -jet_eta", np.sqrt(PT) / -ETA),
        ("where(jet_eta < 0, 0, jet_pt)", np.where(ETA < 0, 0, PT)),
        ("num(track_d0)", [2, 0, 1]),
        ("(jet_pt > 30) & (jet_eta > 0)", (PT > 30) & (ETA > 0)),
    ],
)
def test_means_what_numpy_means(expression, expected):
    assert set(expressions.names(expression, COLUMNS, "t")) <= set(COLUMNS)
    np.testing.assert_array_equal(ak.to_numpy(expressions.evaluate(expression, COLUMNS)), expected)


def test_a_branch_of_any_name_is_itself():
    odd = {"a-b c": ak.Array(PT)}
    assert expressions.names("a-b c", odd, "t") == ["a-b c"]
    assert expressions.evaluate("a-b c", odd) is odd["a-b c"]


@pytest.mark.parametrize(
    "expression",
    [
        "().__class__.__base__.__subclasses__()",
        "jet_pt.__array__()",
        "__import__('os').system('true')",
        "(lambda: 1)()",
        "[jet_pt for jet_pt in (1, 2)]",
        "f'{jet_pt}'",
        "jet_pt if jet_eta else 1",
        "(jet_pt := 1)",
        "'text'",
        "sqrt(jet_pt, out=jet_eta)",
        "jet_pt[0:2]",
        "1 +",
        "",
        "(" * 500 + ")" * 500,
        "-" * 1900 + "jet_pt",
        "1",
        "1 == 1",
        "jet_pt" + " + jet_pt" * 1000,
    ],
)
def test_nothing_but_arithmetic_is_let_in(expression):
    """uproot's own language runs attributes of constants, and so reached any Python object."""
    with pytest.raises(UserError) as caught:
        expressions.names(expression, COLUMNS, "t")
    assert "\n" not in str(caught.value)


def test_powers_of_whole_numbers_come_to_an_end():
    """They are Python's, which grow until memory is full."""
    with pytest.raises(UserError, match="cannot be computed"):
        expressions.evaluate("jet_pt * 9**9**9**9", COLUMNS)
    np.testing.assert_array_equal(expressions.evaluate("jet_pt * 2**3", COLUMNS), 8 * PT)


def test_misspelt_names_are_answered_with_near_ones():
    with pytest.raises(UserError, match=r"t has no branch 'jet_ptt' for 'jet_ptt > 1'; .*'jet_pt'"):
        expressions.names("jet_ptt > 1", COLUMNS, "t")
    with pytest.raises(UserError, match=r"calls 'sqr'; the nearest functions are 'sqrt'"):
        expressions.names("sqr(jet_pt)", COLUMNS, "t")


def test_columns_that_do_not_fit_are_the_users_mistake():
    with pytest.raises(UserError, match=r"'track_d0\[jet_eta\]' cannot be computed"):
        expressions.evaluate("track_d0[jet_eta]", COLUMNS)
