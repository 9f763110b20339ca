"""Jets of simulated files: as they are read, paired with those of another file, and as a data set."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from kerastag import data
from kerastag.commands import execute
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.runs.varied_samples import VariedSamples
from kerastag.schema import DEEPCSV, JET_FLAVOR
from kerastag.simulation import production, variation_files
from kerastag.simulation.settings import SimulationSettings
from tests.conftest import run_command
from tfds_jets.splitting import FRACTIONS, split_of

NAMES = ("nominal", "d0_bias_10um+fakes", "reseeded")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A nominal file of 300 jets."""
    path = tmp_path_factory.mktemp("sample") / "jets.root"
    production.produce(path, 300, SimulationSettings(seed=3, events_per_unit=150), 1)
    return path


@pytest.fixture(scope="module")
def varied(sample, tmp_path_factory):
    """Folder of three variations of its test jets."""
    folder = tmp_path_factory.mktemp("varied")
    simulate(sample, folder)
    return folder


def simulate(sample, folder, *options: str) -> None:
    arguments = ["--like", sample, "--split", "test", "--output", folder, "--processes", "1", "--variation", *NAMES, *options]
    execute("simulate", [str(argument) for argument in arguments])


def test_events_are_those_of_the_file_that_they_are_like(sample, varied):
    for schema in (JET_FLAVOR, DEEPCSV):
        ours, nominal = data.read_simulated(sample, schema, "test"), data.read_simulated(varied / "nominal.root", schema)
        assert len(ours) > 30
        # The file may end within its last event.
        np.testing.assert_array_equal(nominal.features[: len(ours)], ours.features)
        np.testing.assert_array_equal(nominal.spectators["event"][: len(ours)], ours.spectators["event"])
        assert len(nominal) <= len(ours) + 3
    last = variation_files.last_event(sample)
    for name in NAMES:
        events = data.read_simulated(varied / f"{name}.root", JET_FLAVOR).spectators["event"]
        assert events.max() <= last
        assert (np.diff(events) >= 0).all()


def test_files_say_what_they_change(sample, varied):
    assert data.variations_of(varied / "d0_bias_10um+fakes.root") == ("d0_bias_10um", "fakes")
    assert data.variations_of(sample) == ()
    content = variation_files.metadata(varied / "d0_bias_10um+fakes.root")
    assert content["changes"]["d0_bias_10um"] == "d0 shifted by 10 µm"
    assert variation_files.settings_of(content).split == "test"
    with pytest.raises(UserError, match="no file"):
        data.variations_of(varied / "none.root")


def test_files_that_are_there_are_not_made_again(sample, varied, capsys):
    before = {path: path.stat().st_mtime_ns for path in varied.glob("*.root")}
    simulate(sample, varied)
    assert "3 of 3 variations are there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in varied.glob("*.root")} == before
    with pytest.raises(UserError, match="other settings"):
        simulate(sample, varied, "--split", "validation")
    with pytest.raises(UserError, match=r"--seed would make other jets than those of '.*'; leave it out"):
        simulate(sample, varied, "--seed", "4")


def test_one_file_for_several_variations_is_refused(sample, tmp_path):
    with pytest.raises(UserError, match="cannot hold 3"):
        simulate(sample, tmp_path / "jets.root")


def test_catalogue_is_listed(capsys):
    execute("simulate", ["--list-variations"])
    printed = capsys.readouterr().out
    assert "track_efficiency_down_5" in printed
    assert "dire" in printed


def test_jets_of_the_same_events_are_paired(varied):
    nominal, other = (data.read_simulated(varied / f"{name}.root", JET_FLAVOR) for name in NAMES[:2])
    rows, others = data.paired(nominal, other)
    assert len(rows) > 0.9 * len(nominal)
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(nominal.features[rows, :2], other.features[others, :2])
    np.testing.assert_array_equal(nominal.label[rows], other.label[others])
    np.testing.assert_array_equal(nominal.spectators["event"][rows], other.spectators["event"][others])
    assert (nominal.features[rows] != other.features[others]).any(axis=1).mean() > 0.9
    everything = np.arange(len(nominal))
    np.testing.assert_array_equal(data.paired(nominal, nominal), [everything, everything])


def made_up(event, eta, phi) -> Jets:
    directions = {"event": np.array(event), "direction_eta": np.array(eta), "direction_phi": np.array(phi)}
    return Jets(np.zeros((len(event), 1), np.float32), np.zeros(len(event), int), directions, 3)


def test_pairs_are_one_to_one_and_near():
    """Two jets near one; the other side of φ = π; too far; another event; the same place twice."""
    nominal = made_up([1, 1, 2, 3, 4, 5, 5], [0.0, 0.1, 0.0, 0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 3.1, 0.0, 0.0, 0.5, 0.5])
    other = made_up([6, 5, 3, 2, 1], [0.0, 1.0, 0.3, 0.0, 0.04], [0.0, 0.5, 0.0, -3.1, 0.0])
    rows, others = data.paired(nominal, other)
    np.testing.assert_array_equal(rows, [0, 2, 5])
    np.testing.assert_array_equal(others, [4, 3, 1])
    assert len(data.paired(nominal.take(slice(0)), other)[0]) == 0


def test_nothing_is_trained_on_what_stands_for_real_data(sample, tmp_path):
    words = ["simulate", "--like", sample, "--variation", "pseudo_data_3", "--output", tmp_path / "jets", "--processes", "1"]
    assert not run_command(*words).code
    data_dir = ["--manual-dir", tmp_path / "jets", "--data-dir", tmp_path / "tfds"]
    refused = run_command("train", *data_dir, "--output", tmp_path / "run")
    assert refused.code == 2 and "(pseudo_data_3) stand for real data in tests, so nothing may be trained" in refused.err
    assert not list((tmp_path / "run").glob("*.json"))


def test_a_data_set_of_a_variation_says_so(varied, tmp_path):
    """Of the test split alone, so its own jets stand for the training jets."""
    built = data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=varied, variation="d0_bias_10um+fakes")
    assert built.variations == ("d0_bias_10um", "fakes")
    jets = data.read_simulated(varied / "d0_bias_10um+fakes.root", JET_FLAVOR)
    assert built.jets["train"] == {"b": 0, "c": 0, "light": 0}
    read = built.arrays("test")
    order = np.argsort(read.spectators["entry"])
    np.testing.assert_array_equal(read.features[order], jets.features)
    assert "d0_bias" in str(built.path)
    with pytest.raises(UserError, match="no file"):
        data.prepare("jet_flavor", data_dir=tmp_path, manual_dir=varied, variation="fakes")


def test_splits_by_name(sample):
    everything = data.read_simulated(sample, JET_FLAVOR)
    parts = [data.read_simulated(sample, JET_FLAVOR, split) for split in FRACTIONS]
    assert sum(map(len, parts)) == len(everything) == 300
    assert (split_of(parts[1].spectators) == 1).all()
    with pytest.raises(UserError, match="no split"):
        data.read_simulated(sample, JET_FLAVOR, "tset")


def test_a_selection_holds_for_every_file(varied):
    pt, everything = JET_FLAVOR.index("jet_pt"), data.read_simulated(varied / "nominal.root", JET_FLAVOR)
    threshold = np.median(everything.features[:, pt])
    chosen = f"jet_pt > {threshold}"
    selected = data.read_simulated(varied / "nominal.root", JET_FLAVOR, selection=chosen)
    np.testing.assert_array_equal(selected.features, everything.features[everything.features[:, pt] > threshold])
    of_schema = dataclasses.replace(JET_FLAVOR, selection=chosen)
    np.testing.assert_array_equal(data.read_simulated(varied / "nominal.root", of_schema).features, selected.features)
    dataset = SimpleNamespace(schema=JET_FLAVOR, selection=chosen)
    samples = VariedSamples(varied, dataset, ["d0_bias_10um+fakes"])
    seen = []
    samples.changes(lambda x: seen.append(x) or np.zeros((len(x), 3)) + x[:, [pt, 0, 1]], JET_FLAVOR.separations["BvL"])
    assert len(seen) == 2 and all(len(x) and (x[:, pt] > threshold).all() for x in seen)


def test_a_file_of_another_number_of_jets_is_not_taken_for_the_one_asked_for(sample):
    settings = {sample: SimulationSettings(seed=3, events_per_unit=150)}
    assert variation_files.missing(settings, production.Size(jets=300)) == {}
    with pytest.raises(UserError, match="has 300 jets, not 5,000; delete it"):
        variation_files.missing(settings, production.Size(jets=5000))
