"""Commands `compare` and `export` as a user runs them: shipped taggers on jets of the shipped sample."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import uproot

from kerastag import runs
from kerastag.errors import UserError
from kerastag.request import AttackGrid, Sample
from kerastag.runs.compare import _inputs
from kerastag.saving.taggers import NamedTagger
from kerastag.schema import DEEPCSV
from tests.conftest import run_command
from tests.legacy.conftest import WEIGHTS
from tests.toy import TOY
from tfds_jets.tfds_jets_dataset_builder import SAMPLE_FILE

ROOT = Path(__file__).parents[2]
SAVED = ROOT / "saved_models"
FGSM = "FGSM ε=0.05 paper's box"


@pytest.fixture(scope="module", autouse=True)
def weights():
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KERASTAG_WEIGHTS", str(WEIGHTS))
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Options that name a data set of the sample's first 4,000 jets."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "files").mkdir()
    with uproot.open(SAMPLE_FILE) as sample, uproot.recreate(folder / "files" / "jets.root") as few:
        arrays = sample["jets"].arrays(entry_stop=4000)
        jagged = {name: arrays[name] for name in arrays.fields if arrays[name].ndim > 1}
        flat = {name: arrays[name] for name in arrays.fields if arrays[name].ndim == 1 and name != "ntrack"}
        content = flat | {"track": _zipped({name.removeprefix("track_"): values for name, values in jagged.items()})}
        few.mktree("jets", {name: values.type.content for name, values in content.items()})
        few["jets"].extend(content)
    return ["--manual-dir", folder / "files", "--data-dir", folder / "data"]


def _zipped(columns):
    import awkward as ak

    return ak.zip(columns)


@pytest.fixture(scope="module")
def compared(options, tmp_path_factory):
    """Taggers of two schemas, and DeepCSV where its weights are, on the jets that both data sets have."""
    output = tmp_path_factory.mktemp("compared") / "comparison"
    names = ["deepcsv_nominal", "jet_flavor_nominal"]
    legacy = ["DeepCSV"] if WEIGHTS.is_dir() else []
    arguments = [*(SAVED / name for name in names), *legacy, "--config", "deepcsv", *options, "--output", output]
    result = run_command("compare", *arguments, "--epsilon", 0.05, "--attack", "pgd-2", "--replicates", 20, "--paper")
    assert result.code == 0, result.err
    return output, result.out, [*names, *legacy]


def test_compare_writes_what_it_says(compared):
    output, text, names = compared
    content = json.loads((output / "comparison.json").read_text())
    assert list(content["matrix"]) == ["clean", FGSM, "PGD-2 ε=0.05 paper's box"]
    assert list(content["taggers"]) == names
    assert {"deepcsv", "jet_flavor"} == set(content["fingerprints"])
    for name in names:
        clean = content["matrix"]["clean"][name][name]["BvL AUC"]
        attacked = content["matrix"][FGSM][name][name]["BvL AUC loss"]
        assert 0.85 < clean["low"] < clean["value"] < clean["high"] < 0.98
        assert attacked["low"] > 0.02
    assert content["matrix"][FGSM][names[0]][names[1]] == {"BvL AUC": {"not_defined": "other inputs, jet_flavor"}}
    assert (output / "table.md").read_text().strip() in text
    assert "only the jets that deepcsv and jet_flavor share" in text
    with (output / "comparison.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["quantity"] for row in rows} >= {"BvL AUC", "BvL AUC relative loss", "mistag at 70%"}
    for figure in ("roc.png", "transfer.png"):
        assert (output / figure).stat().st_size > 10_000


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="CMS's weights are not part of the repository")
def test_compare_says_that_deepcsv_is_out_of_its_domain(compared):
    first_line = (compared[0] / "table.md").read_text().splitlines()[0]
    assert first_line.startswith("DeepCSV was trained for the CMS detector")
    assert "do not rank areas" in first_line
    assert "CMS gives no answer for" in first_line


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="CMS's weights are not part of the repository")
def test_evaluate_says_which_jets_cms_gives_no_answer_for(options, tmp_path):
    words = ["--config", "deepcsv", *options, "--attack", "fgsm", "--replicates", 5, "--max-jets", 300]
    result = run_command("evaluate", "DeepCSV", *words, "--output", tmp_path / "out")
    assert result.code == 0, result.err
    assert "DeepCSV: CMS gives no answer for" in result.out and "have none of jetNSelectedTracks" in result.out


def test_results_are_not_overwritten_unasked(compared):
    result = run_command("compare", SAVED / "deepcsv_nominal", "--output", compared[0])
    assert result.code == 2
    assert "There are results in" in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("tagger", "others", "sentence"),
    [
        (SAVED / "deepcsv_nominal", {"attacks": ("nonsense",)}, "There is no attack 'nonsense'"),
        (SAVED / "deepcsv_nominal", {"split": "nonsense"}, "no split 'nonsense'"),
        (SAVED / "deepcsv_nominal", {"epsilons": (-1.0,)}, "epsilon must be at least 0"),
        (SAVED / "deepcsv_nominal", {"only": ("trak*",)}, "No feature of deepcsv matches 'trak"),
        ("DeepCSV", {}, "raw.githubusercontent.com"),
        ("DeepCVS", {}, "'DeepCVS' is no tagger"),
    ],
)
def test_mistakes_are_one_sentence(compared, options, tmp_path, monkeypatch, tagger, others, sentence):
    monkeypatch.setenv("KERASTAG_WEIGHTS", str(tmp_path))
    split = others.pop("split", "test")
    sample = Sample("deepcsv", str(options[1]), str(options[3]), split)
    with pytest.raises(UserError, match=sentence):
        grid = AttackGrid(**{"attacks": ("fgsm",), "caps": (None,), **others})
        runs.compare([str(tagger)], sample, tmp_path, grid, replicates=2)


def test_export_writes_every_format_with_a_parity_report(options, tmp_path):
    output = tmp_path / "exported"
    result = run_command("export", SAVED / "deepcsv_nominal", "--card", "--config", "deepcsv", *options, "--output", output)
    assert result.code == 0, result.err
    report = json.loads((output / "parity.json").read_text())
    assert report["jets"] > 500
    assert set(report["max_difference"]) == {"SavedModel", "ONNX"}
    assert max(report["max_difference"].values()) < 1e-6
    assert (output / "model.onnx").is_file() and (output / "tagger.keras").is_file()
    assert "# deepcsv_nominal" in (output / "README.md").read_text()
    # The statistics are those of the training, not of these jets.
    content = [
        json.loads((folder / "saved_model/assets/kerastag.json").read_text()) for folder in (output, SAVED / "deepcsv_nominal")
    ]
    assert content[0]["statistics"] == content[1]["statistics"]
    again = run_command("export", SAVED / "deepcsv_nominal", *options, "--output", output)
    assert again.code == 2 and "--overwrite" in again.err


def test_a_data_set_of_other_inputs_is_not_exported_in_its_name(tmp_path):
    result = run_command("export", SAVED / "jet_flavor_adversarial", "--config", "deepcsv", "--output", tmp_path / "out")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "takes the inputs of jet_flavor, not of deepcsv" in result.err


def test_the_schema_asked_for_is_the_one_compared_in(tmp_path):
    """What was stored with a tagger may be older than the user's file of the same name."""
    stored, asked = TOY, dataclasses.replace(TOY, description="as it is now")
    tagger = NamedTagger("mine", "runs/mine", None, stored)
    assert _inputs(tagger, asked) is asked and _inputs(tagger, DEEPCSV) is stored


def test_export_takes_stored_features_and_refuses_others(tmp_path, capsys):
    def run(name):
        sample = Sample("deepcsv", max_jets=10)
        runs.export(str(SAVED / "deepcsv_adversarial"), sample, tmp_path / "out", features=tmp_path / f"{name}.npy")

    x = np.tile(DEEPCSV.defaults, (5, 1))
    np.save(tmp_path / "good.npy", x)
    run("good")
    assert "5 jets" in capsys.readouterr().out
    for name, array in (("narrow", x[:, 1:]), ("text", np.array([["a"] * 66])), ("empty", x[:0]), ("scalar", np.array(1.0))):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(UserError, match=rf"{name}\.npy' must hold numbers of shape \(jets, 66\)"):
            run(name)
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "other.npy").write_text("no array")
    for name in ("pickle", "other", "missing"):
        with pytest.raises(UserError, match=rf"{name}\.npy' cannot be read"):
            run(name)
