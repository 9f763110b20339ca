"""Jets in memory."""

import numpy as np

from kerastag.jets import Jets
from tfds_jets.splitting import split_of


def jets(**spectators) -> Jets:
    number = len(spectators["source"])
    return Jets(np.zeros((number, 2), np.float32), np.arange(number) % 3, spectators, 3)


def test_jets_of_an_event_share_its_number_and_others_stand_alone():
    source, entry, event = np.array([7, 7, 7, 8, 7]), np.arange(5), np.array([3, 3, -1, 3, -1])
    events = jets(source=source, entry=entry, event=event).events
    assert events[0] == events[1] and len(set(events)) == 4


def test_a_schema_without_event_makes_every_jet_an_event():
    spectators = {"source": np.full(500, 7), "entry": np.arange(500)}
    assert len(set(jets(**spectators).events)) == 500
    none = split_of(spectators | {"event": np.full(500, -1)})
    np.testing.assert_array_equal(split_of(spectators), none)


def test_labels_weights_and_rows():
    some = jets(source=np.zeros(6, int), entry=np.arange(6), generator_weight=np.arange(6.0))
    np.testing.assert_array_equal(some.y.argmax(axis=1), some.label)
    taken = some.take(np.array([4, 1]))
    assert list(taken.weights) == [4, 1] and list(taken.label) == [1, 1] and len(taken) == 2
    assert list(jets(source=np.zeros(2, int), entry=np.arange(2)).weights) == [1, 1]


def test_a_sample_says_what_it_is_in_a_line():
    jets = Jets(np.zeros((5, 2), np.float32), np.array([0, 2, 2, 0, 0]), {"event": np.arange(5)}, 3)
    assert repr(jets) == "Jets: 5 of 2 features (3 of class 0, 2 of class 2), spectators event"
