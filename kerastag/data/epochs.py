"""Epochs of jets in an order that depends on nothing but a seed.

An `Epoch` maps a seed, int64 `(2,)`, to full batches of columns in an order that is drawn from the seed; the jets that do not
fill a batch are left out. Without a seed, batches hold all jets in stored order.

Where several workers train together, each reads its `Share` of every batch, in pieces for its devices.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

Columns = dict[str, tf.Tensor]
Epoch = Callable[[tf.Tensor | None], tf.data.Dataset]

# Streaming: shards read at once, then blocks and then jets that are permuted together.
_OPEN_SHARDS = 16
_BLOCK_BUFFER = 256
_JET_BUFFER = 65_536


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of each shuffled batch that one of several workers reads, a piece after the other for each of its devices.

    Attributes:
        worker: Number of the worker, from 0.
        workers: How many there are.
        devices: Devices of each worker.
    """

    worker: int = 0
    workers: int = 1
    devices: int = 1

    @property
    def pieces(self) -> int:
        """Pieces of a batch, one for each device of all workers."""
        return self.workers * self.devices

    def of_batch(self, rows: tf.Tensor) -> tf.Tensor:
        """This worker's part of what belongs to the jets of a batch, `(batch, ...)`."""
        size = tf.shape(rows)[0] // self.workers
        return rows[self.worker * size : (self.worker + 1) * size]

    def cut(self, parts: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Pieces from this worker's parts of batches."""
        return parts.rebatch(batch_size // self.pieces) if self.devices > 1 else parts


WHOLE = Share()


def in_memory(
    arrays: Mapping[str, np.ndarray], batch_size: int, varied: np.ndarray | None = None, share: Share = WHOLE
) -> Epoch:
    """Epochs of jets in memory.

    Args:
        arrays: Columns `(jets, ...)` by name.
        batch_size: Jets in a batch.
        varied: Features under variations, `(variations, jets, features)`. With a seed each jet then has its features under
            one of them, or its own, all equally likely. None for none.
        share: The part of each batch that is taken, with a seed; parts of all workers make up the batch of one.
    """
    with tf.device("CPU"):  # or TensorFlow would put the whole split on a GPU
        columns = {name: tf.constant(values) for name, values in arrays.items()}
        alternatives = None if varied is None else tf.constant(varied)
    jets = len(next(iter(arrays.values())))

    def epoch(seed: tf.Tensor | None) -> tf.data.Dataset:
        order = tf.range(jets, dtype=tf.int64) if seed is None else _random_order(jets, seed)
        end = jets if seed is None else jets - jets % batch_size
        starts = tf.data.Dataset.range(0, end, batch_size)

        def batch(start: tf.Tensor) -> Columns:
            rows = order[start : start + batch_size]
            if seed is None:
                return _take(columns, rows)
            part = share.of_batch(rows)
            taken = _take(columns, part)
            if alternatives is None:
                return taken
            numbers = share.of_batch(_drawn(tf.shape(rows), alternatives, _derived(seed, start)))
            return taken | {"features": _varied(taken["features"], alternatives, part, numbers)}

        parts = starts.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return parts if seed is None else share.cut(parts, batch_size)

    return epoch


def streamed(paths: Sequence[str], decode: Callable[[tf.Tensor], Columns], batch_size: int, share: Share = WHOLE) -> Epoch:
    """Epochs of jets that are read from shards.

    Shards, the blocks of a few shards, and the jets of many blocks are permuted one after the other. Each of several workers
    reads some of the permuted shards.

    Args:
        paths: TFRecord files.
        decode: Function from the record of a block to its columns `(jets, ...)`.
        batch_size: Jets in a batch.
        share: The part of each batch that is taken, with a seed.
    """
    part = batch_size // share.workers

    def epoch(seed: tf.Tensor | None) -> tf.data.Dataset:
        if seed is None:
            files = tf.data.Dataset.from_tensor_slices(paths)
            return files.flat_map(tf.data.TFRecordDataset).map(decode).rebatch(batch_size)
        ours = _random_order(len(paths), seed)[share.worker :: share.workers]
        files = tf.data.Dataset.from_tensor_slices(tf.gather(paths, ours))
        records = _shuffled_records(files, seed)
        blocks = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        buffers = blocks.rebatch(max(_JET_BUFFER, part)).enumerate()
        buffers = buffers.map(lambda number, buffer: _shuffled_jets(buffer, _derived(seed, 2 * number + 1)))
        return share.cut(buffers.rebatch(part, drop_remainder=True), batch_size)

    return epoch


def drawn(features: np.ndarray, number: int, seed: int, first: int = 0, share: Share = WHOLE) -> tf.data.Dataset:
    """Endless batches of `number` rows of `features`, drawn with replacement, float32 `(number, features)`.

    Args:
        features: `(jets, features)`.
        number: Rows in a batch.
        seed: Seed of the draws.
        first: Number of the first batch, above 0 when a training is resumed.
        share: The part of each batch that is taken.
    """
    with tf.device("CPU"):
        rows = tf.constant(features)

    def batch(count: tf.Tensor) -> tf.Tensor:
        chosen = tf.random.stateless_uniform((number,), tf.stack([seed, count]), 0, len(features), tf.int64)
        return tf.gather(rows, share.of_batch(chosen))

    numbers = tf.data.Dataset.range(first, np.iinfo(np.int64).max)
    return share.cut(numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True), number)


def steps_of_all(jets: Sequence[int], batch_size: int, share: Share) -> int:
    """Batches that every worker can fill, whichever shards it gets: those of one that has the smallest shards.

    Args:
        jets: Jets in each shard.
        batch_size: Jets in a batch.
        share: Which says how many workers there are.
    """
    return sum(sorted(jets)[: len(jets) // share.workers]) // (batch_size // share.workers)


def jets_of_files(paths: Sequence[str], decode: Callable[[tf.Tensor], Columns]) -> list[int]:
    """Number of jets in each of some TFRecord files, from the labels that `decode` gives."""

    def jets(path: tf.Tensor) -> tf.Tensor:
        blocks = tf.data.TFRecordDataset(path).map(lambda record: tf.size(decode(record)["label"], tf.int64))
        return blocks.reduce(tf.constant(0, tf.int64), tf.add)

    files = tf.data.Dataset.from_tensor_slices(list(paths))
    return [int(number) for number in files.map(jets, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator()]


# Dataset.shuffle would not do: it takes no tensor for a seed once a global seed is set.
def _shuffled_records(files: tf.data.Dataset, seed: tf.Tensor) -> tf.data.Dataset:
    """Records of the files, permuted within buffers."""
    buffers = files.interleave(tf.data.TFRecordDataset, cycle_length=_OPEN_SHARDS).batch(_BLOCK_BUFFER).enumerate()

    def shuffled(number: tf.Tensor, records: tf.Tensor) -> tf.Tensor:
        return tf.gather(records, _random_order(tf.shape(records)[0], _derived(seed, 2 * number)))

    return buffers.map(shuffled).unbatch()


def _shuffled_jets(columns: Columns, seed: tf.Tensor) -> Columns:
    return _take(columns, _random_order(tf.shape(columns["label"])[0], seed))


def _take(columns: Columns, rows: tf.Tensor) -> Columns:
    return {name: tf.gather(values, rows) for name, values in columns.items()}


def _drawn(shape: tf.Tensor, alternatives: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Number of one of the alternatives, drawn for each jet; -1 for the jet as it is."""
    return tf.random.stateless_uniform(shape, seed, -1, len(alternatives), tf.int64)


def _varied(features: tf.Tensor, alternatives: tf.Tensor, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Features of some jets, or what they are under the alternative of each jet's number."""
    others = tf.gather_nd(alternatives, tf.stack([tf.maximum(numbers, 0), rows], axis=1))
    return tf.where(numbers[:, None] < 0, features, others)


def _random_order(length: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Rows 0 to `length` - 1 in an order that is drawn from the seed, int64 `(length,)`."""
    return tf.random.experimental.stateless_shuffle(tf.range(length, dtype=tf.int64), seed)


def _derived(seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """A seed for each number, int64 `(2,)`."""
    return tf.random.experimental.stateless_fold_in(seed, number)
