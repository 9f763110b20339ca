"""Boosted trees that tell samples apart: their areas, errors and verdict."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from kerastag.errors import UserError
from kerastag.evaluation import two_sample_trees
from kerastag.evaluation.two_sample_trees import Classifier, Halves, classifier_area, jets_for_area
from kerastag.evaluation.two_samples import LEVEL
from kerastag.metrics import Bootstrap
from kerastag.results import Resampled

JETS = 3000


def test_trees_tell_correlations_apart_and_nothing_else():
    first, second, third = np.random.default_rng(7).normal(size=(3, 900, 3))
    area = classifier_area(first, second).interval
    assert abs(area.value - 0.5) < 4 * area.error
    third[:, 1] = 0.8 * third[:, 0] + 0.6 * third[:, 1]
    assert classifier_area(third, second).interval.low > 0.55


def test_number_of_jets_for_areas():
    draw, excess = np.random.default_rng(6), norm.cdf(0.1 / np.sqrt(2)) - 0.5
    jets = int(jets_for_area(excess, LEVEL))
    labels = np.repeat([1, 0], jets)
    areas = [roc_auc_score(labels, np.append(draw.normal(0.1, size=jets), draw.normal(size=jets))) for _ in range(300)]
    limit = 0.5 + norm.isf(LEVEL) / np.sqrt(6 * jets)
    assert np.mean(np.array(areas) > limit) == pytest.approx(0.5, abs=0.1)
    assert jets_for_area(0.0, LEVEL) == np.inf


def test_an_attack_that_moves_nothing_shows_nothing():
    draw = np.random.default_rng(8)
    features, label, events = draw.normal(size=(600, 3)), draw.integers(0, 3, 600), np.arange(600) // 2
    trees = Halves(features, label, events).classify(features)
    assert trees.looks == 4 and trees.excess.value == trees.excess.error == 0
    assert trees.p == 0.5 and not trees.shows and trees.jets is None


@pytest.mark.slow
def test_trees_alarm_as_rarely_as_stated():
    """Half of the jets are drawn anew from the same distribution, so there is nothing to see."""
    found = []
    for seed in range(12):
        draw = np.random.default_rng(seed)
        features, again, label = draw.normal(size=(800, 4)), draw.normal(size=(800, 4)), draw.integers(0, 3, 800)
        attacked = np.where(draw.random((800, 1)) < 0.5, again, features)
        found.append(Halves(features, label, np.arange(800) // 2).classify(attacked))
    excesses, errors = np.array([[trees.excess.value, trees.excess.error] for trees in found]).T
    assert np.mean([trees.shows for trees in found]) <= LEVEL + 2.5 * np.sqrt(LEVEL / len(found))
    assert np.std(excesses) == pytest.approx(errors.mean(), rel=0.3)  # the error is neither too small nor too large


def test_trees_that_see_nothing_at_once_look_at_both_halves_again(monkeypatch):
    """A small excess that one training cannot tell from its fluctuations shows in the mean of several."""
    attacked_rows, draws = [], np.random.default_rng(0)

    def area(first, second, events, seed):
        attacked_rows.append(first[:, 0].min() > 0)
        value = 0.5 + 0.006 * attacked_rows[-1] + (0.002 if seed else -0.002)
        return Resampled(value, value + 0.004 * np.random.default_rng(5).normal(size=100))

    monkeypatch.setattr(two_sample_trees, "classifier_area", area)
    features = draws.normal(size=(400, 2))
    trees = Halves(features, np.zeros(400), np.arange(400)).classify(np.abs(features) + 1)
    assert trees.looks == 4 and len(attacked_rows) == 8
    assert trees.excess.value == pytest.approx(0.006) and trees.shows


def areas(excess, number, scatter=0.0):
    """Areas and controls of some looks, the excess scattered symmetrically, events fluctuating by 0.004 in both."""
    events = 0.004 * np.random.default_rng(3).normal(size=1000)
    excesses = [excess + scatter * sign for sign in (1, -1, 1, -1)[:number]]
    return [Resampled(0.506 + each, 0.506 + each + events) for each in excesses], [Resampled(0.506, 0.506 + events)] * number


@pytest.mark.parametrize(("excess", "seen"), [(0.008, False), (0.02, True)])
def test_a_single_look_must_exceed_both_errors(excess, seen):
    """At p = 0.05 the excess is 1.645 errors of a difference of two numbers of error 0.004."""
    trees = Classifier.of(*areas(excess, 1))
    assert trees.excess.error == pytest.approx(np.sqrt(2) * 0.004, rel=0.1)
    assert trees.shows is seen and (trees.jets < JETS) is seen


def test_several_looks_have_the_error_of_their_scatter():
    trees = Classifier.of(*areas(0.004, 4, scatter=0.003))
    assert trees.excess.error == pytest.approx(0.003 * np.sqrt(4 / 3) / 2, rel=1e-6)  # events cancel in pairs
    assert trees.p == pytest.approx(0.0105, abs=0.0005) and trees.shows
    assert not Classifier.of(*areas(0.002, 4, scatter=0.003)).shows
    assert Classifier.of(*areas(-0.002, 4)).jets is None


def test_too_few_jets_are_one_sentence():
    with pytest.raises(UserError, match="need 3 jets in each half"):
        classifier_area(np.zeros((2, 1)), np.zeros((9, 1)))


def test_areas_are_means_of_folds_in_resamples_of_events_as_scikit_learn_has_them():
    draw = np.random.default_rng(2)
    first, second, events = draw.normal(size=(90, 2)), draw.normal(0.5, size=(110, 2)), draw.integers(0, 70, 200)
    x, y = np.concatenate([first, second]), np.repeat([1, 0], [90, 110])
    expected = []
    for train, test in StratifiedKFold(3, shuffle=True, random_state=5).split(x, y):
        scores = HistGradientBoostingClassifier(early_stopping=False, random_state=5).fit(x[train], y[train])
        scores = scores.decision_function(x[test])
        draws = [np.ones(200), *Bootstrap(events, 100).draws()]
        expected.append([roc_auc_score(y[test], scores, sample_weight=weights[test]) for weights in draws])
    value, *resampled = np.mean(expected, axis=0)
    area = classifier_area(first, second, events, seed=5)
    assert area.value == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(area.values, resampled, rtol=1e-12)
