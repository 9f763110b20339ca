"""TensorFlow Datasets (TFDS) builder: ROOT files of jets → shards of blocks of jets, with statistics and a fingerprint.

`tfds build tfds_jets --config deepntuple --manual_dir DIR`
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging
from typing_extensions import override

from kerastag import outputs
from kerastag import schema as schemas
from kerastag.errors import UserError
from kerastag.schema import Schema, discovery
from kerastag.statistics import Statistics, quartiles
from tfds_jets import checks, integrity, rare_slots, reading, splitting, workers
from tfds_jets.addresses import LIST
from tfds_jets.configs import CONFIGS, JetsConfig
from tfds_jets.preparation import QUARTILE_JETS, BadFilesError, Preparation, Summary
from tfds_jets.reading import SAMPLE_FILE
from tfds_jets.sources import SUFFIXES
from tfds_jets.units import Unit, units_of

# Schemas whose branches the sample that comes with the package has.
SAMPLE_SCHEMAS = (schemas.JET_FLAVOR, schemas.DEEPCSV)

# Folder in which the jets of units wait, beside those of the versions.
_UNITS = "spool_units"


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
        self._workers = _workers_of(download_config)
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
            self._spool_dir = folder / _UNITS
            with _spool(self._spool_dir):
                try:
                    super().download_and_prepare(**options)
                except (OSError, tf.errors.OpError, RuntimeError) as error:
                    if (reason := _refused(error)) is None:
                        raise
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
    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        """Read the files once: clean, count, split, and put the jets of each unit on disk."""
        directory, files = self._files(dl_manager)
        self._sources = [] if directory == SAMPLE_FILE else [file.path for file in files]
        units = units_of(files, self.schema)
        preparation = Preparation(self.schema, self.selection, str(self.version), self._spool_dir)
        preparation.begin(units)
        with workers.progress(preparation.done, len(units)):
            self._workers.each(preparation.read, units)
        preparation.refuse_bad_files(units)
        copies, jets = preparation.place(units)
        typical = int(np.argmax(jets > 0))
        share = QUARTILE_JETS / max(int(jets[typical]), 1)
        self._workers.each(functools.partial(preparation.summarise, split=typical, share=share), units)
        summary = preparation.merged(units)
        summary.cleaning.copies = copies.number
        self.info.metadata.update(self._metadata(directory, files, summary))
        return {
            name: self._generate_examples(preparation, units, number)
            for number, name in enumerate(splitting.FRACTIONS)
            if jets[number]
        }

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
            f"No files were given for config '{self.builder_config.schema.name}'; name the folder "
            "that holds them with --manual-dir (tfds build: --manual_dir)."
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
    def _generate_examples(self, preparation: Preparation, units: Sequence[Unit], split: int) -> Any:
        """A key and a block of jets each."""
        return self._workers.examples(functools.partial(preparation.blocks, split=split), units)

    def _metadata(self, directory: Path, files: list[reading.RootFile], summary: Summary) -> dict[str, Any]:
        """Description of the data set that is stored with it, as plain JSON.

        Raises:
            UserError: if there are too few jets, or they say nothing.
        """
        cleaning, counts = summary.cleaning, summary.counts
        checks.check_counts(self.schema, counts, cleaning, directory, self.selection)
        if not counts[0].sum() and not self.builder_config.variation:
            raise UserError(f"The {counts.sum()} jets in '{directory}' are too few to train on.")
        if not self.builder_config.variation:
            checks.refuse_constants(self.schema, summary.moments)
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
            "statistics": self._statistics(summary).to_dict(),
            "cleaning": cleaning.to_dict() | {"not_finite": not_finite, "out_of_range": out_of_range},
            "values": self._values(summary.sample),
            "suspicions": checks.look_for_nonsense(self.schema, summary.sample, cleaning, counts.sum(), self.strict),
        }

    def _statistics(self, summary: Summary) -> Statistics:
        """Location and scale of each feature, with a unit where it hardly varies."""
        moments = summary.moments
        median, iqr = quartiles(summary.sample, self.schema.defaults)
        statistics = Statistics(moments.mean, moments.sigma, median, iqr, moments.default_fraction)
        return rare_slots.with_units(statistics, self.schema)


def _is_to_be_replaced(download_config: tfds.download.DownloadConfig | None) -> bool:
    """Whether an existing data set is asked to be built anew, as `tfds build --overwrite` does."""
    mode = download_config.download_mode if download_config else None
    return mode is not None and mode.overwrite_dataset


def _workers_of(download_config: tfds.download.DownloadConfig | None) -> workers.Workers:
    """Beam where any of its options is given, as `tfds build --beam_pipeline_options` does; else this process."""
    options, runner = (getattr(download_config, name, None) for name in ("beam_options", "beam_runner"))
    return workers.InTurn() if options is None and runner is None else workers.OnBeam(options, runner)


def _refused(error: OSError | tf.errors.OpError | RuntimeError) -> str | None:
    """What the operating system refused; None if it was no such error."""
    if isinstance(error, tf.errors.OpError):
        return str(error.message)
    return outputs.sentence(error) if isinstance(error, OSError) else workers.refused(error)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed build has left, but for units, with which the next one goes on."""
    for pattern in ("spool_*", "incomplete.*"):
        for path in folder.glob(pattern):
            if path.name != _UNITS:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _spool(folder: Path) -> Iterator[None]:
    """Remove a folder of units once nobody goes on with them: all were read. After a kill or of bad files they stay."""
    try:
        yield
    except BadFilesError:
        raise
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder)


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
