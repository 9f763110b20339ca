import numpy as np
import pytest

from kerastag.evaluation.asymmetry import asymmetry
from kerastag.metrics import DISCRIMINATORS, Bootstrap
from kerastag.report.parts import directions
from kerastag.results import NotDefined, Resampled

JETS = 3000
LABEL = np.arange(JETS) % 3
DEFAULT = np.full(4, -9.0, np.float32)


def jets():
    """b jets have larger values of the first feature, smaller ones of the second; the last is always absent."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(JETS, 4)).astype(np.float32)
    x[LABEL == 0, 0] += 2
    x[LABEL == 0, 1] -= 2
    x[:, 3] = DEFAULT[3]
    return x


def measured(shift, replicates=50):
    x = jets()
    attacked = np.where(x == DEFAULT, x, x + shift).astype(np.float32)
    return asymmetry(x, attacked, LABEL, DEFAULT, Bootstrap(np.arange(JETS), replicates), DISCRIMINATORS["BvL"])


def test_pushing_flavours_into_one_another_is_inversion():
    towards = np.zeros((JETS, 4))
    towards[LABEL == 0] = [-0.1, 0.1, 0, 0]
    towards[LABEL == 2] = [0.1, -0.1, 0, 0]
    towards_each_other = measured(towards)
    assert towards_each_other.inversion.value == pytest.approx(1)
    assert towards_each_other.magnitude["b"].value == pytest.approx(1)
    assert np.isnan(towards_each_other.by_feature[:, 3]).all() and np.isnan(towards_each_other.by_feature[1]).all()
    assert measured(-towards).inversion.value == pytest.approx(-1)


def test_an_even_attack_has_no_direction():
    signs = np.random.default_rng(1).choice([-0.1, 0.1], (JETS, 4))
    even = measured(signs, replicates=300)
    for flavour in ("b", "c", "light"):
        # |mean of n signs| is sqrt(2/πn) by chance
        assert even.magnitude[flavour].value == pytest.approx(np.sqrt(2 / np.pi / 1000), rel=0.7)
    assert abs(even.inversion.value) < 0.04
    # half a difference of two means, averaged over three features: 1/sqrt(2 n m)
    assert even.inversion.interval.error == pytest.approx(1 / np.sqrt(2 * 1000 * 3), rel=0.25)


def test_mixed_signs_give_signed_over_absolute():
    shift = np.zeros((JETS, 4))
    b = np.flatnonzero(LABEL == 0)
    shift[b, 0], shift[b[:250], 0] = 0.3, -0.1
    assert measured(shift).by_feature[0, 0] == pytest.approx((750 * 0.3 - 250 * 0.1) / (750 * 0.3 + 250 * 0.1), rel=1e-5)


def test_where_hardly_anything_moves_there_is_no_direction():
    """Of 100 jets a report said nan [nan, nan]."""
    few = np.zeros((JETS, 4))
    few[:150, :3] = 0.1
    assert isinstance(measured(few).inversion, NotDefined) and "fewer than 100 cells" in str(measured(few).inversion)
    one = Resampled(0.5, np.full(9, 0.5))
    assert directions._of_seeds([one, measured(few).inversion]) == measured(few).inversion
    assert directions._of_seeds([one, one]).value == 0.5
