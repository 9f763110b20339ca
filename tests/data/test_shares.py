"""What several workers read: together the batches of one, and an epoch ends for all at once."""

import numpy as np
import pytest
import tensorflow as tf

from kerastag.data import Share, epochs
from kerastag.errors import UserError

SEED = tf.constant([3, 5], tf.int64)
JETS_OF_SHARDS = [90, 130, 80, 110, 95, 120, 100]


def labels(batches):
    return [batch["label"].numpy() for batch in batches]


def decode(record):
    return {"label": tf.io.decode_raw(record, tf.int64)}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Files of blocks of at most 25 jets, each jet with a label of its own."""
    folder, paths, first = tmp_path_factory.mktemp("shards"), [], 0
    for number, jets in enumerate(JETS_OF_SHARDS):
        paths.append(str(folder / f"{number}.tfrecord"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for block in np.split(np.arange(first, first + jets), range(25, jets, 25)):
                writer.write(block.astype(np.int64).tobytes())
        first += jets
    return paths


@pytest.mark.parametrize("devices", [1, 2])
def test_pieces_of_all_devices_make_up_the_batches_of_one(devices):
    arrays = {"features": np.arange(2 * 103, dtype=np.float32).reshape(103, 2), "label": np.arange(103)}
    varied = np.stack([arrays["features"] + 1000 * number for number in (1, 2)])
    whole = list(epochs.in_memory(arrays, 12, varied)(SEED))
    parts = [list(epochs.in_memory(arrays, 12, varied, Share(worker, 3, devices))(SEED)) for worker in range(3)]
    assert len(whole) == 103 // 12 and all(len(part) == devices * len(whole) for part in parts)
    assert len(parts[0][0]["label"]) == 12 // 3 // devices
    for name in ("label", "features"):
        for step, batch in enumerate(whole):
            pieces = [part[devices * step + device][name] for part in parts for device in range(devices)]
            np.testing.assert_array_equal(np.concatenate(pieces), batch[name])


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_workers_stream_different_jets_and_the_same_number_of_batches(shards, workers):
    batch_size = 6 * workers
    steps = epochs.steps_of_all(JETS_OF_SHARDS, batch_size, Share(workers=workers))
    for number in range(6):
        seed = tf.constant([3, number], tf.int64)
        read = [
            labels(epochs.streamed(shards, decode, batch_size, Share(worker, workers))(seed).take(steps))
            for worker in range(workers)
        ]
        assert [len(batches) for batches in read] == [steps] * workers
        jets = np.concatenate([jets for batches in read for jets in batches])
        assert len(jets) == len(np.unique(jets)) == steps * batch_size


def test_which_shards_a_worker_streams_depends_on_the_epoch_alone(shards):
    def read(number):
        return labels(epochs.streamed(shards, decode, 12, Share(1, 3))(tf.constant([3, number], tf.int64)))

    for first, again in zip(read(0), read(0), strict=True):
        np.testing.assert_array_equal(first, again)
    assert set(np.concatenate(read(0))) != set(np.concatenate(read(1)))


def test_streamed_parts_are_cut_for_devices(shards):
    parts = labels(epochs.streamed(shards, decode, 24, Share(1, 2))(SEED).take(5))
    pieces = labels(epochs.streamed(shards, decode, 24, Share(1, 2, devices=3))(SEED).take(15))
    assert [len(piece) for piece in pieces] == [4] * 15
    np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate(parts))


def test_jets_of_shards_are_counted(shards):
    assert epochs.jets_of_files(shards, decode) == JETS_OF_SHARDS


def test_a_worker_has_the_steps_of_the_smallest_shards():
    assert epochs.steps_of_all([100, 50, 70, 60], 40, Share(workers=2)) == (50 + 60) // 20
    assert epochs.steps_of_all([100, 50, 70, 60], 40, Share(workers=3)) == 50 // 13
    assert epochs.steps_of_all([100, 50, 70, 60], 40, Share()) == 280 // 40


def test_a_data_set_is_shared_in_memory_and_streamed(dataset):
    shares = [Share(worker, 2) for worker in range(2)]
    batches = dataset.batches("train", 200, shuffle=True, seed=4, first_epoch=2, in_memory=True)
    parts = [
        iter(dataset.batches("train", 200, shuffle=True, seed=4, first_epoch=2, in_memory=True, share=one)) for one in shares
    ]
    for _, whole in zip(range(dataset.steps("train", 200, shares[0], in_memory=True) + 2), batches, strict=False):
        for expected, *given in zip(whole, *(next(part) for part in parts), strict=True):
            np.testing.assert_array_equal(np.concatenate(given), expected)
    assert dataset._jets_of_shards("train", 1) == [dataset.count("train")]
    for ask in (dataset.batches, dataset.steps):
        with pytest.raises(UserError, match="has 1 shards, too few for 2 workers"):
            ask("train", 200, share=shares[0], in_memory=False, **({"shuffle": True} if ask == dataset.batches else {}))


@pytest.mark.parametrize("devices", [1, 2])
def test_pieces_of_unlabelled_jets_make_up_those_of_one(devices):
    rows = np.arange(50, dtype=np.float32)[:, None]
    whole = list(epochs.drawn(rows, 12, 3).take(4))
    parts = [list(epochs.drawn(rows, 12, 3, share=Share(worker, 3, devices)).take(4 * devices)) for worker in range(3)]
    for step, batch in enumerate(whole):
        pieces = [part[devices * step + device] for part in parts for device in range(devices)]
        np.testing.assert_array_equal(np.concatenate(pieces), batch)
