import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kerastag import data
from kerastag.errors import UserError
from kerastag.schema import JET_FLAVOR
from tests.conftest import jet_lines, needs_ntuple, write_lines
from tfds_jets import integrity, tfds_jets_dataset_builder
from tfds_jets.conversion import convert
from tfds_jets.splitting import FRACTIONS, split_of, straying_fractions
from tfds_jets.tfds_jets_dataset_builder import Builder


def folder_of_jets(folder: Path, jets: int, seed: int = 0, files: int = 1) -> Path:
    folder.mkdir(parents=True)
    convert(write_lines(jet_lines(jets, seed), folder / "jets.gz"), folder / "root", files=files)
    return folder / "root"


def with_events(folder: Path) -> Path:
    """The same jets with event ids 0, 1, 2, …, so that their splits do not depend on the bytes of the file."""
    import awkward as ak
    import uproot

    (path,) = folder.iterdir()
    jets = uproot.open(path)["jets"].arrays()
    flat = {name: jets[name] for name in jets.fields}
    tracks = {name: flat.pop(name) for name in list(flat) if flat[name].ndim > 1}
    del flat["ntrack"]
    flat["event"] = ak.Array(np.arange(len(jets)))
    content = flat | {"track": ak.zip({name.removeprefix("track_"): values for name, values in tracks.items()})}
    with uproot.recreate(path) as file:
        file.mktree("jets", {name: values.type.content for name, values in content.items()})
        file["jets"].extend(content)
    return folder


class BuilderTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS' own checks, on ROOT files made for them."""

    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["jet_flavor"]
    SPLITS = {"train": 2, "validation": 1, "test": 1}
    SKIP_CHECKSUMS = True

    @classmethod
    def setUpClass(cls):
        import tempfile

        cls._scratch = tempfile.TemporaryDirectory()
        cls.EXAMPLE_DIR = folder_of_jets(Path(cls._scratch.name) / "jets", 1600)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls._scratch.cleanup()


def test_blocks_hold_what_the_files_hold(dataset, jet_files):
    import uproot

    pt = np.concatenate([uproot.open(path)["jets/jet_pt"].array(library="np") for path in jet_files.iterdir()])
    built = np.concatenate([dataset.arrays(split).features[:, 0] for split in FRACTIONS])
    np.testing.assert_array_equal(np.sort(pt), np.sort(built))
    assert sum(dataset.count(split) for split in FRACTIONS) == 3000


def test_tracks_are_sorted_by_signed_significance(dataset):
    x = dataset.arrays("train").features
    d0, variance = (x[:, [JET_FLAVOR.index(f"track_{slot}_{name}") for slot in range(6)]] for name in ("D0", "D0D0"))
    absent = variance == 0
    significance = np.where(absent, -np.inf, d0 / np.sqrt(np.where(absent, 1, variance)))
    assert (significance[:, :-1] >= significance[:, 1:]).all()
    assert absent.any()
    assert (d0 < 0)[~absent].any()


def test_shards_do_not_depend_on_folders_or_names(tmp_path):
    first = folder_of_jets(tmp_path / "a", 300, files=2)
    second = tmp_path / "somewhere" / "else"
    second.mkdir(parents=True)
    for number, path in enumerate(sorted(first.iterdir(), reverse=True)):
        shutil.copy(path, second / f"{number}.root")
    shards = []
    for directory, source in (("one", first), ("two", second)):
        built = data.prepare("jet_flavor", data_dir=tmp_path / directory, manual_dir=source)
        shards.append({path.name: path.read_bytes() for path in built.path.iterdir() if "tfrecord" in path.name})
    assert shards[0] == shards[1]


def test_existing_data_set_of_other_files_is_refused(tmp_path):
    first, second = folder_of_jets(tmp_path / "a", 100), folder_of_jets(tmp_path / "b", 100, seed=1)
    data.prepare("jet_flavor", data_dir=tmp_path / "tfds", manual_dir=first)
    assert data.prepare("jet_flavor", data_dir=tmp_path / "tfds", manual_dir=first).count("train") > 0
    assert data.prepare("jet_flavor", data_dir=tmp_path / "tfds").count("train") > 0
    with pytest.raises(UserError, match="made of other files"):
        data.prepare("jet_flavor", data_dir=tmp_path / "tfds", manual_dir=second)


def test_without_files_one_sentence_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="the folder that holds them with --manual-dir"):
        data.prepare("deepntuple", data_dir=tmp_path)


@pytest.mark.parametrize("option", ("data_dir", "manual_dir"))
def test_a_folder_without_a_name_is_not_the_default_one(option):
    with pytest.raises(UserError, match=f"The name of the folder for --{option.replace('_', '-')} is empty"):
        data.prepare("jet_flavor", **{option: ""})


def tfds_build(*options) -> subprocess.CompletedProcess:
    """The `tfds` command, from the top of the repository."""
    command = [Path(sys.executable).parent / "tfds", "build", "tfds_jets", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])


def test_tfds_command_ends_in_that_sentence(tmp_path):
    result = tfds_build("--config", "deepntuple", "--data_dir", tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: No files were given for config 'deepntuple'")


@pytest.mark.slow
def test_tfds_command_builds_the_default_config_from_the_sample(tmp_path):
    result = tfds_build("--data_dir", tmp_path)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (tmp_path / "tfds_jets").glob("[!.]*")] == ["jet_flavor"]
    built = data.prepare("jet_flavor", data_dir=tmp_path)
    counts = np.array([list(flavours.values()) for flavours in built.jets.values()])
    assert counts.sum() == 100_000
    assert not any(built.cleaning[name] for name in ("not_selected", "unknown_flavour", "out_of_range"))
    assert straying_fractions(counts) == []
    events = [set(built.arrays(split).spectators["event"].tolist()) for split in FRACTIONS]
    assert not events[0] & events[1] and not events[0] & events[2] and not events[1] & events[2]


def test_without_a_folder_deepcsv_takes_the_sample_and_with_one_the_folder(tmp_path, jet_files, monkeypatch):
    """A short sample stands in for the one that comes along."""
    import uproot

    with uproot.open(tfds_jets_dataset_builder.SAMPLE_FILE) as file:
        jets = file["jets"].arrays(file["jets"].keys(filter_name=["Jet_*", "event"]), entry_stop=500)
    small = tmp_path / "small.root"
    with uproot.recreate(small) as file:
        file.mktree("jets", {name: jets[name].type.content for name in jets.fields})
        file["jets"].extend({name: jets[name] for name in jets.fields})
    monkeypatch.setattr(tfds_jets_dataset_builder, "SAMPLE_FILE", small)
    built = data.prepare("deepcsv", data_dir=tmp_path)
    assert len(built.schema.features) == 66
    assert built.cleaning["read"] == 500
    with pytest.raises(UserError, match="no branch"):
        data.prepare("deepcsv", data_dir=tmp_path / "other", manual_dir=jet_files)


def test_a_selection_has_a_data_set_of_its_own(tmp_path, jet_files):
    with pytest.raises(UserError, match=r"None of the 3000 jets .* 3000 do not pass the selection 'jet_pt > 1e6'"):
        data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=jet_files, selection="jet_pt > 1e6")
    central = data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=jet_files, selection="abs(jet_eta) < 1 and jet_pt > 30")
    everything = data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=jet_files)
    pt, eta = (everything.arrays("train").features[:, everything.schema.index(name)] for name in ("jet_pt", "jet_eta"))
    assert central.count("train") == np.count_nonzero((abs(eta) < 1) & (pt > 30))


def test_empty_split_is_left_out_with_a_sentence(tmp_path, caplog):
    from absl import logging as absl_logging

    absl_logging.use_python_logging(quiet=True)
    with caplog.at_level(logging.WARNING, logger="absl"):
        built = data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=with_events(folder_of_jets(tmp_path / "a", 6)))
    empty = [split for split in FRACTIONS if not sum(built.jets[split].values())]
    assert empty
    assert f"Split '{empty[0]}' is left out" in caplog.text
    with pytest.raises(UserError, match=f"no split '{empty[0]}'"):
        built.count(empty[0])


def test_statistics_equal_numpy_over_training_jets(dataset):
    x = dataset.arrays("train").features.astype(np.float64)
    present = dataset.arrays("train").features != dataset.schema.defaults
    for column, name in enumerate(dataset.schema.names):
        values = x[present[:, column], column]
        assert dataset.statistics.mean[column] == pytest.approx(values.mean(), rel=1e-9, abs=1e-12 * abs(values).max()), name
        assert dataset.statistics.sigma[column] == pytest.approx(values.std(), rel=1e-9), name
        assert dataset.statistics.median[column] == pytest.approx(np.median(values), rel=1e-9, abs=1e-30), name
    np.testing.assert_allclose(dataset.statistics.default_fraction, 1 - present.mean(axis=0), atol=1e-12)


def test_counts_by_flavour_and_cleaning_are_stored(dataset):
    for split in FRACTIONS:
        counted = np.bincount(dataset.arrays(split).label, minlength=3)
        assert list(dataset.jets[split].values()) == counted.tolist()
    assert dataset.cleaning["read"] == 3000
    assert dataset.cleaning["not_finite"]["delta_r_vertex"] > 1000


def test_splits_have_their_shares_and_keep_events_together():
    event = np.repeat(np.arange(20_000), 3)
    spectators = {"event": event, "source": np.zeros_like(event), "entry": np.arange(len(event))}
    split = split_of(spectators)
    assert (split.reshape(-1, 3) == split[::3, None]).all()
    shares = np.bincount(split) / len(split)
    np.testing.assert_allclose(shares, list(FRACTIONS.values()), atol=4 * np.sqrt(0.25 / 20_000))


def test_jets_without_event_are_split_by_source_and_entry():
    entry = np.arange(20_000)
    splits = [split_of({"event": np.full_like(entry, -1), "source": np.full_like(entry, s), "entry": entry}) for s in (1, 2)]
    assert 0.5 < (splits[0] == splits[1]).mean() < 0.65  # independent: 0.72² + 0.08² + 0.20² = 0.565


def test_straying_fractions_are_found():
    assert straying_fractions(np.array([[720, 720], [80, 80], [200, 200]])) == []
    assert (1, 0) in straying_fractions(np.array([[720, 720], [130, 30], [200, 200]]))


@needs_ntuple
def test_ntuple_events_do_not_straddle_splits(ntuple):
    events = [set(ntuple.arrays(split).spectators["event"].tolist()) for split in FRACTIONS]
    assert not events[0] & events[1] and not events[0] & events[2] and not events[1] & events[2]
    assert sum(map(len, events)) == 2929
    assert sum(ntuple.count(split) for split in FRACTIONS) == 7199


def test_special_values_that_the_schema_does_not_know_are_said(tmp_path, jet_files, caplog):
    from absl import logging as absl_logging

    bare = [replace(variable, special=(), tabulated=False) for variable in JET_FLAVOR.groups[2].variables]
    groups = (*JET_FLAVOR.groups[:2], replace(JET_FLAVOR.groups[2], variables=tuple(bare)))
    bare_schema = replace(JET_FLAVOR, name="bare", groups=groups)
    absl_logging.use_python_logging(quiet=True)
    with caplog.at_level(logging.WARNING, logger="absl"):
        built = data.prepare(bare_schema, data_dir=tmp_path, manual_dir=jet_files)
    said = [record.getMessage() for record in caplog.records if "does not know" in record.getMessage()]
    assert [sentence.partition(":")[0] for sentence in said] == [
        "track_*_vertex_displacement",
        "track_*_vertex_displacement_significance",
    ]
    assert {finding.value for finding in built.findings} == {0.0} and not any(finding.known for finding in built.findings)
    knowing = replace(JET_FLAVOR, name="bare")
    assert all(finding.known for finding in data.prepare(knowing, data_dir=tmp_path).findings)


def test_data_set_that_is_older_than_the_search_loads(tmp_path, jet_files):
    built = data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=jet_files)
    assert built.findings
    metadata = built.path / "metadata.json"
    content = json.loads(metadata.read_text())
    del content["values"]
    metadata.write_text(json.dumps(content))
    integrity.seal(built.path, [])
    assert data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=jet_files).findings == ()


@needs_ntuple
def test_schema_knows_all_of_the_ntuple(ntuple):
    assert {finding.feature for finding in ntuple.findings} == {f"track_{slot}_eta_error" for slot in range(8)}
    assert all(finding.known for finding in ntuple.findings)


def test_splits_are_those_of_the_published_generator():
    """SplitMix64 in whole numbers of Python, whose first output from 0 is published; a jet never changes its split."""

    def mix(value):
        value = (value + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    assert mix(0) == 0xE220A8397B1DCDAF
    number = np.arange(300)
    of_event = [np.searchsorted([0.72, 0.8], mix(event) / 2**64, side="right") for event in range(300)]
    spectators = {"event": number, "source": 0 * number, "entry": 0 * number}
    np.testing.assert_array_equal(split_of(spectators), of_event)
    of_entry = [np.searchsorted([0.72, 0.8], mix(5 ^ mix(entry)) / 2**64, side="right") for entry in range(300)]
    np.testing.assert_array_equal(split_of({"event": 0 * number - 1, "source": 0 * number + 5, "entry": number}), of_entry)
