import keras
import numpy as np
import pytest
from scipy.special import softmax

from kerastag.catalogue import LOSSES
from kerastag.losses import DoubleSoftmaxFocal

LOGITS = np.random.default_rng(0).normal(0, 3, (50, 3)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[np.random.default_rng(1).integers(0, 3, 50)]
W = np.random.default_rng(2).uniform(0.1, 2, 50).astype(np.float32)


def test_double_softmax_focal_in_closed_form():
    p = (softmax(softmax(LOGITS.astype(np.float64), axis=1), axis=1) * Y).sum(axis=1)
    assert (p > 0.2119).all() and (p < 0.5762).all()
    focal = -((1 - p) ** 25) * np.log(p)
    loss = DoubleSoftmaxFocal()
    assert float(loss(Y, LOGITS, sample_weight=W)) == pytest.approx((W * focal).sum() / W.sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cross_entropy", 0.0), ("focal", 0.0), ("double_softmax_focal", (1 - 0.5761) ** 25 * -np.log(0.5761))],
)
def test_confident_right_answer_costs_nothing_unless_softmax_is_applied_twice(name, expected):
    loss = LOSSES.build(name)
    confident = float(loss(np.array([[1.0, 0, 0]], np.float32), np.array([[60.0, 0, 0]], np.float32)))
    assert confident == pytest.approx(expected, rel=1e-2, abs=1e-15 if expected else 1e-6)


def test_default_loss_does_not_depend_on_how_a_batch_is_split():
    loss = LOSSES.build("cross_entropy")
    whole = float(loss(Y, LOGITS, sample_weight=W))
    halves = [float(loss(Y[part], LOGITS[part], sample_weight=W[part])) for part in (slice(0, 25), slice(25, 50))]
    assert np.mean(halves) == pytest.approx(whole, rel=1e-6)


def test_survives_its_config():
    restored = keras.losses.deserialize(keras.losses.serialize(DoubleSoftmaxFocal(gamma=7.0)))
    assert restored.gamma == 7.0
    assert float(restored(Y, LOGITS)) == float(DoubleSoftmaxFocal(gamma=7.0)(Y, LOGITS))
