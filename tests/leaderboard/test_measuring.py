"""From where attacks are transferred when a tagger of the board is diagnosed."""

import inspect

import numpy as np
import pytest

from kerastag.attacks import Condition, ThreatModel
from kerastag.evaluation.diagnostics import Check, check_robustness
from kerastag.evaluation.taggers import Tagger
from kerastag.leaderboard import measuring
from kerastag.leaderboard.entries import Attacked, Sign
from kerastag.leaderboard.measuring import Measured, source_of_transfer
from kerastag.results import Interval
from kerastag.saving import presets
from kerastag.saving.taggers import from_preset
from kerastag.schema import DEEPFLAVOUR, JET_FLAVOR

pytestmark = pytest.mark.skipif(not presets.SHIPPED.is_dir(), reason="an installed package has no saved_models")


def test_a_tagger_that_comes_along_is_attacked_from_another():
    for name in ("jet_flavor_adversarial", "jet_flavor_nominal"):
        ((source, model),) = source_of_transfer(from_preset(name), JET_FLAVOR).items()
        assert source != name and source.startswith("jet_flavor")
        for weights, others in zip(model.get_weights(), from_preset(source).get_weights(), strict=True):
            np.testing.assert_array_equal(weights, others)


def test_where_none_is_on_the_same_inputs_there_is_no_source():
    assert source_of_transfer(from_preset("jet_flavor_nominal"), DEEPFLAVOUR) == {}


def test_signs_are_looked_for_from_there(dataset, monkeypatch):
    asked = []

    def looked(*given, **named):
        asked.append(inspect.signature(check_robustness).bind(*given, **named).arguments)
        return [Check("transfer", False, 1.0, 0.0, "")]

    monkeypatch.setattr(measuring, "check_robustness", looked)
    tagger, jets = from_preset("jet_flavor_nominal"), dataset.arrays("test").take(slice(20))
    threat_model = ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.01)
    (sign,) = Measured(Tagger.network(tagger, "it"), dataset, jets, 2).signs(threat_model)
    assert (sign.name, sign.passed) == ("transfer", False)
    (found,) = asked
    assert found["sources"].keys() == source_of_transfer(tagger, JET_FLAVOR).keys() != set()
    assert found["tagger"] is tagger and found["separation"] is dataset.schema.main


@pytest.mark.parametrize(
    ("left", "passed"),
    [({"fgsm": 0.8, "random-search-9": 0.79}, False), ({"fgsm": 0.8, "random-search-9": 0.7998}, True), ({"fgsm": 0.8}, None)],
)
def test_a_random_search_that_takes_more_is_a_sign(left, passed, dataset):
    tagger, jets = Tagger.network(from_preset("jet_flavor_nominal"), "it"), dataset.arrays("test").take(slice(20))
    measured = Measured(tagger, dataset, jets, 2)
    under = [Condition(name, 0.01, objective="margin") for name in left]
    attacks = [Attacked(Interval.around(area, 0), name) for name, area in left.items()]
    assert measured.search(under, attacks) == Sign("random search", passed)
