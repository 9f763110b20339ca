"""The trade-off, epoch by epoch."""

import numpy as np
import pytest

from kerastag.report import claims
from kerastag.report.parts import epochs
from kerastag.results import Interval, NotDefined
from kerastag.schema import JET_FLAVOR


def test_trend_of_a_training_that_gets_better_and_more_vulnerable():
    clean = np.linspace(0.90, 0.95, 12)
    trend = epochs.trend(np.stack([clean, clean - np.linspace(0.01, 0.05, 12)], axis=1))
    assert trend["clean"].value == trend["loss"].value == pytest.approx(1)
    assert trend["loss_early"].high < trend["loss_late"].low


def test_trend_of_several_seeds_says_where_one_more_may_lie():
    """Student's t of two degrees of freedom is 4.303 at 97.5 %."""
    trends = [
        {"clean": Interval(rho, -1, 1), "loss": Interval(0.5, -1, 1), "loss_late": Interval.around(loss, 0.1)}
        for rho, loss in ((0.6, 0.01), (0.8, 0.02), (0.7, 0.03))
    ]
    found = epochs.trend_of_seeds(trends)
    z = np.arctanh([0.6, 0.8, 0.7])
    error = 4.303 * z.std(ddof=1) * np.sqrt(4 / 3)
    low, high = np.tanh(z.mean() - error), np.tanh(z.mean() + error)
    assert (found["clean"].low, found["clean"].high) == pytest.approx((low, high), abs=1e-4)
    assert (found["loss"].low, found["loss"].high) == pytest.approx((0.5, 0.5))
    assert found["loss_late"].value == pytest.approx(0.02)
    assert found["loss_late"].error == pytest.approx(4.303 * 0.01 * np.sqrt(4 / 3), rel=1e-3)


def test_trend_of_a_single_seed_has_its_own_intervals():
    found = epochs.trend_of_seeds(
        [{"clean": Interval(0, -0.2, 0.2), "loss": Interval(0, 0, 0), "loss_late": Interval.around(1, 0.1)}]
    )
    assert found["loss_late"].error == pytest.approx(0.196 / 0.994, rel=0.02)
    assert found["clean"].high == pytest.approx(np.tanh(1.96 * np.arctanh(0.2)), rel=1e-3)


def test_losses_in_other_boxes_are_not_compared():
    class Two:
        names, main = ["nominal", "robust"], JET_FLAVOR.main

    late = {name: {"loss_late": Interval.around(loss, 0.001)} for name, loss in (("nominal", 0.02), ("robust", 0.01))}
    same = dict.fromkeys(late, "100 validation jets, FGSM ε=0.01")
    claim = claims._late_robustness(Two, "robust", {"trends_of_seeds": late, "samples": same})
    assert claim.interval.value == pytest.approx(2)
    other = same | {"robust": "100 validation jets, FGSM ε=0.05"}
    assert claims._late_robustness(Two, "robust", {"trends_of_seeds": late, "samples": other}).interval == NotDefined(
        "their validation jets or attacks differ"
    )
