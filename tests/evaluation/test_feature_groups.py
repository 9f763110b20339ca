import numpy as np
import pytest

from kerastag.attacks import FGSM
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.evaluation.feature_groups import groups, losses
from kerastag.metrics import Bootstrap, RankedPair
from tests.toy import TOY, toy_threat_model


def test_groups_hold_every_feature_once():
    masks_by_grouping = groups(TOY)
    assert list(masks_by_grouping["kind"]) == ["jet", "track 1", "track 2", "track 3", "vertex"]
    assert masks_by_grouping["variable"]["track_d0"].sum() == 3
    for masks in masks_by_grouping.values():
        np.testing.assert_array_equal(sum(mask.astype(int) for mask in masks.values()), 1)


def test_losses_are_those_of_fgsm_with_frozen_features(toy_jets, toy_tagger):
    x, y = (values.numpy() for values in toy_jets)
    attacked = attacked_features(toy_tagger, x, y, FGSM(toy_threat_model()))
    rows = losses(toy_tagger, x, attacked, y, groups(TOY)["kind"], Bootstrap(np.arange(200), 10), TOY.main)
    patterns = {"track 1": ["track_0_*"], "vertex": ["vertex_*"], "jet": ["pt", "eta", "n"]}

    def area(attack):
        return RankedPair(y, attacked_logits(toy_tagger, x, y, attack), TOY.main).auc()

    for group, names in patterns.items():
        for part, option in (("only", "only"), ("all but", "freeze")):
            (row,) = (row for row in rows if (row["group"], row["attacked"]) == (group, part))
            expected = area(None) - area(FGSM(toy_threat_model(**{option: names})))
            assert row["loss"].value == pytest.approx(expected, abs=1e-9)
    assert rows[0]["loss"].value == pytest.approx(area(None) - area(FGSM(toy_threat_model())), abs=1e-9)


def test_groups_that_do_not_move_are_left_out(toy_jets, toy_tagger):
    x, y = (values.numpy() for values in toy_jets)
    attacked = attacked_features(toy_tagger, x, y, FGSM(toy_threat_model(freeze=["vertex_*"])))
    rows = losses(toy_tagger, x, attacked, y, groups(TOY)["kind"], Bootstrap(np.arange(200), 2), TOY.main)
    assert "vertex" not in {row["group"] for row in rows}
