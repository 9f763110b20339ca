"""Training jets under simulated variations: which jet is which, and how batches draw them."""

import shutil

import numpy as np
import pytest

from kerastag import data, runs
from kerastag.commands import execute
from kerastag.data import JetDataset, VariedJets
from kerastag.data import varied as varied_jets
from kerastag.errors import UserError
from kerastag.recipes import Settings
from kerastag.schema import JET_FLAVOR
from kerastag.simulation import production
from kerastag.simulation.settings import SimulationSettings
from tests.conftest import run_command

NAMES = ("nominal", "d0_bias_10um", "momentum_scale_up_1", "reseeded")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with a nominal file of 300 jets in a folder of its own, and variations of its training jets."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "own").mkdir()
    production.produce(folder / "own" / "jets.root", 300, SimulationSettings(seed=5, events_per_unit=150), 1)
    options = ["--like", folder / "own" / "jets.root", "--split", "train", "--processes", "1", "--variation", *NAMES]
    execute("simulate", [str(option) for option in (*options, "--output", folder / "variations")])
    return folder


@pytest.fixture(scope="module")
def of_folder(folder):
    return data.prepare("jet_flavor", data_dir=folder / "tfds", manual_dir=folder / "own")


def test_jets_are_found_again_as_the_variation_measured_them(folder, of_folder):
    jets = of_folder.arrays("train")
    varied = VariedJets.read(folder / "variations", jets, of_folder.schema)
    assert list(varied.shares) == ["d0_bias_10um", "momentum_scale_up_1"]
    assert list(varied.left_out) == ["reseeded"]
    assert min(varied.shares.values()) > 0.97
    biased, scaled = varied.features
    # The first track of a jet may be another one under a variation; its azimuth tells.
    phi, d0, q_over_p = (JET_FLAVOR.index(f"track_0_{name}") for name in ("PHI", "D0", "QOVERP"))
    same = jets.features[:, phi] == biased[:, phi]
    assert same.mean() > 0.5
    # Files keep about four digits of a value.
    np.testing.assert_allclose((biased - jets.features)[same, d0], 0.01, atol=5e-4)
    same = jets.features[:, phi] == scaled[:, phi]
    np.testing.assert_allclose(1.01 * scaled[same, q_over_p], jets.features[same, q_over_p], rtol=2e-3)


def test_variations_can_be_held_out(folder, of_folder):
    jets = of_folder.arrays("train")
    varied = VariedJets.read(folder / "variations", jets, of_folder.schema, ["d0_*"])
    assert list(varied.shares) == ["momentum_scale_up_1"]
    assert varied.left_out["d0_bias_10um"] == "held out"
    assert "held out" not in VariedJets.read(folder / "variations", jets, of_folder.schema).left_out.values()
    with pytest.raises(UserError, match=r"is called 'z0_\*' .*there are d0_bias_10um"):
        VariedJets.read(folder / "variations", jets, of_folder.schema, ["z0_*"])
    with pytest.raises(UserError, match=r"can be trained on.*reseeded has"):
        VariedJets.read(folder / "variations", jets, of_folder.schema, ["d0_*", "momentum_*"])


def test_several_in_one_file_are_held_out_with_any_of_them(tmp_path, monkeypatch):
    """And what stands for real data never comes in."""
    content = {"nominal": (), "fakes": ("fakes",), "fakes+d0_bias_5um": ("fakes", "d0_bias_5um"), "mine": ("d0_bias_5um",)}
    content["other"] = ("pseudo_data_239",)
    for name in content:
        (tmp_path / f"{name}.root").touch()
    monkeypatch.setattr(varied_jets, "variations_of", lambda path: content[path.stem])
    paths, left_out = varied_jets.chosen(tmp_path, ["d0_*"])
    assert [path.stem for path in paths] == ["fakes"]
    assert left_out == {"fakes+d0_bias_5um": "held out", "mine": "held out", "other": "stands for real data"}


def test_files_of_other_jets_are_refused(folder, of_folder, dataset, tmp_path):
    with pytest.raises(UserError, match=r"the data set has 0%.*--like FILE"):
        VariedJets.read(folder / "variations", dataset.arrays("train"), dataset.schema)
    with pytest.raises(UserError, match=r"no 'nominal.root'.*simulate --split train"):
        VariedJets.read(tmp_path, of_folder.arrays("train"), of_folder.schema)


def test_jets_are_drawn_under_each_variation_equally_often(dataset):
    features = dataset.arrays("train").features
    # A jet under variation 1 or 2 has the number in place of its transverse momentum.
    varied = np.stack([features, features])
    varied[:, :, 0] = np.array([1, 2])[:, None]

    def epochs(seed, first_epoch=0, number=1):
        stages = dataset.batches("train", 200, shuffle=True, seed=seed, first_epoch=first_epoch, varied=varied)
        steps = dataset.steps("train", 200)
        x = np.concatenate([x for x, _, _ in stages.take(number * steps)])
        return np.split(x, number)

    first, second = epochs(seed=3, number=2)
    (resumed,), (other,) = epochs(seed=3, first_epoch=1), epochs(seed=4)
    np.testing.assert_array_equal(resumed, second)
    plain = dataset.batches("train", 200, shuffle=True, seed=3)
    x = np.concatenate([x for x, _, _ in plain.take(dataset.steps("train", 200))])
    np.testing.assert_array_equal(first[:, 1:], x[:, 1:])

    def draws(epoch):
        """Variation of each jet, 0 for none, by what tells the jet."""
        number = np.where(np.isin(epoch[:, 0], (1, 2)), epoch[:, 0], 0)
        shares = [np.mean(number == choice) for choice in range(3)]
        np.testing.assert_allclose(shares, 1 / 3, atol=4 * np.sqrt(2 / 9 / len(epoch)))
        return {row[1:].tobytes(): choice for row, choice in zip(epoch, number, strict=True)}

    # Independent draws of a jet agree in a third of the cases; the same draw would always agree.
    by_jet = [draws(epoch) for epoch in (first, second, other)]
    for mine, theirs in ((0, 1), (0, 2), (1, 2)):
        common = by_jet[mine].keys() & by_jet[theirs].keys()
        assert len(common) > 1000
        agree = np.mean([by_jet[mine][jet] == by_jet[theirs][jet] for jet in common])
        assert agree == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / len(common)))
    batches = np.where(np.isin(first[:, 0], (1, 2)), first[:, 0], 0).reshape(-1, 200)
    assert np.mean(batches[0] == batches[1]) == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / 200))
    # Without an order there is no draw: these are the jets as they are stored.
    stored = np.concatenate([x for x, _, _ in dataset.batches("train", 200, varied=varied)])
    np.testing.assert_array_equal(stored, features)


def test_a_training_on_variations_says_what_it_saw_and_goes_on(folder, of_folder, tmp_path, capsys, monkeypatch):
    given = {
        "config": "jet_flavor",
        "data_dir": str(folder / "tfds"),
        "epochs": 1,
        "model": "paper_mlp",
        "attack": "noise",
        "paper": True,
    }
    settings = Settings.resolve(given | {"defense": "variations", "variations": str(folder / "variations")})
    seen = []
    batches = JetDataset.batches
    monkeypatch.setattr(
        JetDataset, "batches", lambda *values, **options: seen.append(options.get("varied")) or batches(*values, **options)
    )
    runs.train(settings, tmp_path / "run")
    assert [features.shape[0] for features in seen if features is not None] == [2]
    assert "under one of 2 variations: d0_bias_10um, momentum_scale_up_1" in capsys.readouterr().out
    # Files may move.
    shutil.copytree(folder / "variations", tmp_path / "copy")
    arguments = ["--resume", "--output", tmp_path / "run", "--variations", tmp_path / "copy", "--data-dir", folder / "tfds"]
    assert run_command("train", *arguments).code == 0
    (tmp_path / "moved").mkdir()
    for name in ("nominal", "d0_bias_10um"):
        (tmp_path / "moved" / f"{name}.root").symlink_to(folder / "variations" / f"{name}.root")
    moved = Settings.resolve(given | {"defense": "variations", "variations": str(tmp_path / "moved")})
    with pytest.raises(UserError, match="other files beside its data set: momentum_scale_up_1, reseeded;"):
        runs.train(moved, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"defense": "variations"}, "needs 'variations'"),
        ({"defense": "variations-fgsm"}, "needs 'variations'"),
        ({"variations": "folder"}, "'nominal' knows no 'variations'"),
        ({"defense": "fgsm", "hold_out": ["d0_*"]}, "'fgsm' knows no 'hold_out'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        Settings.resolve(given)


def test_variations_of_selected_jets_are_selected_likewise(folder):
    selected = data.prepare("jet_flavor", data_dir=folder / "few", manual_dir=folder / "own", selection="jet_pt > 40")
    assert selected.selection == "jet_pt > 40"
    jets = selected.arrays("train")
    varied = VariedJets.read(folder / "variations", jets, selected.schema, (), selected.selection)
    assert min(varied.shares.values()) > 0.95
    with pytest.raises(UserError, match="the data set has"):
        VariedJets.read(folder / "variations", jets, selected.schema)
