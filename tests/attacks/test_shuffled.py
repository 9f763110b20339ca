"""The random shuffle: what it keeps, what it leaves alone, and that it breaks correlations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import RDSA, Condition, conditions
from kerastag.attacks.shuffled import exchanged
from kerastag.catalogue import ATTACKS
from kerastag.errors import UserError
from kerastag.request import AttackGrid
from tests.toy import SCALE, TOY, toy_threat_model


def frozen_cells(x):
    return TOY.integer | (x == TOY.defaults)


@pytest.mark.parametrize("options", [{}, {"relative_cap": 0.2}, {"epsilon": 0.0}, {"bounds": True}])
def test_values_of_a_feature_stay_the_same_and_frozen_cells_neither_give_nor_take(toy_jets, options):
    x, y = toy_jets[0].numpy(), toy_jets[1]
    moved = RDSA(toy_threat_model(**options), share=0.4)(None, x, y).numpy()
    frozen = frozen_cells(x)
    assert moved[frozen].tobytes() == x[frozen].tobytes()
    for column in range(20):
        free = ~frozen[:, column]
        np.testing.assert_array_equal(np.sort(moved[free, column]), np.sort(x[free, column]))
    assert (moved != x)[~frozen].mean() == pytest.approx(0.4, abs=0.03)


def test_each_jet_has_its_own_features_and_its_own_donors(toy_jets):
    """Values of a jet come from many jets, so that what belongs together is torn."""
    x = np.arange(4000, dtype=np.float32).reshape(200, 20) + 0.5
    moved = RDSA(toy_threat_model(), share=0.5)(None, x, toy_jets[1]).numpy()
    donor = (moved // 20).astype(int)
    changed = donor != np.arange(200)[:, None]
    assert len(np.unique(changed[:, ~TOY.integer], axis=0)) > 190
    donors = [len(set(donor[jet, changed[jet]])) / max(changed[jet].sum(), 1) for jet in range(200)]
    assert np.mean(donors) > 0.9
    np.testing.assert_array_equal(moved % 20, x % 20)  # a value never leaves its feature


def test_a_correlation_falls_by_the_share_that_stays(toy_jets):
    """Of two features with correlation 1 both stay with (1 - share)²."""
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(5000, 1)) * SCALE + 50).astype(np.float32)
    moved = RDSA(toy_threat_model(), share=0.3)(None, x, tf.one_hot(np.zeros(5000, int), 3)).numpy()
    free = moved[:, ~TOY.integer]
    off_diagonal = np.corrcoef(free.T)[~np.eye(free.shape[1], dtype=bool)]
    np.testing.assert_allclose(off_diagonal, 0.7**2, atol=0.06)
    np.testing.assert_allclose(np.corrcoef(x.T)[0, 1], 1, atol=1e-3)


def test_drawn_cells_take_the_value_of_the_next_one_in_order():
    x = tf.constant([[0.0, 10], [1, 11], [2, 12], [3, 13], [4, 14]])
    drawn = tf.constant([[True, False], [False, False], [True, True], [True, False], [False, False]])
    order = tf.constant([[0.9, 0.1], [0.0, 0.2], [0.1, 0.3], [0.5, 0.4], [0.2, 0.5]])  # of the first feature 2, 3, 0
    expected = [[2, 10], [1, 11], [3, 12], [0, 13], [4, 14]]
    np.testing.assert_array_equal(exchanged(x, drawn, order), expected)
    compiled = tf.function(exchanged, jit_compile=True)
    np.testing.assert_array_equal(compiled(x, drawn, order), expected)


def test_draws_follow_the_seed_and_the_strength(toy_jets):
    attacks = [RDSA(toy_threat_model(), seed=seed) for seed in (1, 1, 2)]
    first, again, other = (attack(None, *toy_jets).numpy() for attack in attacks)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (attacks[0](None, *toy_jets).numpy() != first).any()
    attacks[0].restart()
    np.testing.assert_array_equal(attacks[0](None, *toy_jets), first)
    np.testing.assert_array_equal(attacks[0](None, *toy_jets, strength=0.0), toy_jets[0])
    config = keras.saving.serialize_keras_object(RDSA(toy_threat_model(relative_cap=0.2), 0.3, 5))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == RDSA(toy_threat_model(), 0.3, 5).get_config()


def test_features_that_must_not_move_stay(toy_jets):
    x, y = toy_jets
    moved = RDSA(toy_threat_model(only=["track_*"], freeze=["*_phi"]), share=0.5)(None, x, y).numpy()
    changed = {name for name, one in zip(TOY.names, (moved != x.numpy()).any(axis=0), strict=True) if one}
    assert changed == {f"track_{slot}_{name}" for slot in range(3) for name in ("d0", "var")}


def test_one_jet_has_nobody_to_exchange_with(toy_jets):
    x, y = toy_jets
    np.testing.assert_array_equal(RDSA(toy_threat_model(), share=1.0)(None, x[:1], y[:1]), x[:1])


def test_it_is_named_like_other_distortions_but_has_no_size(toy_tagger, toy_jets):
    listed = conditions(AttackGrid(("rdsa", "noise"), (0.01, 0.02), (None, 0.2)))
    assert [one.label for one in listed][:2] == ["clean", "RDSA"] and len(listed) == 6
    assert not Condition("rdsa").is_attack
    assert (ATTACKS.build("rdsa", toy_threat_model())(toy_tagger, *toy_jets).numpy() != toy_jets[0].numpy()).any()


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_impossible_shares_are_refused(share):
    with pytest.raises(UserError, match="`share`"):
        RDSA(toy_threat_model(), share)


def test_on_a_real_schema_followers_go_with_what_they_follow(dataset):
    """In the physical box features that are free exchange values; all others change only as their sources do."""
    jets = dataset.arrays("train")
    x, y = jets.features[:400], jets.y[:400]
    attack = Condition("rdsa").build(dataset)
    moved = attack(None, x, y).numpy()
    box = attack.threat_model.loose_box(tf.constant(x))
    free = np.asarray(box.budget > 0)
    assert np.isfinite(moved).all()
    for column in np.flatnonzero(free.any(axis=0)):
        here = free[:, column]
        np.testing.assert_array_equal(np.sort(moved[here, column]), np.sort(x[here, column]))
    np.testing.assert_array_equal(moved, box.complete(tf.where(free, moved, x)))
    stays = ~np.asarray(box.moves)
    assert moved[stays].tobytes() == x[stays].tobytes() and (moved != x).any(axis=1).mean() > 0.9
