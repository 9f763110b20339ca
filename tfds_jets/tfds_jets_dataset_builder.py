"""TensorFlow Datasets (TFDS) builder: ROOT files of jets → shards of blocks of jets, with statistics and a fingerprint.

`tfds build tfds_jets --config deepntuple --manual_dir DIR`
"""

import dataclasses
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging
from tqdm.auto import tqdm
from typing_extensions import override

from kerastag import outputs
from kerastag import schema as schemas
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Schema, discovery
from kerastag.statistics import Moments, Statistics, quartiles
from tfds_jets import checks, integrity, rare_slots, reading, splitting
from tfds_jets.addresses import LIST
from tfds_jets.configs import CONFIGS, JetsConfig
from tfds_jets.copies import Copies
from tfds_jets.reading import SAMPLE_FILE
from tfds_jets.sources import SUFFIXES
from tfds_jets.spool import Spool

# Schemas whose branches the sample that comes with the package has.
SAMPLE_SCHEMAS = (schemas.JET_FLAVOR, schemas.DEEPCSV)

# Training jets for medians and quartiles, enough for 0.3 % of an interquartile range, and for the search of special values.
QUARTILE_JETS = 200_000

# How names of the folder begin in which jets wait, below that of the data set.
_SPOOL = "spool_"

Examples = Iterator[tuple[str, dict[str, np.ndarray]]]


class Builder(tfds.core.GeneratorBasedBuilder):
    """Jets with their flavour, in blocks: `features` `(jets, features)`, `label` `(jets,)` and spectators `(jets,)`.

    Attributes:
        strict: Whether a build is refused if values look as if they meant something else than the schema says.
    """

    strict = False
    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {
        "1.0.0": "Initial release: blocks of jets, statistics and fingerprint in the metadata.",
        "1.1.0": "Checksums of all files; copies of jets stay in one split; flags must be 0 or 1.",
    }
    # `tfds build tfds_jets` makes every config in this list, so it holds the default alone; `builder_configs` has all.
    BUILDER_CONFIGS = [CONFIGS[schemas.JET_FLAVOR.name]]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put the files of jets, at any depth, or their addresses in {LIST}, into a folder and name it with --manual_dir."
    )

    @tfds.core.utils.classproperty
    @classmethod
    def builder_configs(cls) -> dict[str, JetsConfig]:
        """Configurations by name, one for each schema."""
        return CONFIGS

    @override
    def __init__(self, **options: Any):
        if isinstance(config := options.get("config"), str) and config not in CONFIGS:
            raise UserError(f"There is no data set config '{config}'; choose one of {', '.join(CONFIGS)}.")
        try:
            super().__init__(**options)
        except UserError:
            raise
        except Exception as error:  # TFDS reads here what an existing data set says of itself, in several formats
            folder = options.get("data_dir") or tfds.core.constants.DATA_DIR
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            name = getattr(config, "name", config)
            raise UserError(
                f"The data set of config '{name}' in '{folder}' is damaged: {reason}; delete it, and it is built anew."
            ) from error

    @property
    def schema(self) -> Schema:
        """Schema of this configuration, with what is kept beside among its spectators."""
        schema, kept = self.builder_config.schema, self.builder_config.kept
        return dataclasses.replace(schema, spectators=(*schema.spectators, *kept)) if kept else schema

    @property
    def selection(self) -> str:
        """Expression of branches that a jet must fulfil, that of the schema and of the configuration; "" keeps all."""
        both = [part for part in (self.schema.selection, self.builder_config.selection) if part]
        return " and ".join(f"({part})" for part in both) if len(both) > 1 else "".join(both)

    @override
    def _info(self) -> tfds.core.DatasetInfo:
        per_jet = {"source": _tensor(np.int64), "entry": _tensor(np.int64)}
        per_jet |= {one.name: _tensor(np.float64 if one.real else np.int64) for one in self.schema.spectators}
        columns = {"features": _tensor(np.float32, len(self.schema.features)), "label": _tensor(np.int64), **per_jet}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(columns), metadata=tfds.core.MetadataDict())

    @override
    def download_and_prepare(
        self,
        *,
        download_dir: Path | str | None = None,
        download_config: tfds.download.DownloadConfig | None = None,
        file_format: Any = None,
        permissions: Any = None,
    ) -> None:
        """Build the data set, or reuse one of the same files, schema and selection.

        Args:
            download_dir: See `tfds.core.DatasetBuilder`.
            download_config: The same; its `manual_dir` is the folder of ROOT files.
            file_format: See `tfds.core.DatasetBuilder`.
            permissions: See `tfds.core.DatasetBuilder`.

        Raises:
            UserError: if a data set of other files, schema or selection exists.
        """
        directory = download_config.manual_dir if download_config else None
        self._manual_dir = Path(directory) if directory else None
        if self.data_path.exists() and not _is_to_be_replaced(download_config):
            integrity.check(Path(self.data_path))
            self._check_facts()
            if self.strict:
                checks.refuse_nonsense(self.info.metadata["suspicions"])
            if self._manual_dir and self._manual_dir.is_dir():
                self.check_fingerprint(self._manual_dir)
            return
        options = {"download_dir": download_dir, "download_config": download_config, "file_format": file_format}
        options |= {} if permissions is None else {"permissions": permissions}
        folder = Path(self.data_path.parent)
        folder.mkdir(parents=True, exist_ok=True)
        with outputs.locked(folder, "wait for it, or choose another data directory"):
            _remove_leftovers(folder)
            with tempfile.TemporaryDirectory(prefix=_SPOOL, dir=folder) as spool:
                self._spool_dir = Path(spool)
                try:
                    super().download_and_prepare(**options)
                except (OSError, tf.errors.OpError) as error:
                    reason = outputs.sentence(error) if isinstance(error, OSError) else str(error.message)
                    raise UserError(f"The data set cannot be built in '{folder}': {reason}.") from error
            integrity.seal(Path(self.data_path), self._sources)

    def _check_facts(self) -> None:
        """Check that the existing data set was made with this schema and selection.

        Raises:
            UserError: if it was not.
        """
        try:
            stored, selection = Schema.from_dict(self.info.metadata["schema"]), self.info.metadata["selection"]
        except (UserError, KeyError, TypeError) as error:
            raise UserError(
                f"The metadata in '{self.data_path}' are damaged: {error}; delete it, and it is built anew."
            ) from error
        if stored.facts_of_data() != self.schema.facts_of_data() or selection != self.selection:
            raise UserError(
                f"The data set in '{self.data_path}' was made with another schema or selection; choose another data directory "
                "(--data-dir), another name in the schema, or delete that one."
            )

    def check_fingerprint(self, directory: Path) -> None:
        """Check that the existing data set was made of the files below `directory`.

        Raises:
            UserError: if it was not, or with another schema or selection.
        """
        if self.info.metadata["fingerprint"] != self.fingerprint(self._found(directory)):
            raise UserError(
                f"The data set in '{self.data_path}' was made of other files than those below '{directory}' "
                "or with another schema; choose another data directory, or delete that one."
            )

    def fingerprint(self, files: list[reading.RootFile]) -> str:
        """SHA-256 over the contents of the input files, the schema, the selection and the builder's version."""
        content = {
            "files": [file.sha256 for file in files],
            "schema": self.schema.facts_of_data(),
            "selection": self.selection,
            "version": str(self.VERSION),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @override
    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Examples]:
        """Read the files once: clean, count, split, and spool each split to disk."""
        directory, files = self._files(dl_manager)
        cleaning = reading.Cleaning.none(self.schema)
        self._sources = [] if directory == SAMPLE_FILE else [file.path for file in files]
        spools = {name: Spool(self._spool_dir / name) for name in splitting.FRACTIONS}
        moments = {name: Moments(self.schema.defaults) for name in spools}
        counts = np.zeros((len(spools), len(self.schema.classes)), np.int64)
        copies = Copies(self.schema)
        progress = tqdm(desc="Reading ROOT files", unit=" jets", unit_scale=True, leave=False, disable=None)
        for jets in reading.read(files, self.schema, self.selection, cleaning):
            self._distribute(jets, spools, moments, counts, copies)
            progress.update(len(jets))
            cleaning.bad_weights += checks.bad_weights(jets)
            cleaning.zero_weights += int(np.count_nonzero(jets.weights == 0))
        progress.close()
        cleaning.copies = copies.number
        checks.check_counts(self.schema, counts, cleaning, directory, self.selection)
        if not counts[0].sum() and not self.builder_config.variation:
            raise UserError(f"The {counts.sum()} jets in '{directory}' are too few to train on.")
        typical = next(name for name, spool in spools.items() if spool.jets)
        sample = spools[typical].sample(QUARTILE_JETS)
        median, iqr = quartiles(sample, self.schema.defaults)
        of_split = moments[typical]
        if not self.builder_config.variation:
            checks.refuse_constants(self.schema, of_split)
        statistics = Statistics(of_split.mean, of_split.sigma, median, iqr, of_split.default_fraction)
        statistics = rare_slots.with_units(statistics, self.schema)
        self.info.metadata.update(self._metadata(files, cleaning, statistics, counts))
        self.info.metadata["values"] = self._values(sample)
        found = checks.look_for_nonsense(self.schema, sample, cleaning, counts.sum(), self.strict)
        self.info.metadata["suspicions"] = found
        return {name: self._generate_examples(spool) for name, spool in spools.items() if spool.jets}

    def _files(self, dl_manager: tfds.download.DownloadManager) -> tuple[Path, list[reading.RootFile]]:
        """The folder of ROOT files and its content: the user's folder, that of TFDS if it has any files, else the sample.

        Raises:
            UserError: if there are no files.
        """
        directory = self._manual_dir or _default_manual_dir(dl_manager)
        if directory:
            return directory, self._found(directory)
        if self.builder_config.schema in SAMPLE_SCHEMAS:
            return SAMPLE_FILE, [reading.RootFile.of(SAMPLE_FILE)]
        raise UserError(
            f"No files were given for config '{self.builder_config.schema.name}'; add --manual_dir DIR, "
            "a folder that holds them (train.py: --manual-dir)."
        )

    def _found(self, directory: Path) -> list[reading.RootFile]:
        """The files below a folder; of a variation its own.

        Raises:
            UserError: if there are none, or the file of the variation is of another one.
        """
        variation = self.builder_config.variation
        if not variation:
            files = reading.find_files(directory)
            checks.refuse_versions(files)
            return files
        path = directory / f"{variation}.root"
        content = reading.simulation_of(path) or {"settings": {}}
        if "+".join(content["settings"].get("variations", ())) != variation:
            raise UserError(f"'{path}' is no file of the variation '{variation}'.")
        return [reading.RootFile.of(path)]

    def _values(self, features: np.ndarray) -> list[dict[str, Any]]:
        """Special values and tabulated features of float32 `(jets, features)`, as plain JSON; says which the schema knows."""
        findings = discovery.search(features, self.schema)
        if known := discovery.summary(findings, self.schema):
            logging.info("%s", known)
        for sentence in discovery.sentences(findings, self.schema):
            logging.warning("%s", sentence)
        return discovery.to_json(findings)

    @override
    def _generate_examples(self, spool: Spool) -> Examples:
        """Yield a key and a block of jets."""
        yield from spool.blocks()

    def _distribute(
        self, jets: Jets, spools: dict[str, Spool], moments: dict[str, Moments], counts: np.ndarray, copies: Copies
    ) -> None:
        """Mix a chunk and append its jets to the spools of their splits."""
        if not len(jets):
            return
        seed = [int(jets.spectators["source"][0]), int(jets.spectators["entry"][0])]
        jets = jets.take(np.random.default_rng(seed).permutation(len(jets)))
        split = copies.place(jets.features, splitting.split_of(jets.spectators))
        for number, (name, spool) in enumerate(spools.items()):
            in_split = jets.take(split == number)
            spool.append(in_split)
            counts[number] += np.bincount(in_split.label, minlength=counts.shape[1])
            moments[name].update(in_split.features)

    def _metadata(
        self, files: list[reading.RootFile], cleaning: reading.Cleaning, statistics: Statistics, counts: np.ndarray
    ) -> dict[str, Any]:
        """Description of the data set that is stored with it, as plain JSON."""
        not_finite = _nonzero(self.schema.names, cleaning.not_finite)
        out_of_range = _nonzero(self.schema.names, cleaning.out_of_range)
        logging.info("Set to default, not finite: %s; outside the valid range: %s.", not_finite, out_of_range)
        checks.warn_of_cleaning(self.schema, cleaning)
        return {
            "schema": self.schema.to_dict(),
            "selection": self.selection,
            "fingerprint": self.fingerprint(files),
            "sources": {str(file.source): file.sha256 for file in files},
            "simulation": {str(file.source): reading.simulation_of(file.path) for file in files},
            "jets": {
                split: dict(zip(self.schema.class_names, row.tolist(), strict=True))
                for split, row in zip(splitting.FRACTIONS, counts, strict=True)
            },
            "statistics": statistics.to_dict(),
            "cleaning": {
                "read": cleaning.read,
                "not_selected": cleaning.not_selected,
                "unknown_flavour": cleaning.unknown_flavour,
                "not_finite": not_finite,
                "out_of_range": out_of_range,
                "copies": cleaning.copies,
                "bad_weights": cleaning.bad_weights,
                "zero_weights": cleaning.zero_weights,
                "empty_files": cleaning.empty_files,
            },
        }


def _is_to_be_replaced(download_config: tfds.download.DownloadConfig | None) -> bool:
    """Whether an existing data set is asked to be built anew, as `tfds build --overwrite` does."""
    mode = download_config.download_mode if download_config else None
    return mode is not None and mode.overwrite_dataset


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed build has left."""
    for pattern in (f"{_SPOOL}*", "incomplete.*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def _default_manual_dir(dl_manager: tfds.download.DownloadManager) -> Path | None:
    """The folder of TFDS for manual downloads, if it exists and holds files of jets."""
    try:
        directory = Path(dl_manager.manual_dir)
    except AssertionError:
        return None
    return directory if any(path.suffix in SUFFIXES or path.name == LIST for path in directory.rglob("*")) else None


def _tensor(dtype: type, *width: int) -> tfds.features.Tensor:
    """Column of a block: any number of jets, stored as raw bytes, which makes blocks fast."""
    return tfds.features.Tensor(shape=(None, *width), dtype=dtype, encoding=tfds.features.Encoding.BYTES)


def _nonzero(names: tuple[str, ...], counts: np.ndarray) -> dict[str, int]:
    """Counts above 0 by name."""
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


def _print_user_errors_plainly() -> None:
    """Let the `tfds` command end in one sentence and with 2 where a user's mistake would give a traceback."""
    default_hook = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, UserError):
            print(f"error: {error}", file=sys.stderr, flush=True)
            os._exit(2)  # a hook has no other way to say so
        else:
            default_hook(kind, error, traceback)

    sys.excepthook = hook


if Path(sys.argv[0]).name == "tfds":
    _print_user_errors_plainly()
