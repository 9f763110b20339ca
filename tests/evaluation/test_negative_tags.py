"""Rates of negative taggers against counting by hand."""

import numpy as np
import pytest

from kerastag.evaluation import negative_tags
from kerastag.metrics import Bootstrap
from kerastag.results import NotDefined
from kerastag.schema import JET_FLAVOR

JETS = 12_000
NUMBERS = ("mistagged", "negative", "ratio", "negative_of_all", "estimate")


@pytest.fixture(scope="module")
def made_up():
    """Classes, scores by tagger and negative tagger, clean and attacked, and weights."""
    generator = np.random.default_rng(2)
    label = generator.integers(0, 3, JETS)
    clean, flipped = generator.normal(2.0 - label, 1.0), generator.normal(0.2 - 0.1 * label, 1.0)
    scores = {"clean": (clean, flipped), "attacked": (clean + 0.3, flipped + 0.1)}
    return label, scores, generator.uniform(0.5, 2.0, JETS)


def test_rates_are_what_one_counts(made_up):
    label, scores, weights = made_up
    rows = negative_tags.rates(label, scores, Bootstrap(np.arange(JETS), 20, weights=weights), JET_FLAVOR.main)
    assert [(row["working_point"], row["condition"]) for row in rows] == [
        (rate, condition) for rate in (0.1, 0.01) for condition in scores
    ]
    light = label == 2
    compared = 0
    for row in rows:
        # The threshold that a share of the weight of the clean light jets passes.
        ranked = sorted(zip(scores["clean"][0][light], weights[light], strict=True), reverse=True)
        total = weights[light].sum()
        passed = np.cumsum([weight for _, weight in ranked])
        last = next(number for number, sum_of_weights in enumerate(passed) if sum_of_weights >= row["working_point"] * total)
        cut = ranked[last][0]
        tagger, flipped = scores[row["condition"]]
        mistagged = weights[light & (tagger >= cut)].sum() / total
        negative = weights[light & (flipped >= cut)].sum() / total
        of_all = weights[flipped >= cut].sum() / weights.sum()
        clean_over_negative = passed[last] / total / (weights[scores["clean"][1] >= cut].sum() / weights.sum())
        expected = (mistagged, negative, mistagged / negative, of_all, of_all * clean_over_negative)
        found = [row[name] for name in NUMBERS]
        if np.count_nonzero(light & (flipped >= cut)) >= 20:
            compared += 1
            assert [number.value for number in found] == pytest.approx(expected)
    assert {row["working_point"] for row in rows if not isinstance(row["ratio"], NotDefined)} == {0.1, 0.01}
    assert compared >= 3
    assert rows[0]["estimate"].value == pytest.approx(rows[0]["mistagged"].value)
    assert all(number.low < number.value < number.high for number in (rows[1][name] for name in NUMBERS))


def test_the_error_of_a_share_is_binomial(made_up):
    label, scores, _ = made_up
    row = negative_tags.rates(label, scores, Bootstrap(np.arange(JETS), 400), JET_FLAVOR.main)[0]
    expected = np.sqrt(row["negative"].value * (1 - row["negative"].value) / (label == 2).sum())
    assert row["negative"].error == pytest.approx(expected, rel=0.15)


def test_too_few_tagged_jets_are_no_rate(made_up):
    label, scores, _ = made_up
    flipped = np.full(JETS, -9.0)
    flipped[np.flatnonzero(label == 0)[:30]] = 9.0
    (row, *_), broken = (
        negative_tags.rates(label, {"clean": (scores["clean"][0], values)}, Bootstrap(np.arange(JETS), 5), JET_FLAVOR.main)
        for values in (flipped, np.where(label == 2, np.nan, flipped))
    )
    assert row["negative"] == row["ratio"] == NotDefined("fewer than 20 jets")
    assert row["negative_of_all"].value == pytest.approx(30 / JETS)
    assert "outputs" in str(broken[0]["ratio"])
