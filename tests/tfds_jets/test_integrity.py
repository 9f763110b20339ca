"""A data set is taken only as it was built."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import uproot

from kerastag import data
from kerastag.errors import UserError
from tests.conftest import run_command
from tests.tfds_jets.test_builder import folder_of_jets
from tfds_jets.configs import CONFIGS


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("integrity")
    root = folder_of_jets(folder / "jets", 600)
    data.prepare("jet_flavor", data_dir=folder / "data", manual_dir=root)
    return folder


@pytest.fixture
def copy(built, tmp_path):
    """A copy of the data set, and its folder of shards."""
    shutil.copytree(built / "data", tmp_path / "data")
    (shards,) = (tmp_path / "data").glob("*/jet_flavor/*/")
    return tmp_path / "data", shards


def opened(directory):
    return data.prepare("jet_flavor", data_dir=directory)


def changed(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_untouched_it_is_opened_and_says_where_it_came_from(copy, built):
    dataset = opened(copy[0])
    assert (copy[1] / "verified.json").is_file()
    assert dataset.origin.endswith(f"from '{next((built / 'jets' / 'root').iterdir())}'")


@pytest.mark.parametrize(
    "tamper",
    (
        lambda content: content["statistics"].update(sigma=[100 * s for s in content["statistics"]["sigma"]]),
        lambda content: content["schema"]["classes"].reverse(),
        lambda content: content["jets"]["test"].update(b=7),
        lambda content: content.update(fingerprint="0" * 64),
    ),
    ids=("sigma", "classes", "counts", "fingerprint"),
)
def test_changed_metadata_are_one_sentence(copy, tamper):
    opened(copy[0])  # so that the files are known to be right
    changed(copy[1] / "metadata.json", tamper)
    with pytest.raises(UserError, match=r"metadata\.json' is not as it was written: it is damaged or was changed; delete"):
        opened(copy[0])


def test_a_damaged_shard_is_one_sentence(copy):
    opened(copy[0])
    shard = next(copy[1].glob("*train.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"train.tfrecord.*' is not as it was written"):
        opened(copy[0])


def test_shards_that_are_missing(copy):
    """What the user or the system adds, such as notes, is no business of ours."""
    (copy[1] / "notes.txt").write_text("seen")
    opened(copy[0])
    shard = next(copy[1].glob("*test.tfrecord*"))
    shard.unlink()
    with pytest.raises(UserError, match=r"test.tfrecord.*' is missing from"):
        opened(copy[0])


def test_a_data_set_that_was_not_finished(copy):
    (copy[1] / "checksums.json").unlink()
    with pytest.raises(UserError, match="was not built to its end"):
        opened(copy[0])


@pytest.mark.parametrize("name", ("dataset_info.json", "metadata.json", "features.json"))
@pytest.mark.parametrize("content", ("", "{", "[]"))
def test_files_of_the_wrong_form(copy, name, content):
    (copy[1] / name).write_text(content)
    with pytest.raises(UserError, match=r"is damaged|is not as it was written"):
        opened(copy[0])


def test_too_few_records_are_not_filled_with_what_memory_held(copy, monkeypatch):
    from tfds_jets import integrity

    opened(copy[0])
    changed(copy[1] / "metadata.json", lambda content: content["jets"]["test"].update(b=content["jets"]["test"]["b"] + 3))
    monkeypatch.setattr(integrity, "check", lambda folder: None)
    with pytest.raises(UserError, match=r"The test split in .* has [0-9]* jets or other ones, not"):
        opened(copy[0]).arrays("test")


def test_sources_that_are_gone_or_changed_are_said(tmp_path):
    root = folder_of_jets(tmp_path / "jets", 600, files=3)
    dataset = data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=root)
    assert "from 3 ROOT files such as" in dataset.origin and "since" not in dataset.origin
    first, second, _ = sorted(root.iterdir())
    first.unlink()
    second.touch()
    assert opened(tmp_path / "data").origin.endswith(", 1 of them gone and 1 of them changed since")


def test_two_builds_at_once(built, tmp_path):
    from kerastag import outputs

    folder = tmp_path / "data" / "tfds_jets" / "jet_flavor"
    folder.mkdir(parents=True)
    (folder / "spool_left").mkdir()
    (folder / "incomplete.LEFT_1.0.1").mkdir()
    with outputs.locked(folder, ""), pytest.raises(UserError, match=r"writes into '.*jet_flavor' now; wait for it"):
        data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=built / "jets" / "root")
    data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=built / "jets" / "root")
    assert {path.name for path in folder.iterdir()} == {str(CONFIGS["jet_flavor"].version), ".lock"}


def test_copies_of_jets_are_counted_and_stay_in_one_split(built, tmp_path):
    """Three times the same jets, as other files of other events."""
    (path,) = (built / "jets" / "root").iterdir()
    jets = uproot.open(path)["jets"].arrays()
    content = {name: jets[name] for name in jets.fields if jets[name].ndim == 1 and name != "ntrack"}
    import awkward as ak

    content["track"] = ak.zip({name.removeprefix("track_"): jets[name] for name in jets.fields if jets[name].ndim > 1})
    for number in range(3):
        content["event"] = ak.Array(np.arange(len(jets)) + 1000 * number)
        (tmp_path / "root").mkdir(exist_ok=True)
        with uproot.recreate(tmp_path / "root" / f"{number}.root") as file:
            file.mktree("jets", {name: values.type.content for name, values in content.items()})
            file["jets"].extend(content)
    dataset = data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=tmp_path / "root")
    assert dataset.cleaning["copies"] == 2 * 600
    splits = {}
    for split in ("train", "validation", "test"):
        for row in dataset.arrays(split).features:
            assert splits.setdefault(row.tobytes(), split) == split
    assert len(splits) == 600


def rewritten(path, target, **replaced):
    """The jets of a file with some branches replaced or added, as the only file of a new folder."""
    import awkward as ak

    jets = uproot.open(path)["jets"].arrays()
    content = {name: jets[name] for name in jets.fields if jets[name].ndim == 1 and name != "ntrack"}
    content |= {name: ak.Array(values) for name, values in replaced.items()}
    content["track"] = ak.zip({name.removeprefix("track_"): jets[name] for name in jets.fields if jets[name].ndim > 1})
    target.mkdir()
    with uproot.recreate(target / "jets.root") as file:
        file.mktree("jets", {name: values.type.content for name, values in content.items()})
        file["jets"].extend(content)
    return target


@pytest.mark.parametrize(
    ("branch", "change", "said"),
    (
        (
            "vertex_mass",
            lambda values: np.where(np.arange(600) % 10 == 0, np.float32(4321), values),
            "'vertex_mass' is 4321 in",
        ),
        ("generator_weight", lambda values: np.zeros(600, np.float32), "'generator_weight' is 0 in all jets"),
    ),
)
def test_strict_refuses_what_looks_wrong(built, tmp_path, branch, change, said, caplog):
    from absl import logging as absl_logging

    absl_logging.use_python_logging(quiet=True)
    (path,) = (built / "jets" / "root").iterdir()
    with uproot.open(path) as file:
        values = file["jets"][branch].array(library="np") if branch in file["jets"] else None
    root = rewritten(path, tmp_path / "root", **{branch: change(values)})
    words = ("--data-dir", tmp_path / "data", "--manual-dir", root, "--output", tmp_path / "run", "--epochs", 1)
    refused = run_command("train", *words, "--strict")
    assert refused.code == 2 and said in refused.err
    assert not list((tmp_path / "data").glob("tfds_jets/jet_flavor/1*"))
    assert not Path(tmp_path / "run").exists()
    # Built with a warning, it is still no data set for those who are strict.
    with caplog.at_level(logging.WARNING, logger="absl"):
        data.prepare("jet_flavor", data_dir=tmp_path / "data", manual_dir=root)
    assert said in caplog.text
    with pytest.raises(UserError, match=said):
        data.prepare("jet_flavor", data_dir=tmp_path / "data", strict=True)
