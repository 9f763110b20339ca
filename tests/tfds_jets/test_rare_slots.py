"""Lists whose last slots are empty: units, and what a build refuses."""

import dataclasses

import numpy as np
import pytest

from kerastag.errors import UserError
from kerastag.schema import FlavourClass, Group, Schema, Variable
from kerastag.statistics import Moments, Statistics
from tfds_jets import checks
from tfds_jets.rare_slots import slots_of_lists, with_units

SCHEMA = Schema(
    "lists",
    (
        Group("jet", (Variable("pt", "jet_pt"),)),
        Group(
            "track",
            (Variable("d0_{slot}", "trk_d0"), Variable("quality_{slot}", "trk_quality", integer=True)),
            slots=3,
        ),
    ),
    (FlavourClass.of("b", "flavour == 5"), FlavourClass.of("light", "flavour == 0")),
)


def jets(number: int = 2000) -> np.ndarray:
    """Jets with a momentum and two tracks of quality 5, never a third."""
    rng = np.random.default_rng(0)
    x = np.zeros((number, 7), np.float32)
    x[:, 0] = rng.uniform(20, 100, number)
    x[:, 1:3] = rng.normal(2, [0.1, 0.3], (number, 2))
    x[:, 4:6] = 5
    return x


def test_slots_of_a_list_are_found():
    assert slots_of_lists(SCHEMA) == [[0], [1, 2, 3], [4, 5, 6]]
    flat = Group("track", (Variable("d0_{slot}", "trk_d0_{slot}"),), slots=3)
    assert slots_of_lists(dataclasses.replace(SCHEMA, groups=(flat,))) == [[0], [1], [2]]


def test_empty_slots_have_the_unit_of_the_slot_before():
    plain = Statistics.of(jets(), SCHEMA.defaults)
    statistics = with_units(plain, SCHEMA)
    np.testing.assert_array_equal(statistics.sigma[:3], plain.sigma[:3])
    for name in ("mean", "sigma", "median", "iqr"):
        values = getattr(statistics, name)
        assert values[3] == values[2] == getattr(plain, name)[2]
    np.testing.assert_array_equal(statistics.default_fraction, plain.default_fraction)
    assert statistics.default_fraction[3] == 1


def test_what_is_the_same_in_all_slots_has_the_unit_1():
    np.testing.assert_array_equal(with_units(Statistics.of(jets(), SCHEMA.defaults), SCHEMA).sigma[4:], 1)


def test_of_features_that_are_no_list_whole_numbers_alone_get_a_unit():
    x = jets()
    x[:, 0] = 30
    statistics = Statistics.of(x, SCHEMA.defaults)
    assert with_units(statistics, SCHEMA).sigma[0] == 0
    whole = Group("jet", (Variable("pt", "jet_pt", integer=True),))
    schema = dataclasses.replace(SCHEMA, groups=(whole, SCHEMA.groups[1]))
    assert with_units(statistics, schema).sigma[0] == 1
    checks.refuse_constants(schema, moments(x))


def moments(x: np.ndarray) -> Moments:
    made = Moments(SCHEMA.defaults)
    made.update(x)
    return made


def test_empty_slots_and_whole_numbers_that_never_change_are_no_reason_to_refuse():
    checks.refuse_constants(SCHEMA, moments(jets()))


@pytest.mark.parametrize(
    ("columns", "value", "reason"),
    [([0], 30.0, "'pt': the same in"), ([1, 2], 2.0, "'d0_0', 'd0_1', 'd0_2': the same"), ([4, 5], 0.0, "'quality_0'.*absent")],
)
def test_what_says_nothing_in_any_slot_is_refused(columns, value, reason):
    x = jets()
    x[:, columns] = value
    with pytest.raises(UserError, match=reason):
        checks.refuse_constants(SCHEMA, moments(x))
