"""Jets without labels: read from files that lack what labels are made of, and put behind the batches of a data set."""

import numpy as np
import pytest
import uproot

from kerastag import data
from kerastag.data import UnlabelledJets
from kerastag.errors import UserError
from kerastag.recipes import Settings
from kerastag.schema import JET_FLAVOR
from kerastag.simulation import production
from kerastag.simulation.settings import SimulationSettings
from tests.conftest import run_command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with simulated jets, and the same in a file without any truth."""
    folder = tmp_path_factory.mktemp("unlabelled")
    (folder / "own").mkdir()
    (folder / "data").mkdir()
    production.produce(folder / "own" / "jets.root", 300, SimulationSettings(seed=5, events_per_unit=150), 1)
    names = list(dict.fromkeys(feature.branch for feature in JET_FLAVOR.features))
    with uproot.open(folder / "own" / "jets.root") as source, uproot.recreate(folder / "data" / "data.root") as target:
        target["jets"] = {name: source["jets"][name].array() for name in names}
    return folder


@pytest.fixture(scope="module")
def of_folder(folder):
    return data.prepare("jet_flavor", data_dir=folder / "tfds", manual_dir=folder / "own")


def test_features_are_those_of_the_data_set_without_its_labels(folder, of_folder):
    found = UnlabelledJets.read(folder / "data" / "data.root", JET_FLAVOR)
    assert (found.files, found.left_out) == (1, 0)
    splits = {split: {row.tobytes() for row in of_folder.arrays(split).features} for split in ("train", "validation", "test")}
    # The file without truth has no events either, so jets have splits of their own.
    known = {row.tobytes() for row in found.features}
    assert 0.6 < len(found.features) / (len(found.features) + found.not_of_training) < 0.85
    assert len(known & set().union(*splits.values())) > 0.9 * len(known)
    # With events, they are the training jets of the data set, and jets of flavours that it does not know.
    own = UnlabelledJets.read(folder / "own" / "jets.root", JET_FLAVOR)
    read = {row.tobytes() for row in own.features}
    assert splits["train"] <= read and not read & (splits["validation"] | splits["test"])
    np.testing.assert_array_equal(UnlabelledJets.read(folder / "data", JET_FLAVOR).features, found.features)


def test_they_stand_behind_labelled_jets_and_come_again_after_a_restart(folder, of_folder):
    others = np.arange(7 * 184, dtype=np.float32).reshape(7, 184)
    steps = of_folder.steps("train", 20)

    def batches(**options):
        taken = of_folder.batches("train", 20, shuffle=True, seed=3, unlabelled=others, **options).take(2 * steps)
        return [tuple(part.numpy() for part in batch) for batch in taken]

    plain = [batch[0].numpy() for batch in of_folder.batches("train", 20, shuffle=True, seed=3).take(steps)]
    found = batches()
    for (x, y, w), labelled in zip(found, plain, strict=False):
        np.testing.assert_array_equal(x[:20], labelled)
        assert y[:20].sum() == 20 and not y[20:].any() and (w == 1).all()
        assert all(any((row == other).all() for other in others) for row in x[20:])
    drawn = np.concatenate([x[20:, 0] for x, _, _ in found]) / 184
    shares = np.bincount(drawn.astype(int), minlength=7) / len(drawn)
    np.testing.assert_allclose(shares, 1 / 7, atol=4 * np.sqrt(6 / 49 / len(drawn)))
    for again, before in zip(batches(first_epoch=1), found[steps:], strict=False):
        np.testing.assert_array_equal(again[0], before[0])


def test_an_epoch_of_replays_has_as_many_fewer_batches(of_folder):
    steps = of_folder.steps("train", 20)
    assert steps > 8
    short = of_folder.batches("train", 20, shuffle=True, seed=3, replays=4)
    full = of_folder.batches("train", 20, shuffle=True, seed=3)
    second = [x.numpy() for x, _, _ in full.take(steps + 1)][-1]
    taken = [x.numpy() for x, _, _ in short.take(steps // 4 + 1)]
    np.testing.assert_array_equal(taken[-1], second)


@pytest.mark.parametrize("defense", ["consistency", "domain", "free"])
def test_trainings_say_what_they_saw_and_go_on(folder, tmp_path, defense):
    (tmp_path / "settings.toml").write_text('model = "paper_mlp"\nepochs = 2\nattack = "noise"\npaper = true\n')
    options = ["--settings", tmp_path / "settings.toml", "--data-dir", folder / "tfds", "--output", tmp_path / "run"]
    if defense != "free":
        options += ["--unlabelled", folder / "data"]
    done = run_command("train", "--defense", defense, *options)
    assert done.code == 0, done.err
    assert ("Jets without labels: " in done.out) == (defense != "free")
    assert run_command("train", "--defense", defense, *options, "--resume").code == 0


def test_mistakes_are_said(folder, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no file or folder"):
        UnlabelledJets.read(tmp_path / "none", JET_FLAVOR)
    with pytest.raises(UserError, match=r"consistency.*needs 'unlabelled'"):
        Settings.resolve({"defense": "consistency"})
    with pytest.raises(UserError, match="'fgsm' knows no 'unlabelled'"):
        Settings.resolve({"defense": "fgsm", "unlabelled": "data"})
    with pytest.raises(UserError, match="'fgsm' knows no 'replays'"):
        Settings.resolve({"defense": "fgsm", "replays": 2})
    simulated = {"settings": {"variations": ["pseudo_data_7"]}}
    monkeypatch.setattr("kerastag.data.unlabelled.reading.simulation_of", lambda path: simulated)
    with pytest.raises(UserError, match="stands for real data"):
        UnlabelledJets.read(folder / "data", JET_FLAVOR)


def test_they_are_selected_like_the_jets_of_the_data_set(folder):
    pt = JET_FLAVOR.index("jet_pt")
    everything = UnlabelledJets.read(folder / "data", JET_FLAVOR).features
    selected = UnlabelledJets.read(folder / "data", JET_FLAVOR, "jet_pt > 40").features
    np.testing.assert_array_equal(selected, everything[everything[:, pt] > 40])
    assert 0 < len(selected) < len(everything)
