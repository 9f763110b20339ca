"""Attacks on toy jets that show, and that do not."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import ks_2samp, kstwobign

from kerastag.evaluation.shapes import as_drawn
from kerastag.evaluation.two_sample_trees import Halves
from kerastag.evaluation.two_samples import LEVEL, halves
from kerastag.evaluation.visibility import Side, Visibility, counted_values, rounded, visibility
from kerastag.results import revived
from tests.toy import TOY

JETS = 3000
D0, MASS, RATIO = (TOY.index(name) for name in ("track_0_d0", "vertex_mass", "vertex_ratio"))


def side(seed, jets=JETS):
    """Normal features, whole numbers, a tenth absent; two thirds of the ratios are exactly 1."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(jets, len(TOY.names))).astype(np.float32)
    x[:, TOY.integer] = np.rint(2 * x[:, TOY.integer])
    x[generator.random(jets) < 2 / 3, RATIO] = 1
    x = np.where(generator.random(x.shape) < 0.1, TOY.defaults, x)
    return Side(x, generator.integers(0, 3, jets), generator.normal(size=(jets, 3)).astype(np.float32))


def moved(jets, column, change):
    """The jets with the cells of a column that are there changed."""
    x = jets.features.copy()
    there = x[:, column] != TOY.defaults[column]
    x[there, column] = change(x[there, column])
    return dataclasses.replace(jets, features=x)


def look(attacked, clean, **options):
    return visibility(TOY, attacked, clean, **options)


@pytest.fixture(scope="module")
def clean():
    return side(0)


def test_clean_jets_are_invisible(clean):
    found = look(side(1), clean)
    assert found.invisible and not found.showing
    assert len(found.discriminators) == 9
    assert len(found.tests) > 2 * 3 * len(TOY.names)


def test_alarms_are_as_rare_as_stated(clean):
    alarms = [not look(side(seed, 600), side(1000 + seed, 600)).invisible for seed in range(60)]
    assert np.mean(alarms) <= LEVEL + 2.5 * np.sqrt(LEVEL / len(alarms))


def test_a_shift_is_found_in_its_feature(clean):
    before = side(1)
    found = look(moved(before, D0, lambda values: values + 0.3), clean, before=before)
    assert found.showing == ("track_0_d0",)
    assert not found.invisible
    clearest = min((test for test in found.tests if test.quantity == "shape"), key=lambda test: test.p)
    assert clearest.distance == pytest.approx(0.12, abs=0.05)
    assert clearest.jets < JETS
    assert {test.jets for test in found.tests if test.name != "track_0_d0"} == {None}


def test_an_uncertainty_covers_a_small_shift(clean):
    attacked = moved(side(1), D0, lambda values: values + 0.3)
    assert look(attacked, clean, uncertainty=0.5).invisible


def test_a_spike_that_vanishes_is_found_although_coarse_bins_hide_it(clean):
    """χ² of the same jets in coarse bins says that nothing has changed: the defect that this module mends."""
    before, noise = side(1), np.random.default_rng(5)
    attacked = moved(before, RATIO, lambda values: values + noise.choice([-0.001, 0.001], len(values)).astype(np.float32))
    chi2, _ = as_drawn(TOY, before.features, attacked.features, np.ones(JETS), 0.0)
    assert chi2[RATIO] < 1
    found = look(attacked, clean, before=before, uncertainty=0.2)
    assert found.showing == ("vertex_ratio",)
    assert found.summary["input_jets"] < 100


def test_an_uncertainty_raises_the_number_of_jets_at_which_a_spike_shows(clean):
    """Shares of 2/3 and 1/3 become 0 and 1, so χ² is 2 for each effective jet, of which u = 1 allows 1."""
    before, noise = side(1), np.random.default_rng(5)
    attacked = moved(before, RATIO, lambda values: values + noise.normal(0, 0.01, len(values)).astype(np.float32))

    def jets(uncertainty):
        tests = look(attacked, clean, before=before, uncertainty=uncertainty).tests
        return next(test.jets for test in tests if (test.name, test.quantity) == ("vertex_ratio", "spikes"))

    assert jets(1.0) / jets(0.0) == pytest.approx(2, rel=0.1)


def test_the_number_of_jets_counts_those_of_other_flavours_and_absent_cells(clean):
    before = side(1)
    attacked = moved(before, D0, lambda values: values + 0.3)
    found = look(attacked, clean, before=before)
    test = next(test for test in found.tests if (test.name, test.quantity) == ("track_0_d0", "shape"))
    flavour = TOY.class_names.index(test.flavour)
    after, others, reference = (
        jets.features[(jets.label == flavour) & (jets.features[:, D0] != TOY.defaults[D0]), D0]
        for jets in (attacked, clean, before)
    )
    threshold = kstwobign.isf(LEVEL / (len(found.tests) + len(found.discriminators)))
    needed = 2 * (threshold / ks_2samp(after, reference).statistic) ** 2
    assert test.jets == pytest.approx(needed * 2 * JETS / (len(after) + len(others)))


def test_shares_that_are_equal_count_as_tests(clean):
    shares = [test for test in look(clean, clean).tests if test.quantity.startswith("share of")]
    assert len(shares) == 3 * len(TOY.names) and {test.p for test in shares} == {1}


def test_without_logits_no_discriminator_is_compared(clean):
    found = look(dataclasses.replace(side(1), logits=None), clean)
    assert found.discriminators == ()
    assert (found.summary["discriminator_p"], found.summary["discriminator_jets"]) == (1, None)


def test_values_that_leave_a_table_are_found(clean):
    """Steps that a distance of cumulative distributions hardly sees."""

    def tabulate(values):
        return (np.round(10 * values) / 10).astype(np.float32)

    reference, before = (moved(jets, MASS, tabulate) for jets in (clean, side(1)))
    noise = np.random.default_rng(6)
    attacked = moved(before, MASS, lambda values: values + noise.choice([-1e-3, 1e-3], len(values)).astype(np.float32))
    assert look(before, reference).invisible
    found = look(attacked, reference)
    assert found.showing == ("vertex_mass",)
    assert {test.quantity for test in found.tests if test.shows} == {"spikes"}


def test_special_values_and_defaults_are_counted(clean):
    feature = dataclasses.replace(TOY.features[MASS], special=(0.5,))
    np.testing.assert_array_equal(counted_values(feature), np.array([feature.default, 0.5], np.float32))
    before = side(1)
    x = before.features.copy()
    x[: JETS // 3, MASS] = TOY.defaults[MASS]
    found = look(dataclasses.replace(before, features=x), clean)
    assert found.showing == ("vertex_mass",)
    assert {test.quantity for test in found.tests if test.shows} == {f"share of {TOY.defaults[MASS]:g}"}


def test_a_change_of_one_flavour_is_found_there(clean):
    before = side(1)
    x = before.features.copy()
    x[before.label == 2, D0] += 0.3
    found = look(dataclasses.replace(before, features=x), clean)
    assert {test.flavour for test in found.tests if test.shows} == {TOY.class_names[2]}


def test_discriminators_show(clean):
    before = side(1)
    found = look(dataclasses.replace(before, logits=before.logits + np.array([0.5, 0, 0])), clean, before=before)
    assert not found.showing and not found.invisible
    assert {test.name for test in found.discriminators if test.shows} == {"BvL", "CvB"}


def exchanged(jets):
    """Jets of which every flavour keeps its values, but no longer with those of other features."""
    x = jets.features.copy()
    for label in range(3):
        rows = np.flatnonzero(jets.label == label)
        x[rows, D0] = np.sort(x[rows, D0])[np.argsort(np.argsort(x[rows, MASS]))]
    return dataclasses.replace(jets, features=x)


def test_trees_see_what_no_marginal_shows():
    jets = side(1, 1800)
    trees = Halves(jets.features, jets.label, np.arange(1800)).classify(exchanged(jets).features)
    before, clean = side(1, 900), side(2, 900)
    found = visibility(TOY, exchanged(before), clean, before=before, classifier=trees)
    assert not found.showing
    assert trees.shows and trees.looks == 1 and trees.area.low > 0.6 and trees.jets < JETS
    assert not found.invisible and visibility(TOY, exchanged(before), clean).invisible


def test_written_and_read_back():
    jets = side(1, 900)
    trees = Halves(jets.features, jets.label, np.arange(900)).classify(jets.features)
    found = visibility(TOY, moved(jets, D0, lambda values: values + 0.5), side(2, 900), classifier=trees)
    content = json.loads(json.dumps(found.to_dict()), object_hook=revived)
    assert not found.invisible and trees.excess.value == 0 and not trees.shows
    assert content["inputs_that_show"] == 1 and content["classifier"] == found.classifier.area
    assert len(content["tests"]) == len(found.tests)
    assert isinstance(found, Visibility) and "track_0_d0" in found.table(3)
    assert [rounded(number) for number in (None, 7.2, 1234.0, 56_789.0)] == ["never", "7", "1,200", "57,000"]


def test_halves_keep_events_together():
    events = np.random.default_rng(0).integers(0, 500, 2000)
    half = halves(events)
    assert half.mean() == pytest.approx(0.5, abs=0.05)
    assert not set(events[half]) & set(events[~half])
