"""A data set is made of units, each read by itself."""

import dataclasses
import json

import awkward as ak
import numpy as np
import pyarrow.parquet
import pytest
import tensorflow_datasets as tfds
import uproot

from kerastag import data
from kerastag.errors import UserError
from kerastag.jets import joined
from kerastag.schema import JET_FLAVOR
from kerastag.statistics import Moments
from tests.tfds_jets import test_sources
from tests.tfds_jets.test_builder import folder_of_jets
from tfds_jets import reading, splitting, units
from tfds_jets.preparation import Preparation
from tfds_jets.spool import BLOCK


def write_events(path):
    """Events of 2, 0, 1, 3 and 1 jets."""
    with uproot.recreate(path) as file:
        file.mktree("jets", {"pt": "var * float32", "flavour": "var * int32", "event": "i8", "phi": "f8"})
        pt = ak.unflatten(np.arange(7, dtype=np.float32), [2, 0, 1, 3, 1])
        flavour = ak.values_astype(pt * 0, np.int32)
        file["jets"].extend({"pt": pt, "flavour": flavour, "event": np.arange(5), "phi": np.zeros(5)})
    return path


def write_row_groups(path):
    test_sources.write_parquet(path)
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path), path, row_group_size=2)
    return path


@pytest.mark.parametrize("entries", (1, 2, 3))
@pytest.mark.parametrize(
    ("write", "name", "prefixes"),
    (
        (test_sources.write_root, "a.root", ()),
        (test_sources.write_parquet, "a.parquet", ()),
        (write_row_groups, "a.parquet", ()),
        (test_sources.write_hdf5, "a.h5", ("jets.", "tracks.")),
        (write_events, "a.root", None),
    ),
    ids=("tree", "parquet", "row groups", "hdf5", "events"),
)
def test_units_together_hold_the_jets_of_a_file(tmp_path, monkeypatch, entries, write, name, prefixes):
    file = reading.RootFile.of(write(tmp_path / name))
    schema = test_sources.schema_of(*(prefixes or ()))
    if prefixes is None:  # without tracks
        schema = dataclasses.replace(schema, groups=schema.groups[:1])
    whole = joined(list(reading.read([file], schema, "", reading.Cleaning.none(schema))))
    monkeypatch.setattr(units, "ENTRIES", entries)
    of_file = units.units_of([file], schema)
    assert [unit.start for unit in of_file] == list(range(0, of_file[-1].stop, entries))
    cleaning = reading.Cleaning.none(schema)
    places = [(unit.start, unit.stop, unit.first_jet) for unit in of_file]
    parts = joined([jets for place in places for jets in reading.read_entries(file, schema, "", cleaning, *place)])
    np.testing.assert_array_equal(parts.features, whole.features)
    for spectator in ("entry", "event"):
        np.testing.assert_array_equal(parts.spectators[spectator], whole.spectators[spectator])


def test_blocks_are_those_of_the_units_by_themselves(tmp_path, jet_files, monkeypatch):
    """Jets, splits and counts are those of whole files; each block has entries of one range alone."""
    whole = data.prepare("jet_flavor", data_dir=tmp_path / "whole", manual_dir=jet_files)
    monkeypatch.setattr(units, "ENTRIES", 200)
    parts = data.prepare("jet_flavor", data_dir=tmp_path / "parts", manual_dir=jet_files)
    assert parts.jets == whole.jets and parts.cleaning == whole.cleaning and parts.fingerprint == whole.fingerprint
    for split in splitting.FRACTIONS:
        one, other = whole.arrays(split), parts.arrays(split)
        order = [np.lexsort((jets.spectators["entry"], jets.spectators["source"])) for jets in (one, other)]
        np.testing.assert_array_equal(one.features[order[0]], other.features[order[1]])
    for name in ("mean", "sigma", "median", "iqr", "default_fraction"):
        np.testing.assert_allclose(getattr(parts.statistics, name), getattr(whole.statistics, name), rtol=1e-12, atol=1e-18)
    for block in tfds.as_numpy(tfds.builder_from_directory(parts.path).as_dataset(split="train")):
        assert len({*zip(block["source"], block["entry"] // 200, strict=True)}) == 1
        assert len(block["entry"]) <= BLOCK


def test_moments_merge_to_those_of_all():
    generator = np.random.default_rng(0)
    x = (1e4 + generator.normal(size=(1000, 3))).astype(np.float32)
    x[generator.random(x.shape) < 0.3] = -1
    defaults = np.full(3, -1, np.float32)
    merged = Moments(defaults)
    for part in (x[:0], x[:1], x[1:700], x[700:]):
        moments = Moments(defaults)
        moments.update(part)
        merged.merge(moments.arrays())
    present = np.ma.masked_equal(x.astype(np.float64), -1)
    np.testing.assert_allclose(merged.mean, present.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(merged.sigma, present.std(axis=0), rtol=1e-10)
    np.testing.assert_allclose(merged.default_fraction, present.mask.mean(axis=0), rtol=1e-14)


def test_jets_for_quartiles_are_a_share_of_each_split():
    entry = np.arange(100_000)
    spectators = {"source": np.full_like(entry, 7), "entry": entry}
    chosen, split = splitting.chosen(spectators, 0.3), splitting.split_of(spectators)
    for number in range(3):
        of_split = chosen[split == number]
        assert of_split.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / len(of_split)))
    assert splitting.chosen(spectators, 1.5).all()


@pytest.fixture
def with_a_bad_file(tmp_path):
    """A folder of three files, the second of which is cut off, and what it was."""
    root = folder_of_jets(tmp_path / "jets", 600, files=3)
    bad = sorted(root.iterdir())[1]
    content = bad.read_bytes()
    bad.write_bytes(content[: len(content) // 2])
    return root, bad, content


def test_a_bad_file_is_named_and_the_others_are_not_read_again(tmp_path, with_a_bad_file, monkeypatch):
    root, bad, content = with_a_bad_file
    with pytest.raises(UserError, match=rf"1 of 3 files .* what was read of the others is kept. The first: '{bad}' is trunc"):
        data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=root)
    bad.write_bytes(content)
    read, by_itself = [], reading.read_entries
    monkeypatch.setattr(reading, "read_entries", lambda file, *rest: read.append(file.path) or by_itself(file, *rest))
    dataset = data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=root)
    assert read == [bad]
    assert dataset.cleaning["read"] == 600
    assert not list((tmp_path / "data").rglob("spool_*"))
    read.clear()
    other = data.prepare("jet_flavor", data_dir=tmp_path / "other", manual_dir=root)
    assert len(read) == 3
    shards = [{path.name: path.read_bytes() for path in built.path.glob("*tfrecord*")} for built in (dataset, other)]
    assert shards[0] == shards[1]
    metadata = [json.loads((built.path / "metadata.json").read_text()) for built in (dataset, other)]
    assert metadata[0] == metadata[1]


def test_of_bad_files_alone_nothing_is_left(tmp_path, with_a_bad_file):
    root, *_ = with_a_bad_file
    for number, path in enumerate(root.iterdir()):
        path.write_bytes(b"root" * number)
    with pytest.raises(UserError, match=r"3 of 3 files cannot be used. The first: "):
        data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=root)
    assert not list((tmp_path / "data").rglob("spool_*"))


def test_without_the_bad_file_the_others_are_enough(tmp_path, with_a_bad_file, monkeypatch):
    root, bad, _ = with_a_bad_file
    with pytest.raises(UserError, match="1 of 3 files"):
        data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=root)
    bad.unlink()
    monkeypatch.setattr(reading, "read_entries", lambda *_: pytest.fail("a file was read again"))
    assert 350 < data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=root).cleaning["read"] < 450


def test_another_schema_or_selection_reads_again(tmp_path, jet_files):
    files = reading.find_files(jet_files)
    of_files = units.units_of(files, JET_FLAVOR)
    first, second = (Preparation(JET_FLAVOR, selection, "1.0.0", tmp_path) for selection in ("", "jet_pt > 30"))
    first.begin(of_files)
    first.read(of_files[0])
    assert first.done() == 1
    second.begin(of_files)
    assert second.done() == 0


def test_a_folder_that_workers_do_not_share_is_said(tmp_path, jet_files):
    of_files = units.units_of(reading.find_files(jet_files), JET_FLAVOR)
    preparation = Preparation(JET_FLAVOR, "", "1.0.0", tmp_path / "spool")
    preparation.begin(of_files)
    for unit in of_files[:-1]:
        preparation.read(unit)
    with pytest.raises(UserError, match=rf"Nobody has left the jets of '{of_files[-1].file.path}'"):
        preparation.refuse_bad_files(of_files)
