import numpy as np
import pytest

from kerastag.schema import JET_FLAVOR
from tests.toy import TOY
from tfds_jets import suspicion


@pytest.fixture
def x():
    """Plausible jets `(2000, 20)`."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(2000, 20)).astype(np.float32)
    x[:, TOY.index("pt")] = 50 + 20 * abs(x[:, TOY.index("pt")])
    x[:, TOY.integer] = np.rint(x[:, TOY.integer])
    return x


def test_nothing_is_said_of_plausible_jets(x):
    assert suspicion.sentences(x, TOY) == []


@pytest.mark.parametrize("value", (-999.0, 1e6))
def test_a_value_for_absent_that_the_schema_does_not_know(x, value):
    """Five percent of it make σ some hundred times too large."""
    x[::20, TOY.index("vertex_mass")] = value
    first, second = suspicion.sentences(x, TOY)
    assert first.startswith(f"'vertex_mass' is {value:g} in 0.05 of its cells")
    assert "times that of its core" in second


@pytest.mark.parametrize("value", (99, -99))
def test_a_whole_number_far_from_all_others(x, value):
    x[::50, TOY.index("n")] = value
    (sentence,) = suspicion.sentences(x, TOY)
    assert sentence.startswith(f"'n' is {value} in 0.0") and "far from all others" in sentence


def test_what_a_schema_says_is_no_suspicion(x):
    x[::20, TOY.index("eta")] = -9.0  # the default
    x[::20, TOY.index("track_0_var")] = 0.0  # the end of its range
    x[:, TOY.index("track_0_var")] = abs(x[:, TOY.index("track_0_var")])
    assert suspicion.sentences(x, TOY) == []


def test_weights_are_wrong_if_none_is_above_0():
    assert suspicion.of_weights(1999, 2000, JET_FLAVOR) == []
    assert suspicion.of_weights(2000, 2000, TOY) == []  # its files have no weights
    (sentence,) = suspicion.of_weights(2000, 2000, JET_FLAVOR)
    assert sentence.startswith("'generator_weight' is 0 in all jets") and sentence.endswith("branch 'generator_weight'.")


@pytest.mark.parametrize(
    ("name", "factor", "unit"), (("pt", 1000, "MeV"), ("pt", 0.001, "TeV"), ("eta", 180 / np.pi, "degrees"))
)
def test_other_units(x, name, factor, unit):
    x[:, TOY.index(name)] *= factor
    (sentence,) = suspicion.sentences(x, TOY)
    assert sentence.startswith(f"'{name}'") and f"looks like {unit}" in sentence
