"""The TFDS data set of jets as batches of (x, y, w).

x is float32 `(batch, features)` in physical units, y one-hot float32 `(batch, classes)`, w float32 `(batch,)`. A split that
fits in an eighth of the machine's memory is decoded once and permuted anew each epoch; a larger one is streamed. In both
cases the order of the jets depends only on (seed, epoch), so a resumed training sees the same batches.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from kerastag import schema as schemas
from kerastag.catalogue import SCALES
from kerastag.data import epochs
from kerastag.data.epochs import WHOLE, Share
from kerastag.data.weights import KinematicWeights
from kerastag.errors import UserError
from kerastag.jets import WEIGHT, Jets, joined
from kerastag.request import ALL_SPLITS
from kerastag.schema import Schema, Spectator, discovery, toml
from kerastag.statistics import Statistics
from tfds_jets import integrity

_GENERATOR = "generator"

_WeightsOfBatch = Callable[[epochs.Columns], tf.Tensor]


def memory_limit() -> int:
    """Bytes that jets in memory may take: an eighth of the machine's. Array, tensor and copies take four times that."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8


class JetDataset:
    """A data set that has been built: its schema, its statistics, and its splits as arrays or batches.

    Args:
        builder: The builder, prepared.

    Attributes:
        schema: Schema of the data set.
        statistics: Statistics of the training split.
        fingerprint: Hash of the source files, the schema and the selection.
        cleaning: Numbers of jets that were read or left out, and of values that became their default, by reason.
        jets: Number of jets by split and flavour.
        simulation: What each simulated file says of itself, by the identifier of the file; `variations` sums it up.
        findings: Special values and tabulated features of the training jets; none if the data set is older than their search.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder):
        self._builder = builder
        self._splits: dict[str, Jets] = {}
        self._weights: dict[str, KinematicWeights] = {}
        self._shard_jets: dict[str, list[int]] = {}
        metadata = builder.info.metadata
        self.schema: Schema = builder.schema
        self.statistics = Statistics.from_dict(metadata["statistics"])
        self.fingerprint: str = metadata["fingerprint"]
        self.cleaning: dict[str, Any] = metadata["cleaning"]
        self.jets: dict[str, dict[str, int]] = metadata["jets"]
        self.simulation: dict[str, dict[str, Any] | None] = metadata.get("simulation", {})
        self.findings = discovery.from_json(metadata.get("values", ()), self.schema)

    def __repr__(self) -> str:
        """What it is, in a line a split: number of jets, and of which flavours."""
        lines = [f"{self.schema.name}, {len(self.schema.features)} features, in {self.path}"]
        for split, by_class in self.jets.items():
            shares = ", ".join(f"{number:,} {name}" for name, number in by_class.items())
            lines.append(f"{split}: {sum(by_class.values()):,} jets ({shares})")
        return "\n".join(lines)

    @property
    def selection(self) -> str:
        """Expression of branches that its jets fulfil, that of the schema among it; "" if all were taken."""
        return self._builder.selection

    @property
    def variations(self) -> tuple[str, ...]:
        """Names of what was changed in the simulation of the jets; none for nominal ones, and for files of other origin."""
        contents = [content["settings"] for content in self.simulation.values() if content]
        return tuple(sorted({name for settings in contents for name in settings.get("variations", ())}))

    @property
    def path(self) -> Path:
        """Folder of the shards."""
        return Path(self._builder.data_path)

    @property
    def origin(self) -> str:
        """Where it lies, of what it was built and when, and whether that is still there, in words."""
        return f"Data set {self.path}, {integrity.origin(self.path)}"

    def scale(self, kind: str = "sigma") -> np.ndarray:
        """Unit of ε for each feature, float64 `(features,)`, from the training jets that have it.

        Args:
            kind: A name in `kerastag.catalogue.SCALES`.

        Raises:
            UserError: if there is no such kind.
        """
        return SCALES.build(kind, self)

    def count(self, split: str) -> int:
        """Number of jets of a split, or of "all".

        Raises:
            UserError: if the data set has no such split.
        """
        splits = list(self._builder.info.splits)
        if split == ALL_SPLITS:
            return sum(map(self.count, splits))
        if split not in splits:
            raise UserError(f"The data set in '{self.path}' has no split '{split}', only {', '.join(splits)} and {ALL_SPLITS}.")
        return sum(self.jets[split].values())

    def arrays(self, split: str) -> Jets:
        """A whole split in memory, decoded once; of "all" one split after the other.

        Raises:
            UserError: if the data set has no such split.
        """
        if split not in self._splits:
            self._splits[split] = self._decode(split)
        return self._splits[split]

    def fits_in_memory(self, split: str) -> bool:
        """Whether the split takes at most an eighth of the machine's memory, see `memory_limit`."""
        size = self.count(split) * (len(self.schema.features) + 16) * 4
        return size <= memory_limit()

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
        varied: np.ndarray | None = None,
        unlabelled: np.ndarray | None = None,
        replays: int = 1,
        share: Share = WHOLE,
    ) -> tf.data.Dataset:
        """Batches `(x, y, w)`, or `(x, y, w, spectators)`.

        Args:
            split: "train", "validation" or "test".
            batch_size: Jets in a batch, at most those of the split.
            shuffle: False gives one pass in stored order. True gives endless epochs of `steps(split, batch_size, …)` full
                batches, each epoch in an order of its own; the jets that do not fill a batch are left out of that epoch.
            seed: Seed of the order.
            first_epoch: Number of the first epoch, above 0 when a training is resumed.
            weights: "none"; "generator", those of the generator over their mean in the training split, negative ones too; or a
                binning of `KinematicWeights`.
            spectators: Whether to add a dictionary of the spectators.
            in_memory: Whether to decode the split once; None decides by `fits_in_memory`.
            varied: Features of the split under variations, `(variations, jets, features)`, of which each jet of a shuffled
                batch has one or its own; the split is then decoded once in any case.
            unlabelled: Features of further jets `(others, features)`. Behind those of a shuffled batch then come as many of
                them, drawn with replacement, with rows of zeros for labels and weights of 1; without spectators.
            replays: How often training uses a batch; a shuffled epoch then has as many fewer of them, the first ones.
            share: Of shuffled batches the part that one of several workers reads, in pieces of `batch_size / share.pieces`.

        Raises:
            UserError: if the data set has no such split or weights, or shards to stream that are too few or too small for the
                workers.
        """
        batch_size = min(batch_size, self.count(split))
        resident = varied is not None or self._is_resident(split, in_memory)
        of_jets = self._weights_of(weights)
        kept = self.arrays(split).spectators if resident and (spectators or weights == _GENERATOR) else {}
        if resident:
            epoch = self._resident(split, batch_size, kept, varied, share)
        else:
            epoch = self._streamed(split, batch_size, share if shuffle else WHOLE)
        if shuffle:
            numbers = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
            # All workers end an epoch together.
            steps = max(1, self.steps(split, batch_size, share, resident) // replays)
            dataset = numbers.flat_map(
                lambda number: epoch(tf.stack([tf.cast(seed, tf.int64), number])).take(steps * share.devices)
            )
        else:
            dataset = epoch(None)
        finish = functools.partial(self._finish, weights=of_jets, spectators=spectators)
        dataset = dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        if shuffle and unlabelled is not None:
            others = epochs.drawn(unlabelled, batch_size, seed, first_epoch * steps, share)
            dataset = tf.data.Dataset.zip(dataset, others).map(
                _with_others, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
            )
        return dataset.prefetch(tf.data.AUTOTUNE)

    def steps(self, split: str, batch_size: int, share: Share = WHOLE, in_memory: bool | None = None) -> int:
        """Number of batches in a shuffled epoch.

        Where several workers stream, it is that of a worker that has the smallest shards, in every epoch. Arguments and errors
        as of `batches`.
        """
        batch_size = min(batch_size, self.count(split))
        if share.workers == 1 or self._is_resident(split, in_memory):
            return self.count(split) // batch_size
        steps = epochs.steps_of_all(self._jets_of_shards(split, share.workers), batch_size, share)
        if not steps:
            raise UserError(
                f"The {split} split in '{self.path}' does not fit in memory, and its shards have too few jets for batches of "
                f"{batch_size}, so one of {share.workers} workers cannot fill its part; take smaller batches or fewer workers."
            )
        return steps

    def _is_resident(self, split: str, in_memory: bool | None) -> bool:
        return self.fits_in_memory(split) if in_memory is None else in_memory

    def _resident(
        self, split: str, batch_size: int, kept: dict[str, np.ndarray], varied: np.ndarray | None, share: Share
    ) -> epochs.Epoch:
        jets = self.arrays(split)
        columns = {"features": jets.features, "label": jets.label, **kept}
        return epochs.in_memory(columns, batch_size, varied, share)

    def _streamed(self, split: str, batch_size: int, share: Share) -> epochs.Epoch:
        return epochs.streamed(self._shards(split), self._builder.info.features.deserialize_example, batch_size, share)

    def _shards(self, split: str) -> list[str]:
        return [str(path) for path in self._builder.info.splits[split].filepaths]

    def _jets_of_shards(self, split: str, workers: int) -> list[int]:
        """Number of jets in each shard, of which there must be one for each worker; read once, from the labels alone."""
        if split not in self._shard_jets:
            self._shard_jets[split] = epochs.jets_of_files(self._shards(split), self._decode_labels)
        jets = self._shard_jets[split]
        if len(jets) < workers:
            raise UserError(
                f"The {split} split in '{self.path}' has {len(jets)} shards, too few for {workers} workers, and does not fit "
                "in memory; take fewer workers."
            )
        return jets

    @functools.cached_property
    def _decode_labels(self) -> Callable[[tf.Tensor], epochs.Columns]:
        features = self._builder.info.features
        return tfds.decode.PartialDecoding({"label": True}).extract_features(features).deserialize_example

    def _finish(self, columns: epochs.Columns, weights: _WeightsOfBatch, spectators: bool) -> tuple:
        """A batch from the columns of its jets."""
        w = weights(columns)
        x, label = columns.pop("features"), columns.pop("label")
        y = tf.one_hot(label, len(self.schema.classes))
        return (x, y, w, columns) if spectators else (x, y, w)

    def _weights_of(self, kind: str) -> _WeightsOfBatch:
        """What gives the jets of a batch their weights, float32 `(jets,)`."""
        if kind == "none":
            return lambda columns: tf.ones_like(columns["label"], tf.float32)
        if kind == _GENERATOR:
            mean = self._mean_generator_weight
            return lambda columns: tf.cast(tf.cast(columns[WEIGHT], tf.float64) / mean, tf.float32)
        kinematic = self._kinematic_weights(kind)
        return lambda columns: kinematic(columns["features"], columns["label"])

    @functools.cached_property
    def _mean_generator_weight(self) -> float:
        if WEIGHT not in {one.name for one in self.schema.spectators}:
            raise UserError(f"The schema {self.schema.name} has no spectator '{WEIGHT}'; leave --weights out.")
        decoded = [self.arrays("train").spectators] if self.fits_in_memory("train") else self._readable_blocks("train")
        mean = sum(part[WEIGHT].astype(np.float64).sum() for part in decoded) / self.count("train")
        if not 0 < mean < np.inf:
            raise UserError(f"The weights of the generator have a mean of {mean:g}; training needs a finite one above 0.")
        return mean

    def _kinematic_weights(self, binning: str) -> KinematicWeights:
        if binning not in self._weights:
            weights = KinematicWeights(self.schema, binning)
            for block in self._blocks("train").as_numpy_iterator():
                weights.update(block["features"], block["label"])
            weights.normalise()
            self._weights[binning] = weights
        return self._weights[binning]

    def _blocks(self, split: str) -> tf.data.Dataset:
        """Blocks in stored order."""
        config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
        return self._builder.as_dataset(split=split, read_config=config, shuffle_files=False)

    def _readable_blocks(self, split: str) -> Iterator[dict[str, np.ndarray]]:
        try:
            yield from self._blocks(split).prefetch(tf.data.AUTOTUNE).as_numpy_iterator()
        except tf.errors.OpError as error:
            reason = str(error.message).partition("\n")[0]
            raise UserError(
                f"The {split} split in '{self.path}' is damaged: {reason}; delete it, and it is built anew."
            ) from error

    def _decode(self, split: str) -> Jets:
        if split == ALL_SPLITS:
            return joined([self.arrays(name) for name in self._builder.info.splits])
        jets = self.count(split)
        columns: dict[str, np.ndarray] = {}
        first = 0
        for block in self._readable_blocks(split):
            if first + len(block["label"]) > jets:
                break
            for name, values in block.items():
                if name not in columns:
                    columns[name] = np.empty((jets, *values.shape[1:]), values.dtype)
                columns[name][first : first + len(values)] = values
            first += len(block["label"])
        if first != jets:
            raise UserError(
                f"The {split} split in '{self.path}' has {first:,} jets or other ones, not {jets:,}; build it anew."
            )
        return Jets(columns.pop("features"), columns.pop("label"), columns, len(self.schema.classes))


def _with_others(batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor], others: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A batch `(x, y, w)` with jets behind it that have no label."""
    x, y, w = batch
    none, ones = tf.zeros((len(others), y.shape[1]), y.dtype), tf.ones((len(others),), w.dtype)
    return tf.concat([x, others], axis=0), tf.concat([y, none], axis=0), tf.concat([w, ones], axis=0)


def prepare(
    schema: str | Schema,
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    variation: str = "",
    selection: str = "",
    strict: bool = False,
    kept: Sequence[Spectator] = (),
    beam: str = "",
    build: bool = True,
) -> JetDataset:
    """Open a data set; build it first if it does not exist.

    Args:
        schema: Name of a built-in schema, such as "jet_flavor", or one's own, which `kerastag.schema.read` reads.
        data_dir: Folder where TFDS keeps data sets; None for its default.
        manual_dir: Folder of the files to build from; an existing data set must be made of the same ones. None takes the
            sample of the package, for the schemas that can read it.
        variation: Name of a variation whose file lies in `manual_dir`, made by `kerastag simulate`; "" for all files there.
        selection: Expression of branches that a jet must fulfil, such as "jet_pt > 30 and abs(jet_eta) < 2.5".
        strict: Whether a data set is refused if values look wrong, such as one that stands for "absent" unknown to the schema.
        kept: What is kept with each jet beside the spectators of the schema, such as stored scores; the data set has a folder
            and a fingerprint of its own.
        beam: Options of Apache Beam as `tfds build --beam_pipeline_options` takes them, which then builds: the same records, in
            shards that may end elsewhere; "" for a build in this process.
        build: Whether it may be built, which several processes at once should not do.

    Raises:
        UserError: if there is no such schema, the files cannot be read, the existing data set is made of others, or there is
            none and it may not be built.
    """
    from tfds_jets.configs import config_of
    from tfds_jets.tfds_jets_dataset_builder import Builder
    from tfds_jets.workers import pipeline_options

    known = _known(schema)
    for name, folder in (("manual-dir", manual_dir), ("data-dir", data_dir)):
        if folder == "":
            raise UserError(f"The name of the folder for --{name} is empty; give one, or leave it out.")
    if manual_dir is not None and not Path(manual_dir).expanduser().is_dir():
        wrong = "is a file, not a folder" if Path(manual_dir).expanduser().exists() else "does not exist"
        raise UserError(f"The folder '{manual_dir}' (--manual-dir) {wrong}.")
    config = config_of(known, variation=variation, selection=selection, kept=tuple(kept))
    builder = Builder(config=config, data_dir=data_dir and Path(data_dir).expanduser())
    builder.strict = strict
    if not build and not Path(builder.data_path).exists():
        raise UserError(
            f"There is no data set in '{builder.data_path}'; several workers do not build one, so call any command, such as "
            "kerastag threat_model, once with the same options of data before."
        )
    directory = manual_dir and Path(manual_dir).expanduser()
    options = pipeline_options(beam) if beam else None
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=directory, beam_options=options))
    try:
        return JetDataset(builder)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The metadata in '{builder.data_path}' are damaged: {error}; delete it, and it is built anew."
        ) from error


def _known(schema: str | Schema) -> Schema:
    """A schema that has, or may have, a data set.

    Raises:
        UserError: if there is none of that name, one's own has the name of another that is built in, or means nothing.
    """
    if isinstance(schema, str):
        return schemas.with_data(schema)
    is_built_in = schema.name in schemas.ALL or schema.name in schemas.EXAMPLES
    if is_built_in and schemas.get(schema.name) != schema:
        raise UserError(f"The name '{schema.name}' is that of another schema, which is built in; give yours a name of its own.")
    toml.check(schema)
    return schema
