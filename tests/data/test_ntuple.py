"""The claim of arXiv:2203.13890 on CMS simulation: adversarial training keeps the clean area and loses less under attack."""

import keras
import pytest

from kerastag.attacks.conditions import CLEAN, Condition, conditions
from kerastag.evaluation.comparison import compare
from kerastag.recipes import Settings
from kerastag.request import AttackGrid
from kerastag.training.fitting import fit
from tests.conftest import needs_ntuple

# Two full trainings.
pytestmark = pytest.mark.slow
EPSILON = 0.01
GRID = AttackGrid(attacks=("fgsm", "pgd-20"), epsilons=(EPSILON,))


@pytest.fixture(scope="module")
def comparison(ntuple, tmp_path_factory):
    """A nominal and an adversarial tagger, clean and under attack."""
    taggers = {}
    for name, defense in (("nominal", "nominal"), ("adversarial", "fgsm")):
        keras.utils.set_random_seed(0)
        settings = Settings.resolve({"config": "deepntuple", "model": "deep_sets", "defense": defense, "epsilon": EPSILON})
        taggers[name], _ = fit(settings, ntuple, tmp_path_factory.mktemp(name))
    return compare(taggers, ntuple, ntuple.arrays("test"), conditions(GRID), replicates=50)


@needs_ntuple
def test_nominal_tagger_separates_b_from_light_jets(comparison):
    assert comparison.area("nominal", CLEAN).value > 0.90  # gradient-boosted trees on the same inputs: 0.91


@needs_ntuple
@pytest.mark.parametrize("attack", GRID.attacks)
@pytest.mark.parametrize("cap", GRID.caps)
def test_adversarial_training_loses_less_under_attack(comparison, attack, cap):
    condition = Condition(attack, EPSILON, cap)
    nominal, adversarial = (comparison.loss(name, condition).interval for name in ("nominal", "adversarial"))
    assert nominal.low > adversarial.high


@needs_ntuple
def test_adversarial_training_keeps_the_clean_area(comparison):
    assert comparison.area("adversarial", CLEAN).value > comparison.area("nominal", CLEAN).value - 0.01
