"""The trade-off, epoch by epoch."""

import numpy as np
import pytest

from kerastag.report.parts import epochs


def test_trend_of_a_training_that_gets_better_and_more_vulnerable():
    clean = np.linspace(0.90, 0.95, 12)
    trend = epochs.trend(np.stack([clean, clean - np.linspace(0.01, 0.05, 12)], axis=1))
    assert trend["clean"].value == trend["loss"].value == pytest.approx(1)
    assert trend["loss_early"].high < trend["loss_late"].low
