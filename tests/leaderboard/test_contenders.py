"""Further trainings of what is entered."""

import pytest

from kerastag.errors import UserError
from kerastag.evaluation.taggers import Tagger
from kerastag.leaderboard.contenders import Contender, other_seeds, seeds_of_trees


def test_further_trees_are_trained_with_their_seeds(dataset, monkeypatch):
    trained, tagger = [], Tagger("trees", "trees", len, attacked="a network", asked=None)
    monkeypatch.setattr(Tagger, "trees", lambda train, *given: trained.append((len(train), *given)))
    found = other_seeds(Contender(tagger, "trees", None), ["3", "12"], dataset)
    jets = len(dataset.arrays("train"))
    assert [seed for seed, _ in found] == [3, 12] and trained == [(jets, "a network", 3), (jets, "a network", 12)]


@pytest.mark.parametrize("given", [["0"], ["1", "1"], ["runs/mine"], ["-1"], ["1.5"], ["4294967296"], ["\u0661"]])
def test_what_is_no_further_seed_is_refused(given):
    with pytest.raises(UserError, match=r"takes other whole numbers, each once, such as 1 2; it is "):
        seeds_of_trees(given)
    assert seeds_of_trees(["1", "4294967295"]) == [1, 4294967295]
