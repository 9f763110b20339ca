"""The TFDS data set of jets as batches of (x, y, w).

x is float32 `(batch, features)` in physical units, y one-hot float32 `(batch, classes)`, w float32 `(batch,)`. A split that
fits in a quarter of the machine's memory is decoded once and permuted anew each epoch; a larger one is streamed. In both
cases the order of the jets depends on nothing but (seed, epoch), so a resumed training sees the same batches.
"""

import functools
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from kerastag.data.weights import KinematicWeights
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Schema
from kerastag.statistics import Statistics, core_sigma

# Streaming: blocks, and then jets, that are permuted together.
_BLOCK_BUFFER = 256
_JET_BUFFER = 65_536


class JetDataset:
    """A built data set: its schema, its statistics, and its splits as arrays or batches."""

    def __init__(self, builder: tfds.core.DatasetBuilder):
        self._builder = builder
        self._splits: dict[str, Jets] = {}
        self._weights: dict[str, KinematicWeights] = {}
        metadata = builder.info.metadata
        self.schema = Schema.from_dict(metadata["schema"])
        self.statistics = Statistics.from_dict(metadata["statistics"])
        self.fingerprint: str = metadata["fingerprint"]
        self.cleaning: dict = metadata["cleaning"]
        self.jets: dict[str, dict[str, int]] = metadata["jets"]

    @property
    def path(self) -> Path:
        """Folder of the shards."""
        return Path(self._builder.data_path)

    def scale(self, kind: str = "sigma") -> np.ndarray:
        """Unit of ε for each feature, float64 `(features,)`, from the training jets that have it.

        Args:
            kind: "sigma", the standard deviation; or "core", that of the values between the 20 % and 80 % quantiles, as CMS
                takes it for DeepJet, and σ where these are all the same.

        Raises:
            UserError: if there is no such kind.
        """
        if kind == "sigma":
            return self.statistics.sigma
        if kind == "core":
            core = core_sigma(self.arrays("train").features, self.schema.defaults)
            return np.where(core > 0, core, self.statistics.sigma)
        raise UserError(f"There is no scale '{kind}'; choose sigma or core.")

    def count(self, split: str) -> int:
        """Number of jets of a split.

        Raises:
            UserError: if the data set has no such split.
        """
        if split not in self._builder.info.splits:
            raise UserError(
                f"The data set in '{self.path}' has no split '{split}', only {', '.join(self._builder.info.splits)}."
            )
        return sum(self.jets[split].values())

    def arrays(self, split: str) -> Jets:
        """A whole split in memory, decoded once."""
        if split not in self._splits:
            self._splits[split] = self._decode(split)
        return self._splits[split]

    def fits_in_memory(self, split: str) -> bool:
        """Whether the split takes at most a quarter of the machine's memory; it is held as array and as tensor."""
        size = self.count(split) * (len(self.schema.features) + 16) * 4
        return size <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 4

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        first_epoch: int = 0,
        weights: str = "none",
        spectators: bool = False,
        in_memory: bool | None = None,
    ) -> tf.data.Dataset:
        """Batches `(x, y, w)`, or `(x, y, w, spectators)`.

        Args:
            split: "train", "validation" or "test".
            batch_size: Jets in a batch, at most those of the split.
            shuffle: False gives one pass in stored order. True gives endless epochs of `steps(split, batch_size)` full
                batches, each epoch in an order of its own; the jets that do not fill a batch are left out of that epoch.
            seed: Of the order.
            first_epoch: Number of the first epoch, above 0 when a training is resumed.
            weights: "none", or a binning of `KinematicWeights`.
            spectators: Whether to add a dictionary of the spectators.
            in_memory: Whether to decode the split once; None decides by `fits_in_memory`.

        Raises:
            UserError: if the data set has no such split.
        """
        batch_size = min(batch_size, self.count(split))
        in_memory = self.fits_in_memory(split) if in_memory is None else in_memory
        resident = functools.partial(self._epoch_in_memory, spectators=spectators)
        epoch = (resident if in_memory else self._epoch_streamed)(split, batch_size)
        if shuffle:
            epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
            dataset = epochs.flat_map(lambda number: epoch(tf.stack([tf.cast(seed, tf.int64), number])))
        else:
            dataset = epoch(None)
        finish = functools.partial(self._finish, weights=self._kinematic_weights(weights), spectators=spectators)
        return dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)

    def steps(self, split: str, batch_size: int) -> int:
        """Number of batches in a shuffled epoch."""
        return self.count(split) // min(batch_size, self.count(split))

    def _finish(self, block: dict[str, tf.Tensor], weights, spectators: bool):
        """One batch from the columns of its jets."""
        x, label = block.pop("features"), block.pop("label")
        w = tf.ones_like(label, tf.float32) if weights is None else weights(x, label)
        y = tf.one_hot(label, len(self.schema.classes))
        return (x, y, w, block) if spectators else (x, y, w)

    def _kinematic_weights(self, binning: str) -> KinematicWeights | None:
        if binning == "none":
            return None
        if binning not in self._weights:
            made = KinematicWeights(self.schema, binning)
            for block in self._blocks("train").as_numpy_iterator():
                made.update(block["features"], block["label"])
            made.normalise()
            self._weights[binning] = made
        return self._weights[binning]

    def _blocks(self, split: str) -> tf.data.Dataset:
        """Blocks in stored order."""
        config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
        return self._builder.as_dataset(split=split, read_config=config, shuffle_files=False)

    def _decode(self, split: str) -> Jets:
        jets = self.count(split)
        columns: dict[str, np.ndarray] = {}
        first = 0
        for block in self._blocks(split).prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            for name, values in block.items():
                if name not in columns:
                    columns[name] = np.empty((jets, *values.shape[1:]), values.dtype)
                columns[name][first : first + len(values)] = values
            first += len(block["label"])
        return Jets(columns.pop("features"), columns.pop("label"), columns, len(self.schema.classes))

    def _epoch_in_memory(self, split: str, batch_size: int, spectators: bool):
        """A function from a seed `(2,)`, or None, to the batches of one epoch, all jets at hand."""
        arrays = self.arrays(split)
        jets = len(arrays.label)
        with tf.device("CPU"):  # or TensorFlow would put the whole split on a GPU
            columns = {"features": tf.constant(arrays.features), "label": tf.constant(arrays.label)}
            if spectators:
                columns |= {name: tf.constant(values) for name, values in arrays.spectators.items()}

        def epoch(seed: tf.Tensor | None) -> tf.data.Dataset:
            order = tf.range(jets, dtype=tf.int64)
            last = jets if seed is None else jets - jets % batch_size
            if seed is not None:
                order = tf.random.experimental.stateless_shuffle(order, seed)
            starts = tf.data.Dataset.range(0, last, batch_size)
            indices = starts.map(lambda start: order[start : start + batch_size])
            return indices.map(
                lambda index: {name: tf.gather(values, index) for name, values in columns.items()},
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )

        return epoch

    def _epoch_streamed(self, split: str, batch_size: int):
        """A function from a seed `(2,)`, or None, to the batches of one epoch, read from the shards."""
        paths = [str(path) for path in self._builder.info.splits[split].filepaths]
        decode = self._builder.info.features.deserialize_example
        fold_in = tf.random.experimental.stateless_fold_in

        def epoch(seed: tf.Tensor | None) -> tf.data.Dataset:
            files = tf.data.Dataset.from_tensor_slices(paths)
            if seed is None:
                return files.flat_map(tf.data.TFRecordDataset).map(decode).rebatch(batch_size)
            # Stateless draws: Dataset.shuffle takes no tensor for a seed once a global seed is set.
            files = tf.data.Dataset.from_tensor_slices(_permuted(tf.constant(paths), seed))
            records = files.interleave(tf.data.TFRecordDataset, cycle_length=16)
            groups = records.batch(_BLOCK_BUFFER).enumerate()
            records = groups.map(lambda number, group: _permuted(group, fold_in(seed, 2 * number))).unbatch()
            blocks = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            buffers = blocks.rebatch(max(_JET_BUFFER, batch_size)).enumerate()
            return buffers.map(lambda number, buffer: _permuted(buffer, fold_in(seed, 2 * number + 1))).rebatch(
                batch_size, drop_remainder=True
            )

        return epoch


def _permuted(values: tf.Tensor | dict[str, tf.Tensor], seed: tf.Tensor):
    """A tensor, or each column of a dictionary, in an order that is drawn from `seed`, int64 `(2,)`."""
    first = next(iter(values.values())) if isinstance(values, dict) else values
    order = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(first)[0]), seed)
    if isinstance(values, dict):
        return {name: tf.gather(column, order) for name, column in values.items()}
    return tf.gather(values, order)


def prepare(config: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None) -> JetDataset:
    """Open a data set and build it first if it is not there.

    Args:
        config: Name of the schema, such as "jet_flavor".
        data_dir: Where TFDS keeps data sets; its own default if None.
        manual_dir: Folder of the ROOT files to build from; if given, an existing data set must be made of them. None takes the
            sample that comes with the package, for the configs that can read it.

    Raises:
        UserError: if there is no such config, the files cannot be read, or the existing data set is made of others.
    """
    from tfds_jets.tfds_jets_dataset_builder import Builder

    if config not in Builder.builder_configs:
        raise UserError(f"There is no data set config '{config}'; choose one of {', '.join(Builder.builder_configs)}.")
    if manual_dir is not None and not Path(manual_dir).expanduser().is_dir():
        raise UserError(f"The folder '{manual_dir}' (--manual-dir) does not exist.")
    builder = Builder(config=config, data_dir=data_dir and Path(data_dir).expanduser())
    directory = manual_dir and Path(manual_dir).expanduser()
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=directory))
    return JetDataset(builder)


def load(
    config: str,
    split: str,
    batch_size: int,
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    **options,
) -> tf.data.Dataset:
    """Batches `(x, y, w)` of a split in one call: `prepare` and `JetDataset.batches`, whose options it takes."""
    return prepare(config, data_dir=data_dir, manual_dir=manual_dir).batches(split, batch_size, **options)
