import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from kerastag.evaluation.working_points import Binning, binnings, threshold, working_points
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap
from kerastag.results import Interval, NotDefined
from tests.toy import TOY


@pytest.fixture(scope="module")
def jets():
    generator = np.random.default_rng(0)
    label = generator.choice(3, 6000, p=[0.4, 0.1, 0.5])
    clean = (generator.normal(size=(6000, 3)) + 2 * np.eye(3)[label]).astype(np.float32)
    attacked = clean - 0.5 * np.eye(3)[label].astype(np.float32)
    return label, clean, attacked, generator.uniform(0.5, 2, 6000)


def select(rows, **values):
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def test_inclusive_rates_are_those_of_scikit_learns_curve(jets):
    label, clean, attacked, w = jets
    bootstrap = Bootstrap(np.arange(6000), 20, weights=w)
    rows = working_points(label, {"clean": clean, "attacked": attacked}, {}, bootstrap, TOY.main)
    assert {row["working_point"] for row in rows} == {0.1, 0.01}
    score, pair = clean[:, 0].astype(float) - clean[:, 2], label != 1
    fpr, tpr, cuts = roc_curve(label[pair] == 0, score[pair], sample_weight=w[pair], drop_intermediate=False)
    place = np.searchsorted(fpr, 0.1)
    (b,), (light,) = (select(rows, working_point=0.1, condition="clean", flavour=name) for name in ("b", "light"))
    assert light["rate"].value == pytest.approx(0.1, abs=2e-3)
    assert b["rate"].value == pytest.approx(tpr[place], abs=2e-3)
    (moved,) = select(rows, working_point=0.1, condition="attacked", flavour="b")
    after = attacked[:, 0].astype(float) - attacked[:, 2]
    is_b = label == 0
    expected = w[is_b & (after >= cuts[place])].sum() / w[is_b].sum()
    assert moved["rate"].value == pytest.approx(expected, abs=2e-3)
    assert moved["ratio"].value == pytest.approx(moved["rate"].value / b["rate"].value)
    # Pairing pays: the ratio is known better than from two samples.
    assert moved["ratio"].error < 0.8 * np.hypot(moved["rate"].error, b["rate"].error) / b["rate"].value


def test_error_of_an_efficiency_is_binomial(jets):
    label, clean, *_ = jets
    rows = working_points(label, {"clean": clean}, {}, Bootstrap(np.arange(6000), 400), TOY.main, rates=(0.1,))
    (b,) = select(rows, flavour="b")
    number = (label == 0).sum()
    expected = np.sqrt(b["rate"].value * (1 - b["rate"].value) / number)
    assert b["rate"].error == pytest.approx(expected, rel=0.15)
    assert b["ratio"] == Interval(1, 1, 1)


def test_no_point_from_fewer_than_twenty_jets(jets):
    label, clean, attacked, _ = jets
    bins = {"side": Binning(["left", "right"], (np.arange(6000) < 5500).astype(int))}
    rows = working_points(
        label, {"clean": clean, "attacked": attacked}, bins, Bootstrap(np.arange(6000), 10), TOY.main, rates=(0.01,)
    )
    few = [row for row in rows if row["jets"] < 20]
    assert few and all(row["rate"] == row["ratio"] == NotDefined("fewer than 20 jets") for row in few)
    for row in select(rows, binning="side", flavour="light"):
        whole = select(rows, binning="side", condition=row["condition"], flavour="light")
        (inclusive,) = select(rows, binning="all", condition=row["condition"], flavour="light")
        assert sum(part["jets"] for part in whole) == inclusive["jets"]


def test_the_tightest_point_needs_a_million_jets():
    generator = np.random.default_rng(1)
    label = np.tile([0, 2], 500_000)
    clean = np.zeros((1_000_000, 3), np.float32)
    clean[:, 0] = generator.normal(size=1_000_000) + (label == 0)
    rows = working_points(label, {"clean": clean}, {}, Bootstrap(np.arange(1_000_000), 2), TOY.main)
    assert {row["working_point"] for row in rows} == {0.1, 0.01, 0.001}
    assert (
        working_points(label[1:], {"clean": clean[1:]}, {}, Bootstrap(np.arange(999_999), 2), TOY.main)[-1]["working_point"]
        == 0.01
    )


def test_threshold_leaves_the_rate_above_it():
    values, weights = np.arange(1000.0), np.where(np.arange(1000) % 2, 3.0, 1.0)
    cut = threshold(values, weights, 0.1)
    assert weights[values > cut].sum() <= 0.1 * weights.sum() < weights[values >= cut].sum() + 3


def test_bins_hold_every_jet_once(toy_jets):
    x = toy_jets[0].numpy()
    bins = binnings(TOY, Jets(x, np.zeros(len(x), int), {}, 3))
    assert list(bins)[2] == "tracks among the inputs"
    for names, index in bins.values():
        assert len(index) == len(x) and set(index) == set(range(len(names)))
    eta, pt = abs(x[:, TOY.index("eta")]), x[:, TOY.index("pt")]
    for (names, index), values in zip(list(bins.values())[:2], (pt, eta), strict=True):
        edges = np.array([float(name.split("-")[0]) for name in names[1:-1]] + [float(names[-1][2:])])
        np.testing.assert_array_equal(index, [(value >= edges).sum() for value in values])
    names, index = bins["tracks among the inputs"]
    columns = [TOY.index(f"track_{slot}_{name}") for slot in range(3) for name in ("d0", "var", "phi", "hits")]
    number = (x[:, columns] != TOY.defaults[columns]).reshape(-1, 3, 4).any(axis=2).sum(axis=1)
    lows = [int(name.split("-")[0]) for name in names]
    np.testing.assert_array_equal(np.searchsorted(lows, number, side="right") - 1, index)


def test_bins_without_kinematics_are_those_of_objects(toy_jets):
    x = toy_jets[0].numpy()
    bins = binnings(dataclasses.replace(TOY, pt="", eta=""), Jets(x, np.zeros(len(x), int), {}, 3))
    assert list(bins) == ["tracks among the inputs"]


@pytest.mark.parametrize("broken", ["clean", "attacked"])
def test_outputs_that_are_not_numbers_have_no_rate(broken):
    label, generator = np.tile([0, 1, 2], 400), np.random.default_rng(4)
    logits = {name: generator.normal(size=(1200, 3)) + 2 * np.eye(3)[label] for name in ("clean", "attacked")}
    logits[broken][7] = np.nan
    rows = working_points(label, logits, {}, Bootstrap(np.arange(1200), 5), TOY.main, rates=(0.1,))
    nan, defined = NotDefined("the outputs of 1 jets are not finite"), select(rows, condition="clean")
    assert all(row["ratio"] == nan for row in rows if row["condition"] == "attacked")
    assert all((row["rate"] == nan) == (broken == "clean") for row in defined)


@pytest.mark.parametrize("excess", [0, -1])
def test_weights_that_cancel_set_no_threshold(excess):
    label = np.tile([0, 2], 300)
    logits = np.random.default_rng(5).normal(size=(600, 3)) + 2 * np.eye(3)[label]
    weights = np.where(np.arange(600) % 4 < 2, 1.0, -1.0)
    weights[1] += excess
    rows = working_points(label, {"clean": logits}, {}, Bootstrap(np.arange(600), 5, weights=weights), TOY.main, rates=(0.1,))
    assert {str(row["rate"]) for row in rows} == {"not defined: fewer than 20 jets"}
