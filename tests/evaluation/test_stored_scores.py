"""Taggers of stored scores: how they are named, which jets they have, and that order is all that counts."""

import numpy as np
import pytest

from kerastag.errors import UserError
from kerastag.evaluation.comparison import evaluate_stored
from kerastag.evaluation.stored_scores import StoredScores, kept, left_out, parse_all
from kerastag.jets import Jets
from kerastag.metrics import DISCRIMINATORS, Bootstrap, RankedPair
from kerastag.results import NotDefined
from kerastag.schema import JET_FLAVOR, Spectator

RNG = np.random.default_rng(5)
JETS = 300
LABEL = RNG.integers(0, 3, JETS)


def jets_with(**spectators):
    known = {"source": np.zeros(JETS, np.int64), "entry": np.arange(JETS), "generator_weight": RNG.uniform(0.5, 2, JETS)}
    features = np.zeros((JETS, len(JET_FLAVOR.features)), np.float32)
    return Jets(features, LABEL, known | {f"score_{name}": values for name, values in spectators.items()}, 3)


def evaluated(argument, jets):
    scored = StoredScores.parse(argument, JET_FLAVOR).of(jets, JET_FLAVOR)
    return scored, evaluate_stored(scored, jets, Bootstrap(jets.events, 20, weights=jets.weights), JET_FLAVOR)


@pytest.mark.parametrize(
    ("argument", "name", "branches"),
    [
        ("Jet_btag", "Jet_btag", {"BvL": "Jet_btag"}),
        ("mine = Jet_btag", "mine", {"BvL": "Jet_btag"}),
        ("mine=BvL:b, CvL:c,CvB : d", "mine", {"BvL": "b", "CvL": "c", "CvB": "d"}),
        ("x=b:p + q,c:where(r < 0, 0, r),light:s", "x", {"b": "p + q", "c": "where(r < 0, 0, r)", "light": "s"}),
        ("a == b", "a == b", {"BvL": "a == b"}),
        ("jets.dl1r", "jets.dl1r", {"BvL": "jets.dl1r"}),
    ],
)
def test_scores_are_named_with_a_branch_or_several(argument, name, branches):
    stored = StoredScores.parse(argument, JET_FLAVOR)
    assert (stored.name, stored.branches, stored.of_classes) == (name, branches, "b" in branches)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("x=", "names no branch for 'BvL'; write NAME=BRANCH"),
        ("x=BvL:", "names no branch for 'BvL'"),
        ("x=BvL:a,BvL:b", "names 'BvL' twice"),
        ("x=BvX:a", "discriminators or classes of jet_flavor before the colons, and not both: BvL, CvB, CvL, BvC; b, c, light"),
        ("x=BvL:a,b:c", "and not both"),
    ],
)
def test_mistakes_in_the_option_are_one_sentence(argument, sentence):
    with pytest.raises(UserError, match=sentence):
        StoredScores.parse(argument, JET_FLAVOR)


def test_two_taggers_of_a_name_are_refused():
    with pytest.raises(UserError, match="Two taggers are called 'x'"):
        parse_all(["x=a", "x=b"], JET_FLAVOR)
    with pytest.raises(UserError, match="Two taggers are called 'x'"):
        parse_all(["x=a"], JET_FLAVOR, ["x"])


def test_a_branch_is_kept_once_and_not_at_all_where_the_schema_does():
    stored = parse_all(["x=a", "y=BvL:a,CvL:a + b"], JET_FLAVOR)
    named, computed = kept(stored, JET_FLAVOR)
    assert named == Spectator("score_a", "a", optional=False, real=True) and computed.branch == "a + b"
    weight = next(one for one in JET_FLAVOR.spectators if one.name == "generator_weight")
    assert kept([StoredScores.parse(f"x={weight.branch}", JET_FLAVOR)], JET_FLAVOR) == []


def test_a_score_of_a_discriminator_counts_by_its_order_alone():
    score = np.round(RNG.normal(5 + 3.0 * (LABEL == 0)), 1)  # with ties, and far from -1
    jets = jets_with(s=score)
    _, evaluation = evaluated("x=s", jets)
    expected = RankedPair(LABEL, score[:, None] * [1.0, 0.0, 0.0], DISCRIMINATORS["BvL"]).auc(jets.weights)
    assert evaluation.areas["BvL"].value == pytest.approx(expected, abs=1e-12) and 0.9 < expected < 1
    jets.spectators["score_t"] = np.exp(score)
    assert evaluated("x=t", jets)[1].areas["BvL"].value == evaluation.areas["BvL"].value
    assert evaluation.areas["CvB"] == NotDefined("no stored score") and isinstance(evaluation.cross_entropy, NotDefined)


def test_probabilities_of_classes_have_every_discriminator_and_a_cross_entropy():
    p = RNG.dirichlet(np.ones(3), JETS) + np.eye(3)[LABEL] * 0.2
    p[0] = [0, 1, 0]  # no infinite logits
    jets = jets_with(p=p[:, 0], q=p[:, 1], r=p[:, 2])
    scored, evaluation = evaluated("x=b:p,c:q,light:r", jets)
    assert scored.logits.keys() == JET_FLAVOR.discriminators.keys()
    p /= p.sum(axis=1, keepdims=True)
    for name in ("BvL", "CvB", "CvL"):
        assert evaluation.areas[name].value == pytest.approx(RankedPair(LABEL, p, DISCRIMINATORS[name]).auc(jets.weights))
    counted = slice(1, None)
    assert np.isfinite(evaluation.cross_entropy)
    np.testing.assert_allclose(
        np.exp(scored.logits["BvL"][counted]) / np.exp(scored.logits["BvL"][counted]).sum(axis=1, keepdims=True), p[counted]
    )


def test_scores_of_jets_without_weight_are_no_numbers():
    """They ended in a traceback."""
    values = np.where(np.arange(JETS) < 10, 0.3, np.nan)
    jets = jets_with(p=values)
    jets.spectators["generator_weight"] = np.where(np.arange(JETS) < 10, 0.0, 1.0)
    scored, evaluation = evaluated("x=b:p,c:p,light:p", jets)
    assert scored.counted.sum() == 10 and np.isnan(evaluation.cross_entropy)
    assert all(isinstance(area, NotDefined) for area in evaluation.areas.values())


def test_some_classes_have_the_discriminators_of_these():
    values = RNG.uniform(0, 1, JETS)
    jets = jets_with(p=values, q=1 - values)
    scored, evaluation = evaluated("x=b:p,light:q", jets)
    assert scored.logits.keys() == {"BvL"} and not scored.complete and isinstance(evaluation.cross_entropy, NotDefined)
    expected = RankedPair(LABEL, values[:, None] * [1.0, 0.0, 0.0], DISCRIMINATORS["BvL"]).auc(jets.weights)
    assert evaluation.areas["BvL"].value == pytest.approx(expected)


def test_jets_without_a_score_are_left_out_and_counted():
    score = RNG.normal(2.0 * (LABEL == 0))
    without = np.zeros(JETS, bool)
    without[[3, 7, 11, 19]] = True
    holes = score.copy()
    holes[[3, 7]], holes[11], holes[19] = -1, np.nan, np.inf
    jets = jets_with(s=holes)
    scored, evaluation = evaluated("x=s", jets)
    np.testing.assert_array_equal(scored.counted, ~without)
    alone = jets.take(~without)
    pair = RankedPair(alone.label, score[~without][:, None] * [1.0, 0.0, 0.0], DISCRIMINATORS["BvL"])
    assert evaluation.areas["BvL"].value == pytest.approx(pair.auc(alone.weights))
    missing = left_out(scored, jets, JET_FLAVOR)
    assert sum(missing.values()) == 4
    stored = StoredScores.parse("x=s", JET_FLAVOR)
    assert stored.about(missing, JETS).startswith(
        "x: stored scores; 4 of 300 jets have none (-1 or not finite) and are left out: "
    )


def test_negative_scores_are_scores_and_negative_probabilities_none():
    values = np.linspace(-2, 2, JETS)  # -1 is not among them
    assert StoredScores.parse("x=s", JET_FLAVOR).of(jets_with(s=values), JET_FLAVOR).counted.all()
    scored = StoredScores.parse("x=b:s,light:s", JET_FLAVOR).of(jets_with(s=values), JET_FLAVOR)
    np.testing.assert_array_equal(scored.counted, values >= 0)


def test_a_tagger_without_any_score_is_refused():
    with pytest.raises(UserError, match="'x' has no score in any of the 300 jets: all values of s are -1 or not finite"):
        StoredScores.parse("x=s", JET_FLAVOR).of(jets_with(s=np.full(JETS, -1.0)), JET_FLAVOR)


def test_resamples_of_some_jets_are_those_of_all():
    jets = jets_with()
    bootstrap, rows = Bootstrap(jets.events, 5, weights=jets.weights), LABEL > 0
    for part, whole in zip(bootstrap.of(rows).draws(), bootstrap.draws(), strict=True):
        np.testing.assert_array_equal(part, whole[rows])
