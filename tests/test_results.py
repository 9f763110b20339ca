"""Numbers as values: printed with the digits that their error allows, paired, and back from JSON as they were."""

import json

import numpy as np
import pytest

from kerastag.errors import UserError
from kerastag.results import Interval, NotDefined, Resampled, Seeds, Trained, columns, decimals, defined, plain, revived

# Errors and the rounded errors of the Particle Data Group's rule, in the examples of its introduction and around its limits.
PDG = {0.119: "0.12", 0.367: "0.4", 0.000354: "0.00035", 0.000356: "0.0004", 0.0971: "0.10", 0.00097: "0.0010"}


@pytest.mark.parametrize(("error", "printed"), PDG.items())
def test_an_error_has_the_digits_of_the_rule(error, printed):
    assert f"{error:.{decimals(error)}f}" == printed


def test_numbers_are_printed_with_the_digits_of_their_error():
    interval = Interval(0.94612, 0.94570, 0.94650)
    assert str(interval) == "0.9461 ± 0.0004"
    assert f"{interval:+}" == "+0.9461 ± 0.0004"
    assert f"{interval:[]}" == "0.9461 [0.9457, 0.9465]"
    assert str(Interval(23.4, 20.0, 28.0)) == "23 ± 4"
    assert str(Interval.around(0.5, 0)) == "0.5000 ± 0.0000"
    assert str(Seeds((0.90, 0.92, 0.94))) == "0.920 ± 0.020"
    assert str(Seeds((0.90,))) == "0.9000"
    assert f"{NotDefined('no b jets')}" == "not defined: no b jets"


def test_interval_is_the_central_68_percent_of_what_is_finite():
    generator = np.random.default_rng(0)
    values = np.append(generator.normal(2, 0.1, 100_000), np.nan)
    interval = Interval.of(2, values)
    assert interval.low == pytest.approx(2 - 0.0994458, abs=1e-3)  # the normal quantile of 0.16
    assert interval.high == pytest.approx(2 + 0.0994458, abs=1e-3)


def test_differences_and_ratios_are_paired():
    generator = np.random.default_rng(1)
    common, private = generator.normal(0, 1, (2, 20_000))
    first, second = Resampled(3.0, 3 + common), Resampled(1.0, 1 + common + 0.01 * private)
    assert (first - second).value == 2
    assert (first - second).interval.error == pytest.approx(0.00994, rel=0.05)
    ratio = Resampled(4.0, np.array([4.0, 8.0])) / Resampled(2.0, np.array([2.0, 0.0]))
    assert ratio.value == 2 and list(ratio.values) == [2, np.inf]
    assert (first - 0.5).value == 2.5


def test_what_is_computed_with_an_undefined_number_is_not_defined_either():
    missing = NotDefined("no b jets")
    number = Resampled(1.0, np.ones(3))
    assert (number - missing) == (missing - number) == (number / missing) == missing.interval == missing
    with pytest.raises(UserError, match="BvL AUC is not defined: no b jets"):
        defined(missing, "BvL AUC")
    assert defined(number, "BvL AUC") is number


def test_values_come_back_from_json():
    content = {"area": Interval(1, 0.5, 1.5), "none": NotDefined("why"), "seeds": Seeds((1.0, 2.0)), "x": np.arange(2)}
    back = json.loads(json.dumps(plain(content)), object_hook=revived)
    assert back == content | {"x": [0, 1]}
    assert plain(Resampled(1.0, np.ones(5))) == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_rows_of_csv_are_flat():
    row = columns({"name": "a", "area": Interval(1, 0, 2), "seeds": Seeds((1.0, 3.0)), "loss": NotDefined("why")})
    assert row == {
        "name": "a",
        **{"area": 1, "area_low": 0, "area_high": 2},
        **{"seeds_mean": 2, "seeds_spread": pytest.approx(2**0.5), "seeds_number": 2},
        "loss": "not defined: why",
    }


def test_interval_at_95_percent_is_that_of_a_normal_distribution():
    from scipy import stats

    sides = stats.norm.ppf([0.16, 0.84, 0.025, 0.975], loc=3, scale=0.2)
    wide = Interval(3, *sides[:2]).at_95
    np.testing.assert_allclose([wide.low, wide.high], sides[2:], rtol=1e-5)


def test_several_seeds_add_where_one_more_may_lie():
    """Coverage of a new seed, and the errors of a difference and of a ratio."""
    rng = np.random.default_rng(0)
    still = np.zeros(100)  # a sample without fluctuations
    covered = []
    for _ in range(2000):
        values = rng.normal(0.5, 0.01, 4)
        interval = Trained.of([Resampled(value, value + still) for value in values[:3]]).interval
        covered.append(interval.low < values[3] < interval.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 2000))

    first, second = Trained(Resampled(4.0, 4 + still), 0.3), Trained(Resampled(2.0, 2 + still), 0.4)
    difference, ratio = (first - second).interval, (first / second).interval
    assert (difference.value, difference.error) == pytest.approx((2, 0.5))
    assert (ratio.value, ratio.error) == pytest.approx((2, 2 * np.hypot(0.075, 0.2)))


def test_one_seed_has_the_interval_of_the_sample_paired():
    shared, own = np.random.default_rng(0).normal(0, [[0.1], [0.001]], (2, 20_000))
    first, second = Trained.of([Resampled(1.0, 1 + shared + own)]), Trained.of([Resampled(0.7, 0.7 + shared)])
    assert first.interval.error == pytest.approx(0.196, rel=0.03)
    assert (first - second).interval.error == pytest.approx(0.00196, rel=0.03)


def test_a_ratio_to_nothing_is_no_number():
    nothing = Trained(Resampled(0.0, np.zeros(10)), 0.0)
    assert np.isnan((nothing / nothing).interval.value)
