"""How well a stream mixes files of one flavour each, where buffers hold a small part of the jets."""

import numpy as np
import pytest
import tensorflow as tf

from kerastag.data import epochs

FILES, BLOCKS, JETS = 48, 40, 25
BATCH = 200


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Shards of one file each, in the order of flavours; a record has the numbers of its jets."""
    folder, paths = tmp_path_factory.mktemp("shards"), []
    for file in range(FILES):
        path = str(folder / f"{file}.tfrecord")
        with tf.io.TFRecordWriter(path) as writer:
            for block in range(BLOCKS):
                first = (file * BLOCKS + block) * JETS
                writer.write(np.arange(first, first + JETS, dtype=np.int64).tobytes())
        paths.append(path)
    return paths


def decode(record):
    return {"label": tf.io.decode_raw(record, tf.int64)}


def test_batches_have_jets_of_many_files_and_of_all_flavours_in_proportion(shards, monkeypatch):
    """Buffers of a 25th of the blocks and of a tenth of the jets; 16 of the 48 shards are open."""
    monkeypatch.setattr(epochs, "_BLOCK_BUFFER", 80)
    monkeypatch.setattr(epochs, "_JET_BUFFER", 4_800)
    stream = epochs.streamed(shards, decode, BATCH)(tf.constant([1, 2], tf.int64))
    files = np.stack([batch["label"].numpy() // (BLOCKS * JETS) for batch in stream])
    assert len(files) == FILES * BLOCKS * JETS // BATCH
    different = np.array([len(np.unique(batch)) for batch in files])
    assert np.median(different) >= 16  # all files that are open at a time
    flavours = files // (FILES // 3)
    shares = np.stack([(flavours == flavour).mean(axis=1) for flavour in range(3)])
    # Which 16 of 48 shards are open is drawn anew for each epoch; so are the flavours of a batch, beside those of its jets.
    of_jets, of_shards = 1 / 3 * 2 / 3 / BATCH, 1 / 3 * 2 / 3 / 16 * (FILES - 16) / (FILES - 1)
    assert shares.std(axis=1).max() < 1.5 * np.sqrt(of_jets + of_shards)
    assert (shares.min(axis=1) > 0.05).all()
