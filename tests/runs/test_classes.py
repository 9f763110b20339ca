"""Other classes than b, c, light in this order: whole trainings, evaluations, exports and reports."""

import contextlib
import dataclasses
import json

import keras
import numpy as np
import pytest

from kerastag import data, models, runs, saving
from kerastag import schema as schemas
from kerastag.attacks import CLEAN, FGSM, Condition, ThreatModel, conditions
from kerastag.errors import UserError
from kerastag.evaluation.comparison import compare
from kerastag.evaluation.transfer import Contestant, cross_examine
from kerastag.files import read_json
from kerastag.recipes import Settings
from kerastag.request import PAPER, AttackGrid, ReportOptions, Sample
from kerastag.schema import JET_FLAVOR, Discriminator, FlavourClass
from kerastag.training import fitting
from tests.conftest import make_reports_quick
from tfds_jets import configs

FLAVOUR = "jet_parton_flavour"
OWN = Discriminator("signal", (("b_soft", 1.0), ("b_hard", 2.0)), (("charm", 0.1), ("uds", 0.9)))
CLASSES = {
    "backwards": {"light": f"{FLAVOUR} == 0", "c": f"{FLAVOUR} == 4", "b": f"{FLAVOUR} == 5"},
    "two": {"background": f"{FLAVOUR} != 5", "signal": f"{FLAVOUR} == 5"},
    "five": {
        "b_soft": f"({FLAVOUR} == 5) & (jet_pt < 35)",
        "uds": f"({FLAVOUR} == 0) & (jet_pt < 35)",
        "charm": f"{FLAVOUR} == 4",
        "b_hard": f"({FLAVOUR} == 5) & (jet_pt >= 35)",
        "g": f"({FLAVOUR} == 0) & (jet_pt >= 35)",
    },
}
SCHEMAS = {
    name: dataclasses.replace(
        JET_FLAVOR,
        name=f"of_{name}",
        classes=tuple(FlavourClass(one, branch, f"{one} jets", f"C{n}") for n, (one, branch) in enumerate(classes.items())),
        ratios=(OWN,) if name == "five" else (),
    )
    for name, classes in CLASSES.items()
}


@pytest.fixture(scope="module")
def datasets(jet_files, data_dir):
    """A data set of the same jets for each schema."""
    with pytest.MonkeyPatch.context() as patch:
        built = {}
        for name, schema in SCHEMAS.items():
            for known, entry in (
                (schemas.SCHEMAS, schema),
                (schemas.ALL, schema),
                (configs.CONFIGS, configs._config(schema, schema.name)),
            ):
                patch.setitem(known, schema.name, entry)
            built[name] = data.prepare(schema.name, data_dir=data_dir, manual_dir=jet_files)
        yield built


def trained(name, datasets, data_dir, output, **options):
    settings = {"config": SCHEMAS[name].name, "model": "paper_mlp", "epochs": 4, "data_dir": str(data_dir), "paper": True}
    settings |= options
    runs.train(Settings.resolve(settings), output)
    return output


@pytest.fixture(scope="module")
def run_directories(datasets, data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    return {name: trained(name, datasets, data_dir, folder / name) for name in ("two", "five")}


def permuted(tagger, columns):
    """The same tagger with its logits in another order."""
    return keras.Model(tagger.input, keras.ops.take(tagger.output, columns, axis=-1))


def test_order_of_the_classes_changes_no_number(datasets, dataset, tagger):
    """Areas, efficiencies and mistags under attacks on each margin: columns of a trained tagger and of the jets permuted."""
    tagger.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    tagger.fit(dataset.batches("train", 64), shuffle=False, epochs=2, verbose=0)
    under = [CLEAN, Condition("fgsm", 0.05, physics=PAPER), Condition("fgsm", 0.05, objective="margin", physics=PAPER)]
    usual, other = (
        compare({"a": model}, of, of.arrays("test"), under, replicates=5)
        for model, of in ((tagger, dataset), (permuted(tagger, [2, 1, 0]), datasets["backwards"]))
    )
    np.testing.assert_array_equal(datasets["backwards"].arrays("test").features, dataset.arrays("test").features)
    for condition in under:
        expected, found = (one.evaluations["a"][condition] for one in (usual, other))
        assert list(found.areas) == ["BvL", "CvB", "CvL"]
        for what in ("areas", "alone", "tagged"):
            values = {name: str(getattr(number, "interval", number)) for name, number in getattr(expected, what).items()}
            assert {name: str(getattr(number, "interval", number)) for name, number in getattr(found, what).items()} == values
        assert found.cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-6)


def test_taggers_of_other_classes_are_not_compared(datasets, dataset, tagger):
    contestants = [
        Contestant(name, model, of, of.arrays("test"))
        for name, model, of in (("a", tagger, dataset), ("b", tagger, datasets["backwards"]))
    ]
    with pytest.raises(UserError, match="jet_flavor has the classes b, c, light and of_backwards light, c, b; "):
        cross_examine(contestants, [CLEAN], replicates=2)


def test_one_logit_is_refused_before_the_first_epoch(datasets, data_dir, tmp_path, monkeypatch):
    def one_logit(schema, statistics):
        return keras.Sequential([keras.Input((len(schema.features),)), keras.layers.Dense(1)])

    monkeypatch.setattr(models, "get", lambda name: one_logit)
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("trained"))
    for defense in ("nominal", "fgsm"):
        settings = Settings.resolve({"config": "of_two", "model": "mlp", "epochs": 1, "defense": defense})
        with pytest.raises(UserError, match="gives one logit"):
            fitting.make_model(settings, datasets["two"], 1)
    jets = datasets["two"].arrays("test")
    with pytest.raises(UserError, match="gives one logit"):
        FGSM(ThreatModel.from_schema(SCHEMAS["two"], datasets["two"].statistics.sigma))(
            one_logit(SCHEMAS["two"], None), jets.features[:5], jets.y[:5]
        )


@pytest.mark.slow
def test_a_training_knows_its_classes(run_directories):
    two, five = (run_directories[name] for name in ("two", "five"))
    for folder, name in ((two, "background_vs_signal"), (five, "signal")):
        header = (folder / "history.csv").read_text().splitlines()[0].split(",")
        assert {f"val_{name}_auc", f"val_{name}_auc_fgsm"} <= set(header)
        assert not [entry for entry in header if "BvL" in entry]
        results = read_json(folder / "metrics.json")["results"][folder.name]
        assert results["FGSM ε=0.01 paper's box"][name]["loss"] > 0
        assert 0.6 < results["clean"][name]["value"] < 1
    assert set(results["clean"]["tagged"]) == set(CLASSES["five"])
    assert set(results["clean"]["alone"]) == {"b_soft+b_hard", "charm+uds"}


@pytest.mark.slow
def test_evaluation_of_two_and_five_classes(run_directories, datasets, data_dir, tmp_path):
    from sklearn.metrics import roc_auc_score

    grid = AttackGrid(("fgsm",), (0.05,), (None,), ("cross_entropy", "margin", "+signal"))
    sample = Sample(config="of_five", data_dir=str(data_dir))
    runs.evaluate([f"a={run_directories['five']}"], sample, tmp_path / "five", grid, replicates=10)
    jets = datasets["five"].arrays("test")
    logits = saving.load(run_directories["five"])(jets.features).numpy().astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    score = (p[:, 0] + 2 * p[:, 3]) / (0.1 * p[:, 2] + 0.9 * p[:, 1])
    pair = jets.label != 4
    expected = roc_auc_score(np.isin(jets.label, (0, 3))[pair], score[pair], sample_weight=jets.weights[pair])
    results = json.loads((tmp_path / "five" / "metrics.json").read_text())["results"]["a"]
    assert results["clean"]["signal"]["value"] == pytest.approx(expected, abs=1e-6)
    assert results["FGSM on margin ε=0.05"]["signal"]["value"] < expected
    text = (tmp_path / "five" / "table.md").read_text()
    assert "signal AUC" in text and "b_soft+b_hard-tagging at the threshold that 1% of the clean charm+uds jets pass" in text
    with pytest.raises(UserError, match="no attack objective 'BvL'; choose one of cross_entropy, paper, signal"):
        runs.evaluate([f"a={run_directories['five']}"], sample, tmp_path / "refused", AttackGrid(objectives=("BvL",)))
    quick = AttackGrid(("fgsm",), caps=(None,))
    runs.evaluate(
        [f"a={run_directories['two']}"], dataclasses.replace(sample, config="of_two"), tmp_path / "two", quick, replicates=5
    )
    text = (tmp_path / "two" / "table.md").read_text()
    assert "background_vs_signal AUC" in text and "BvL" not in text
    # A tagger of five classes says nothing of two.
    with pytest.raises(UserError, match="does not tell background, signal jets apart"):
        runs.evaluate([str(run_directories["five"])], dataclasses.replace(sample, config="of_two"), tmp_path / "other")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "five"])
def test_export_names_the_classes(run_directories, data_dir, tmp_path, name):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    runs.export(str(run_directories[name]), Sample(config=f"of_{name}", data_dir=str(data_dir)), tmp_path / name)
    asset = read_json(tmp_path / name / "saved_model" / "assets" / "kerastag.json")
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / name / "model.onnx").metadata_props}
    assert asset["classes"] == json.loads(metadata["classes"]) == list(CLASSES[name])


@pytest.mark.slow
def test_report_is_about_the_main_discriminator(run_directories, datasets, data_dir, tmp_path, monkeypatch):
    make_reports_quick(monkeypatch)
    robust = trained("two", datasets, data_dir, tmp_path / "robust", defense="fgsm", epochs=2, paper=True)
    options = ReportOptions(epsilons=(0.01, 0.05), replicates=5, physics=PAPER)
    taggers = [f"nominal={run_directories['two']}", f"robust={robust}"]
    sample = Sample(config="of_two", data_dir=str(data_dir), max_jets=400)
    with contextlib.redirect_stdout(None):
        runs.report(taggers, sample, tmp_path / "report", options)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "background_vs_signal area (background against signal)" in text
    assert "pushes background and signal jets towards each other" in text
    assert "BvL" not in text and "b and light" not in text
    assert all(f"{name} jets" in text for name in CLASSES["two"])


def test_grids_name_discriminators_that_are_known_with_the_data_set_alone(dataset):
    (_, condition) = conditions(AttackGrid(("fgsm",), caps=(None,), objectives=("nonsense",)))
    with pytest.raises(UserError, match=r"no attack objective .nonsense.; .* BvL, CvB, CvL, BvC"):
        condition.build(dataset)
