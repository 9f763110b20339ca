"""Lost and fake tracks against jets that are changed by hand, one object at a time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import models
from kerastag.attacks import Condition, FakeTracks, ThreatModel, TrackDropout, conditions
from kerastag.attacks.base import Attack
from kerastag.errors import UserError
from kerastag.request import AttackGrid
from kerastag.schema import DEEPCSV, PARTICLE_TRANSFORMER_AK4
from tests.models import checks
from tests.toy import TOY, toy_threat_model

FIRST, SLOTS = TOY.index("track_0_d0"), 3
DEFAULTS = TOY.defaults[FIRST : FIRST + 12].reshape(4, SLOTS)
FAKES = np.array([[7.0, 0.5, 1.0, 4.0], [-6.0, 0.1, np.nan, 9.0]], np.float32)
COUNT = TOY.index("n")


@pytest.fixture(scope="module")
def filled(toy_jets):
    """The toy jets with objects in the leading slots alone, 0 to 3 of them."""
    x = toy_jets[0].numpy().copy()
    objects = x[:, FIRST : FIRST + 12].reshape(-1, 4, SLOTS)
    objects[:] = np.random.default_rng(0).normal(size=objects.shape)
    for jet, tracks in enumerate(objects):
        tracks[:, jet % 4 :] = DEFAULTS[:, jet % 4 :]
    return x, toy_jets[1].numpy()


def with_tracks(jet, tracks):
    """A jet with some objects, `(objects, variables)`, in its leading slots."""
    block = DEFAULTS.copy()
    for slot, track in enumerate(tracks[:SLOTS]):
        block[:, slot] = np.where(np.isnan(track), DEFAULTS[:, slot], track)
    jet = jet.copy()
    jet[COUNT] += len(tracks) - len(tracks_of(jet))
    jet[FIRST : FIRST + 12] = block.reshape(-1)
    return jet


def tracks_of(jet):
    block = jet[FIRST : FIRST + 12].reshape(4, SLOTS)
    exists = block != DEFAULTS
    return [np.where(exists[:, slot], block[:, slot], np.nan) for slot in range(SLOTS) if exists[:, slot].any()]


def lost(jet):
    tracks = tracks_of(jet)
    return [with_tracks(jet, tracks[:gone] + tracks[gone + 1 :]) for gone in range(len(tracks))]


def faked(jet):
    tracks = tracks_of(jet)
    places = range(min(len(tracks) + 1, SLOTS))
    return [with_tracks(jet, [*tracks[:place], fake, *tracks[place:]]) for fake in FAKES for place in places]


@pytest.mark.parametrize(
    ("attack", "by_hand"),
    [
        (TrackDropout(toy_threat_model(), FIRST, DEFAULTS, count=COUNT), lost),
        (FakeTracks(toy_threat_model(), FIRST, DEFAULTS, FAKES, count=COUNT), faked),
    ],
    ids=["lost", "fake"],
)
def test_each_jet_is_the_worst_that_one_object_makes_of_it(filled, toy_tagger, attack, by_hand):
    x, y = filled
    attacked = tf.function(lambda x, y: attack(toy_tagger, x, y))(x, y).numpy()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, reduction=None)
    for jet, label, found in zip(x, y, attacked, strict=True):
        candidates = np.stack([jet, *by_hand(jet)])
        losses = loss(np.repeat(label[None], len(candidates), 0), toy_tagger(candidates)).numpy()
        (index,) = np.flatnonzero((candidates == found).all(axis=1))[:1]
        assert losses[index] >= losses.max() - 1e-6
    assert (attacked != x).any(axis=1).mean() > 0.3
    others = np.setdiff1d(np.arange(len(TOY.names)), [COUNT, *range(FIRST, FIRST + 12)])
    assert (attacked[:, others] == x[:, others]).all()
    again = type(attack).from_config(attack.get_config())
    np.testing.assert_array_equal(again(toy_tagger, x, y), attacked)


def test_who_does_not_know_the_truth_takes_the_tagger_s_word(filled, toy_tagger):
    x, y = filled
    said = np.eye(3, dtype=np.float32)[toy_tagger(x).numpy().argmax(axis=1)]
    attack, blind = (TrackDropout(toy_threat_model(), FIRST, DEFAULTS, labels=labels) for labels in ("true", "predicted"))
    np.testing.assert_array_equal(blind(toy_tagger, x, y), attack(toy_tagger, x, said))
    assert (blind(toy_tagger, x, y) != attack(toy_tagger, x, y)).numpy().any()


def test_they_are_named_like_other_attacks_but_have_no_size(dataset, tagger):
    listed = conditions(AttackGrid(("track-dropout", "fake-track", "fgsm"), (0.01, 0.02), (None,)))
    assert [one.label for one in listed] == ["clean", "lost track", "fake track", "FGSM ε=0.01", "FGSM ε=0.02"]
    jets = dataset.arrays("test")
    x, y = jets.features[:300], jets.y[:300]
    for name in ("track-dropout", "fake-track"):
        attack = Condition(name).build(dataset)
        assert isinstance(attack, Attack)
        moved = attack(tagger, x, y).numpy()
        names = {
            feature.group for feature, changed in zip(dataset.schema.features, (moved != x).any(axis=0), strict=True) if changed
        }
        assert names == {"track"}
    fakes = Condition("fake-track").build(dataset).fakes
    # A cell that stands at the default of its slot comes at that of its new one.
    defaults = Condition("fake-track").build(dataset).defaults
    assert np.isnan(fakes).any() and not (fakes[:, :, None] == defaults).any()
    columns = [dataset.schema.index(f"track_{slot}_D0") for slot in range(6)]
    assert np.isin(fakes[:, 0], dataset.arrays("train").features[:, columns]).all() and len(np.unique(fakes[:, 0])) == 8


def test_a_data_set_without_tracks_has_none_to_lose(dataset):
    import dataclasses

    alone = dataclasses.replace(dataset.schema, groups=dataset.schema.groups[:1], helix=None)
    with pytest.raises(UserError, match="no group with slots, so no object can be lost or added"):
        TrackDropout.of_dataset(toy_threat_model(), type("DataSet", (), {"schema": alone}))


def test_numbers_of_tracks_follow_where_they_say_which_slots_are_filled():
    defaults = DEEPCSV.defaults
    x = np.tile(defaults, (2, 1)).astype(np.float32)
    count, first = (
        DEEPCSV.index("jetNSelectedTracks"),
        [DEEPCSV.index(f"{name}_0") for name in ("trackSip3dSig", "trackDeltaR")],
    )
    x[1, first], x[1, count] = 2.5, 1
    training = type("Jets", (), {"features": x})
    dataset = type("DataSet", (), {"schema": DEEPCSV, "arrays": lambda self, split: training})()
    model = models.mlp(DEEPCSV, checks.flat_statistics(DEEPCSV))
    threat_model = ThreatModel.from_schema(DEEPCSV, np.ones(len(defaults)), 0.1)
    y = checks.labels(3, 3)
    fake, lost_track = (attack.of_dataset(threat_model, dataset) for attack in (FakeTracks, TrackDropout))
    # Each is the worst of what it can do and of nothing, so that one label at least lets it act.
    added = np.concatenate([fake(model, x, y[[label] * 2]).numpy()[:, count] - x[:, count] for label in range(3)])
    assert set(added) == {0, 1}
    gone = np.concatenate([lost_track(model, x, y[[label] * 2]).numpy()[:, count] - x[:, count] for label in range(3)])
    assert set(gone) == {0, -1}


def test_no_fake_comes_from_a_jet_in_another_direction():
    dataset = type("DataSet", (), {"schema": PARTICLE_TRANSFORMER_AK4})
    with pytest.raises(UserError, match="whose directions differ: particle_transformer_ak4 has px, py and pz"):
        FakeTracks.of_dataset(toy_threat_model(), dataset)
