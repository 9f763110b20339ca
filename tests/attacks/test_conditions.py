"""A condition makes its own label and its own attack."""

import dataclasses

import pytest

from kerastag.attacks import CLEAN, FGSM, PGD, Condition, GaussianNoise, budgets, conditions
from kerastag.errors import UserError
from kerastag.request import PAPER, AttackGrid, Physics

LABELS = {
    CLEAN: "clean",
    Condition("fgsm", 0.01): "FGSM ε=0.01",
    Condition("pgd-20", 0.05, 0.2): "PGD-20 ε=0.05 cap 20%",
    Condition("apgd-50", 0.01, objective="BvL"): "APGD-50 on BvL ε=0.01",
    Condition("fgsm", 0.01, 0.005): "FGSM ε=0.01 cap 0.5%",
    Condition("rdsa", 0.01, physics=PAPER): "RDSA paper's box",
    Condition("track-dropout", 0.01, physics=PAPER): "lost track",
    Condition("noise", 0.05): "noise ε=0.05",
    Condition("systematic-up", 0.05): "shift up ε=0.05",
    Condition("fgsm", 0.01, scale="core", only=("track_*", "jet_pt")): "FGSM ε=0.01 core only track_*, jet_pt",
}


@pytest.mark.parametrize(("condition", "label"), LABELS.items(), ids=LABELS.values())
def test_labels_tell_conditions_apart(condition, label):
    assert condition.label == label
    assert condition.is_clean == (condition == CLEAN)


def test_only_what_looks_at_the_tagger_is_an_attack():
    assert [condition.is_attack for condition in LABELS] == [False, True, True, True, True, False, True, False, False, True]


def test_attack_is_that_of_the_fields(dataset):
    attack = Condition("pgd-3x2", 0.1, 0.2, "CvL", only=("track_*",)).build(dataset, seed=5)
    assert isinstance(attack, PGD)
    assert (attack.steps, attack.restarts, attack.objective, attack.seed) == (3, 2, "CvL", 5)
    assert attack.threat_model.epsilon == 0.1 and attack.threat_model.relative_cap == 0.2
    assert not attack.threat_model.alone[dataset.schema.index("jet_pt")]
    assert isinstance(Condition("fgsm", 0.1).build(dataset), FGSM)
    assert isinstance(Condition("noise", 0.1).build(dataset), GaussianNoise)
    assert CLEAN.build(dataset) is None


def test_grid_gives_every_attack_for_every_cap_and_size():
    listed = conditions(AttackGrid(("fgsm", "noise"), (0.1, 0.2), (None, 0.5)))
    assert listed[0] == CLEAN and len(listed) == 9 == len(set(listed))
    assert listed[1:3] == [Condition("fgsm", 0.1), Condition("noise", 0.1)]
    assert {(condition.cap, condition.epsilon) for condition in listed[1:]} == {
        (None, 0.1),
        (None, 0.2),
        (0.5, 0.1),
        (0.5, 0.2),
    }


def test_unknown_names_are_refused_before_anything_is_built():
    with pytest.raises(UserError, match="There is no attack 'nonsense'"):
        AttackGrid(("nonsense",))
    with pytest.raises(UserError, match="There is no scale 'nonsense'"):
        dataclasses.replace(AttackGrid(), scale="nonsense")


def test_names_that_help_lists_are_those_that_exist():
    """Names stand where parsing needs them without TensorFlow."""
    help = Physics.__dataclass_fields__["budget"].metadata["help"]
    assert all(name in help for name in budgets.names())
