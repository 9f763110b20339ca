"""What a claim says of an interval."""

import pytest

from kerastag.report.claims import Claim
from kerastag.results import Interval, NotDefined


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1, 0.6, 1.4), "holds"),
        ((1, 0.4, 1.4), "undecided"),
        ((0.2, 0.1, 0.3), "fails"),
        ((3, 2.5, 3.5), "fails"),
        ((0.5, 0.5, 0.5), "undecided"),
    ],
)
def test_verdict_is_where_the_whole_interval_lies(interval, verdict):
    assert Claim(1, "", "", Interval(*interval), low=0.5, high=2).verdict == verdict
    assert Claim(1, "", "", NotDefined("no epochs"), low=0.5).verdict == "not measured"
