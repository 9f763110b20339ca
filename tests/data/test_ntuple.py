"""The paper's claim on real CMS simulation: adversarial training keeps the clean area and loses less under attack."""

import pytest

from kerastag.evaluation.comparison import compare, conditions
from kerastag.recipes import Settings
from kerastag.runs.train import train
from tests.conftest import needs_ntuple

EPSILON = 0.01


@pytest.fixture(scope="module")
def results(ntuple, tmp_path_factory):
    taggers = {}
    for adversarial in (False, True):
        import keras

        keras.utils.set_random_seed(0)
        options = {
            "config": "deepntuple",
            "model": "deep_sets",
            "defense": "fgsm" if adversarial else "nominal",
            "epsilon": EPSILON,
        }
        settings = Settings.resolve(options)
        name = "adversarial" if adversarial else "nominal"
        taggers[name], _ = train(settings, ntuple, tmp_path_factory.mktemp(name))
    split = ntuple.arrays("test")
    under = conditions(ntuple.schema, ntuple.statistics.sigma, [EPSILON], attacks=("fgsm", "pgd-20"))
    return compare(taggers, split, split.y, under, replicates=50)[0]


@needs_ntuple
def test_nominal_tagger_tells_b_from_light_jets(results):
    assert results["nominal"]["clean"]["BvL"]["value"] > 0.90  # gradient-boosted trees on the same inputs: 0.91


@needs_ntuple
@pytest.mark.parametrize("attack", ["FGSM", "PGD-20"])
@pytest.mark.parametrize("cap", ["", " cap 20%"])
def test_adversarial_training_loses_less_under_attack(results, attack, cap):
    """The paired difference of the losses, beyond their intervals."""
    nominal, adversarial = (results[name][f"{attack} ε={EPSILON}{cap}"]["BvL"] for name in ("nominal", "adversarial"))
    assert nominal["loss_low"] > adversarial["loss_high"]


@needs_ntuple
def test_adversarial_training_keeps_the_clean_area(results):
    nominal, adversarial = (results[name]["clean"]["BvL"]["value"] for name in ("nominal", "adversarial"))
    assert adversarial > nominal - 0.01
