"""Whole trainings: the run directory, resuming, and the commands on what they leave."""

import csv
import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastag
from kerastag import runs
from kerastag.attacks import CLEAN, Condition, rules
from kerastag.errors import UserError
from kerastag.evaluation import diagnostics
from kerastag.evaluation.diagnostics import Check
from kerastag.evaluation.taggers import TREES
from kerastag.files import write_json
from kerastag.layers.precision import precisions
from kerastag.recipes import Settings, run_config
from kerastag.request import PAPER, PHYSICS, AttackGrid
from kerastag.runs.defense_rows import Strengths, trainings
from kerastag.runs.train import _evaluate, _started, check_same
from kerastag.saving import export_onnx, taggers
from kerastag.training import assembly, fitting
from kerastag.training.checkpoint import TrainingState
from tests.conftest import run_command

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Everything that has state: dropout, a random attack, the choice of the best epoch, a schedule.
OPTIONS = {
    "config": "jet_flavor",
    "defense": "pgd-2",
    "attack": "pgd-2",
    "epochs": 6,
    "batch_size": 290,  # 7 steps of about 2,160 jets, whatever the split makes of them
    "model": "mlp",
    "select": "val_BvL_auc_pgd-2",
    "paper": True,  # quicker than the physical box, which has no state either
}


@pytest.fixture(scope="session")
def run_directory(dataset, data_dir, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "whole"
    runs.train(Settings.resolve({**OPTIONS, "data_dir": str(data_dir)}), output)
    return output


def history(directory: Path) -> list[dict]:
    rows = list(csv.DictReader((directory / "history.csv").read_text().splitlines()))
    return [{name: value for name, value in row.items() if name != "jets_per_second"} for row in rows]


def assert_same_result(one: Path, other: Path) -> None:
    assert history(one) == history(other)
    for a, b in zip(kerastag.load(one).get_weights(), kerastag.load(other).get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


def test_run_directory_holds_everything(run_directory, dataset):
    names = {path.name for path in run_directory.iterdir()}
    assert names == {
        "config.json",
        "tagger.keras",
        "saved_model",
        "history.csv",
        ".lock",
        "made_by.json",
        "checkpoints",
        "logs",
        "figures",
        "metrics.json",
    }
    config = json.loads((run_directory / "config.json").read_text())
    assert config["fingerprint"] == dataset.fingerprint
    assert Settings.resolve(config["settings"]).hyperparameters.epochs == 6
    metrics = json.loads((run_directory / "metrics.json").read_text())["results"]["whole"]
    assert list(metrics) == ["clean", "FGSM ε=0.01 paper's box", "FGSM ε=0.01 paper's box cap 20%"]
    area = metrics["clean"]["BvL"]
    assert area["low"] < area["value"] < area["high"]


def test_a_run_is_evaluated_under_its_own_cap(run_directory, dataset, tmp_path):
    settings = dataclasses.replace(run_config(run_directory)["settings"], relative_cap=0.05)
    _evaluate(settings, dataset, kerastag.load(run_directory), tmp_path)
    capped, usual = (
        json.loads((folder / "metrics.json").read_text())["results"][folder.name] for folder in (tmp_path, run_directory)
    )
    tight, loose = "FGSM ε=0.01 paper's box cap 5%", "FGSM ε=0.01 paper's box cap 20%"
    assert list(capped) == ["clean", "FGSM ε=0.01 paper's box", tight]
    assert capped["clean"]["BvL"]["value"] > capped[tight]["BvL"]["value"] > usual[loose]["BvL"]["value"]


def test_last_epoch_has_made_its_number_of_updates(dataset, run_directory):
    """Steps in an execution must divide those of an epoch, or Keras adds some."""
    steps = dataset.steps("train", OPTIONS["batch_size"])
    assert steps % 8 and steps > 1
    with np.load(next((run_directory / "checkpoints").glob("epoch-*")) / "state.npz") as state:
        scalars = [state[name] for name in state.files if state[name].shape == () and state[name].dtype.kind == "i"]
    assert OPTIONS["epochs"] * steps in scalars


def test_selected_epoch_is_the_best_attacked_one(run_directory, dataset):
    from kerastag.metrics import discriminator_auc

    split = dataset.arrays("validation")
    rows = history(run_directory)
    best = max(range(len(rows)), key=lambda epoch: float(rows[epoch]["val_BvL_auc_pgd-2"]))
    area = discriminator_auc(split.label, kerastag.load(run_directory)(split.features).numpy())["BvL"]
    assert area == pytest.approx(float(rows[best]["val_BvL_auc"]), abs=1e-9)


def test_tensorboard_has_areas_settings_and_precision_against_recall(run_directory, dataset):
    """Precision where everything is tagged is the share of b among b and light jets; half-way it is scikit-learn's."""
    from sklearn.metrics import precision_score, recall_score
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.hparams import plugin_data_pb2
    from tensorboard.util.tensor_util import make_ndarray

    events = EventMultiplexer().AddRunsFromDirectory(str(run_directory / "logs")).Reload()
    names = {(run, tag) for run, tags in events.Runs().items() for tag in tags["tensors"]}
    shown = ("epoch_BvL_auc", "epoch_BvL_auc_pgd-2", "BvL, pgd-2/pr_curves")
    assert {("validation", tag) for tag in shown} <= names
    metadata = events.SummaryMetadata(".", "_hparams_/session_start_info").plugin_data.content
    settings = plugin_data_pb2.HParamsPluginData.FromString(metadata).session_start_info.hparams
    assert settings["defense"].string_value == "pgd-2" and settings["epsilon"].number_value == 0.01
    assert settings["seed"].WhichOneof("kind") == "number_value" and settings["seed"].number_value == 0
    assert "data_dir" not in settings
    split = dataset.arrays("validation")
    b, light = (dataset.schema.class_names.index(name) for name in ("b", "light"))
    sides = np.isin(split.label, (b, light))
    best = max(range(OPTIONS["epochs"]), key=lambda epoch: float(history(run_directory)[epoch]["val_BvL_auc_pgd-2"]))
    curves = events.Tensors("validation", "BvL, clean/pr_curves")
    assert [event.step for event in curves] == list(range(OPTIONS["epochs"]))
    _, _, _, _, precision, recall = make_ndarray(curves[best].tensor_proto)
    assert precision[0] == pytest.approx((split.label == b).sum() / sides.sum()) and recall[0] == 1
    probabilities = keras.ops.softmax(kerastag.load(run_directory)(split.features[sides])).numpy().astype(float)
    score = probabilities[:, b] / (probabilities[:, b] + probabilities[:, light])
    tagged, true = score >= 0.5, split.label[sides] == b
    assert precision[100] == pytest.approx(precision_score(true, tagged), abs=2e-3)
    assert recall[100] == pytest.approx(recall_score(true, tagged), abs=2e-3)


def test_exports_agree_with_the_tagger(run_directory, dataset):
    x = dataset.arrays("test").features
    tagger, exported = kerastag.load(run_directory), kerastag.load(run_directory / "saved_model")
    np.testing.assert_allclose(exported(x), tagger(x), atol=1e-6 * abs(tagger(x).numpy()).max())


@pytest.mark.slow
def test_killed_and_resumed_run_ends_bit_equal(run_directory, data_dir, tmp_path):
    output = tmp_path / "killed"
    options = [
        f"--{name.replace('_', '-')}" if value is True else f"--{name.replace('_', '-')}={value}"
        for name, value in OPTIONS.items()
    ]
    command = [sys.executable, SCRIPTS / "train.py", *options, f"--data-dir={data_dir}", f"--output={output}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not list(output.glob("checkpoints/epoch-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (output / "tagger.keras").exists()
    # What a writer that was killed leaves behind must not matter either.
    (output / "checkpoints" / ".writing_left" / "epoch-00099").mkdir(parents=True)
    resumed = run_command("train", "--output", output, "--resume", "--data-dir", data_dir)
    assert resumed.code == 0, resumed.err
    assert "Resuming" in resumed.out
    assert_same_result(run_directory, output)


def test_a_run_goes_on_in_its_own_box_alone(run_directory, dataset, tmp_path):
    """A version that drew the box otherwise, or a schema of other ties, went on without a word."""
    settings = dataclasses.replace(run_config(run_directory)["settings"], physics=PHYSICS)
    config = run_config(run_directory) | {"settings": settings, "box": rules.fingerprint(dataset.schema, settings.physics)}
    check_same(config, settings, dataset, run_directory)
    for other in (f"0-{config['box'].partition('-')[2]}", f"{config['box']}0", "paper", ""):
        with pytest.raises(UserError, match="attacks of another version"):
            check_same(config | {"box": other}, settings, dataset, run_directory)
    untied = dataclasses.replace(dataset.schema, ties=dataset.schema.ties[1:])
    assert untied.facts_of_attacks() != dataset.schema.facts_of_attacks()
    assert untied.facts_of_data() == dataset.schema.facts_of_data()


def test_run_killed_after_its_last_epoch_is_finished_by_resume(run_directory, data_dir, tmp_path):
    import shutil

    output = tmp_path / "finished"
    shutil.copytree(run_directory, output)
    (output / "tagger.keras").unlink()
    (output / "history.csv").unlink()
    runs.train(Settings.resolve({**OPTIONS, "data_dir": str(data_dir)}), output, resume=True)
    assert_same_result(run_directory, output)


def test_existing_run_is_not_overwritten(run_directory, data_dir, tmp_path):
    settings = Settings.resolve({**OPTIONS, "data_dir": str(data_dir)})
    with pytest.raises(UserError, match="--resume"):
        runs.train(settings, run_directory)
    with pytest.raises(UserError, match=r"seed=0, not 1"):
        runs.train(dataclasses.replace(settings, seed=1), run_directory, resume=True)
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="not empty"):
        runs.train(settings, tmp_path)


def test_what_a_run_says_of_folders_and_functions_is_not_followed(run_directory, dataset, data_dir, tmp_path):
    """It may have come from somebody else."""
    for name in ("folders", "function"):
        (tmp_path / name).mkdir()
        config = json.loads((run_directory / "config.json").read_text())
        config["settings"] |= {"data_dir": str(tmp_path / "theirs")} if name == "folders" else {"model": "theirs:build"}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    followed = run_command("train", "--resume", "--output", tmp_path / "folders", "--seed", 1, "--data-dir", data_dir)
    assert followed.code == 2 and "seed=0, not 1" in followed.err
    assert not (tmp_path / "theirs").exists()
    called = run_command("train", "--resume", "--output", tmp_path / "function", "--data-dir", data_dir)
    assert called.code == 2 and "say with --model theirs:build that it may be called" in called.err


def test_run_killed_while_it_wrote_its_first_file_can_begin(tmp_path):
    (tmp_path / ".writing_left").mkdir()
    assert _started(tmp_path, resume=True) is None


def test_finished_run_with_other_settings_is_not_mixed_into_a_study(run_directory, dataset, data_dir, tmp_path):
    import shutil

    shutil.copytree(run_directory, tmp_path / "nominal-seed0")
    write_json(tmp_path / "made_by.json", {"command": "study"})
    settings = Settings.resolve({**OPTIONS, "epochs": 1, "data_dir": str(data_dir)})
    with pytest.raises(UserError, match="was started with"):
        runs.study(settings, tmp_path, [0], [0.01], AttackGrid(epsilons=(0.01,)))


def test_checkpoint_of_another_model_is_refused(run_directory, dataset):
    import keras

    from kerastag import models
    from kerastag.training.adversarial_tagger import AdversarialTagger

    model = AdversarialTagger(models.mlp(dataset.schema, dataset.statistics, hidden=(4,)))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    state = TrainingState(run_directory / "checkpoints", [])
    with pytest.raises(UserError, match="another model"):
        model.fit(dataset.batches("train", 500), epochs=9, initial_epoch=6, shuffle=False, callbacks=[state], verbose=0)


@pytest.mark.slow
def test_paper_recipe_keeps_its_steps_on_few_jets(dataset, data_dir, tmp_path, capsys):
    options = {"config": "jet_flavor", "recipe": "paper", "epochs": 2, "defense": "fgsm-mixed", "paper": True}
    runs.train(Settings.resolve({**options, "attack_mode": "training", "data_dir": str(data_dir)}), tmp_path / "paper")
    assert "instead of 65536" in capsys.readouterr().out
    rows = history(tmp_path / "paper")
    assert float(rows[1]["loss"]) < float(rows[0]["loss"]) < 1e-4  # a focal loss with γ = 25 is tiny


@pytest.mark.slow
def test_evaluate_compares_taggers_and_writes_what_it_says(run_directory, data_dir, tmp_path):
    output = tmp_path / "comparison"
    arguments = [run_directory, f"export={run_directory / 'saved_model'}"]
    options = [
        "--config=jet_flavor",
        f"--data-dir={data_dir}",
        "--epsilon=0.05",
        "--attack",
        "fgsm",
        "pgd-2",
        "--replicates=20",
        "--max-jets=300",
        "--objective=cross_entropy",
        "--paper",
        "--diagnose",
        "--certify=crown",
        "--smooth=0.1",
        "--negative-tags",
    ]
    result = run_command("evaluate", *arguments, *options, "--output", output)
    assert result.code == 0, result.err
    assert (output / "roc.png").stat().st_size > 10_000
    content = json.loads((output / "metrics.json").read_text())
    fgsm, pgd = "FGSM ε=0.05 paper's box", "PGD-2 ε=0.05 paper's box"
    assert set(content["conditions"]) == {"clean", fgsm, pgd}
    whole, exported = content["results"]["whole"], content["results"]["export"]
    assert len(content["diagnostics"]["whole"]) == 12 and "Is the robustness real?" in result.out
    assert whole["clean"]["BvL"]["value"] == pytest.approx(exported["clean"]["BvL"]["value"], abs=1e-6)
    # An export mends what the attack moves beyond valid ranges.
    assert whole[fgsm]["BvL"]["value"] < exported[fgsm]["BvL"]["value"]
    assert whole[fgsm]["BvL"]["loss"] > 0 and whole[fgsm]["tagged"]["b"] != whole["clean"]["tagged"]["b"]
    (certificate,) = content["certified"].pop("whole")
    assert certificate["box"] == "ε=0.05 paper's box" and not content["certified"]
    assert all(certificate["areas"][name]["value"] < whole[pgd][name]["value"] for name in ("BvL", "CvB", "CvL"))
    assert [(rate, *shares) for rate, shares in certificate["tagged"].items()] == [
        ("0.1", "b", "light"),
        ("0.01", "b", "light"),
    ]
    assert "CvB AUC, at least" in result.out
    assert "export has no certificate. No bounds can be had: the layer" in result.out
    lengths = [row["tagged"]["b"]["value"] for row in content["smoothed"] if row["tagger"] == "export"]
    assert len(lengths) == 8
    assert all(lengths[point] == sorted(lengths[point], reverse=True) for point in (slice(4), slice(4, 8)))
    tags = content["negative_tags"]
    assert [row["condition"] for row in tags] == 2 * 2 * ["clean", fgsm, pgd]
    assert 0 < tags[0]["negative_of_all"]["value"] < 1 and tags[0]["mistagged"] == {"not_defined": "fewer than 20 jets"}
    assert (output / "table.md").read_text().strip() in result.out
    again = run_command("evaluate", *arguments, *options, "--output", output)
    assert again.code == 2 and "--overwrite" in again.err
    unsized = ["--attack", "noise", "--certify", "crown", *options[:2], "--output", tmp_path / "none"]
    assert "none of the attacks has a size" in run_command("evaluate", run_directory, *unsized).err
    in_budget = ["--budget", "envelope", "--smooth", "0.1", *options[:2], "--output", tmp_path / "none"]
    refused = run_command("evaluate", run_directory, *in_budget)
    assert "leave --budget out" in refused.err and "Attacking" not in refused.err


@pytest.mark.parametrize("passed", [True, None, False])
def test_a_certificate_that_an_attack_exceeds_ends_in_a_sentence_behind_the_results(
    run_directory, data_dir, tmp_path, monkeypatch, passed
):
    check = Check("certificate of BvL", passed, 0.1, 0.0, "largest excess")
    another = Check("growth", False, 0.1, 0.2, "a sign of useless gradients")
    monkeypatch.setattr(diagnostics, "check_robustness", lambda *_, **__: [another, check])
    options = ["--config=jet_flavor", f"--data-dir={data_dir}", "--replicates=2", "--max-jets=60", "--attack=fgsm", "--paper"]
    result = run_command("evaluate", f"net={run_directory}", *options, "--diagnose", "--output", tmp_path / "results")
    table = tmp_path / "results" / "table.md"
    assert table.read_text().strip() in result.out and "| certificate of BvL |" in result.out
    stored = json.loads((tmp_path / "results" / "metrics.json").read_text())["diagnostics"]["net"]
    assert [one["passed"] for one in stored] == [False, passed]
    last = (result.err.strip().splitlines() or [""])[-1]
    sentence = f"attacks exceed the certificate of net, as '{table}' shows; please report"
    assert result.code == (1 if passed is False else 0)
    assert (last.startswith("This is a defect of kerastag") and sentence in last) == (passed is False)
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--config", "nonsense"], "There is no data set config 'nonsense'"),
        (["train", "--manual-dir", "/no/such/folder"], "'/no/such/folder' (--manual-dir) does not exist"),
        (["train", "--epsilon", "-1", "--config", "jet_flavor", "--adversarial"], "epsilon"),
        (
            ["train", "--only", "trak_*", "--config", "jet_flavor", "--adversarial"],
            "No feature of jet_flavor matches 'trak_*'",
        ),
        (["train", "--select", "val_nonsense", "--config", "jet_flavor"], "cannot be selected by 'val_nonsense'"),
        (["train", "--defense", "pfn"], "There is no defence 'pfn'; it is a model: --model pfn."),
        (
            ["train", "--defense", "lipschitz", "--model", "pfn"],
            "The defence 'lipschitz' trains the model lipschitz_mlp, not pfn; leave 'model' out.",
        ),
        (["train", "--defense", "my:Own", "--adversarial"], "leave it out with --defense my:Own"),
        (["train", "--settings", "/no/such.toml"], "'/no/such.toml' cannot be read"),
        (["evaluate", "/no/such/run", "--config", "jet_flavor", "--output", "/tmp/never"], "is no tagger"),
        (
            ["evaluate", "DeepFlavour", "--config", "deepflavour", "--negative-tags", "--output", "/tmp/never"],
            "deepflavour has no inputs that can be flipped to the other side of the vertex",
        ),
        (["evaluate", "--scores", "mine=jet_pt", "--negative-tags", "--output", "/tmp/never"], "certified or flipped"),
        (["convert_jet_flavor", "/no/such.gz", "/tmp/never"], "There is no file '/no/such.gz'"),
        (["threat_model", "--config", "nonsense"], "There is no data set config"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_sentence(dataset, data_dir, tmp_path, arguments, sentence):
    options = [] if arguments[0].startswith("convert") else ["--data-dir", data_dir]
    options += ["--output", tmp_path / "run"] if arguments[0] == "train" else []
    result = run_command(*arguments, *options)
    assert result.code == 2
    assert result.err.count("\n") == 1 and result.err.startswith("error: ") and sentence in result.err
    assert "--only" not in arguments or not (tmp_path / "run").exists()


def test_threat_model_is_printed_feature_by_feature(dataset, data_dir):
    where = ["threat_model", "--config=jet_flavor", f"--data-dir={data_dir}"]
    assert "not below 0" not in (free := run_command(*where, "--no-bounds").out) and ", no bounds" in free
    result = run_command(*where, "--epsilon=0.1")
    assert "not below 0" in result.out
    row = next(line for line in result.out.splitlines() if line.startswith("| track_0_D0 "))
    sigma = dataset.statistics.sigma[dataset.schema.index("track_0_D0")]
    assert f"{0.1 * sigma:.3g}" in row


@pytest.mark.slow
def test_averaged_training_resumes_to_the_same_result(dataset, data_dir, tmp_path, killed_after_two_epochs):
    """The swapped weights are part of a checkpoint."""
    options = {
        "config": "jet_flavor",
        "epochs": 4,
        "ema": 0.9,
        "defense": "fgsm-rs",
        "ramp_epochs": 2,
        "data_dir": str(data_dir),
        "paper": True,
    }
    settings = Settings.resolve({**options, "random_epsilon": True})
    runs.train(settings, tmp_path / "whole")

    killed_after_two_epochs(settings, tmp_path / "parts")
    runs.train(settings, tmp_path / "parts", resume=True)
    whole, parts = (kerastag.load(tmp_path / name).get_weights() for name in ("whole", "parts"))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)
    rows = history(tmp_path / "parts")
    assert {"val_cross_entropy_pgd-5", "val_BvL_auc_fgsm"} <= set(rows[0])


@pytest.fixture
def killed_after_two_epochs(monkeypatch):
    """A training that ends as if it was killed."""

    class Killed(Exception):
        pass

    def die(self, epoch, logs=None, write=TrainingState.on_epoch_end):
        write(self, epoch, logs)
        if epoch == 1:
            raise Killed

    def train(settings, output):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(TrainingState, "on_epoch_end", die)
            runs.train(settings, output)

    return train


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_run_with_hidden_layers_of_16_bits(dataset, data_dir, tmp_path, precision, killed_after_two_epochs):
    """Recorded, resumed to the same result, loaded, exported in float32 at both ends; not as ONNX."""
    options = {"config": "jet_flavor", "epochs": 4, "defense": "fgsm-rs", "paper": True, "data_dir": str(data_dir)}
    settings = Settings.resolve(options | {"mixed": precision, "jit": "off"})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    runs.train(settings, whole)
    killed_after_two_epochs(settings, parts)
    with pytest.raises(UserError, match=f"mixed={precision}, not None"):
        runs.train(dataclasses.replace(settings, mixed=None), parts, resume=True)
    assert run_command("train", "--output", parts, "--resume", "--data-dir", data_dir).code == 0
    assert_same_result(whole, parts)
    config = json.loads((whole / "config.json").read_text())
    assert config["settings"]["mixed"] == precision and config["jit_compile"] is False
    tagger, exported = kerastag.load(whole), kerastag.load(whole / "saved_model")
    assert set(precisions(tagger).values()) == {precision}
    x = dataset.arrays("test").features[:200]
    assert tagger(x).dtype == exported(x).dtype == "float32"
    np.testing.assert_allclose(exported(x), tagger(x), atol=0.05)
    signature = tf.saved_model.load(str(whole / "saved_model")).signatures["serving_default"]
    assert all(spec.dtype == tf.float32 for spec in signature.structured_input_signature[1].values())
    assert all(spec.dtype == tf.float32 for spec in signature.structured_outputs.values())
    for source in (whole, whole / "saved_model"):
        assert taggers.load(str(source), dataset.schema).model(x).dtype == "float32"
    with pytest.raises(UserError, match="which ONNX Runtime rounds otherwise or not at all"):
        export_onnx(tagger, dataset.schema, tmp_path / "model.onnx")


@pytest.mark.slow
def test_patience_stops_a_training_that_gets_no_better(dataset, data_dir, tmp_path):
    options = {"config": "jet_flavor", "epochs": 30, "select": "val_BvL_auc_fgsm", "patience": 2, "learning_rate": 1e-9}
    options["paper"] = True
    runs.train(Settings.resolve({**options, "data_dir": str(data_dir)}), tmp_path / "run")
    assert len(history(tmp_path / "run")) < 10


@pytest.mark.parametrize(
    "defense",
    [
        *("trades", "consistency", "free", "input-gradient", "cure", "ibp", "crown-ibp", "awp", "ngm", "noise", "rdsa"),
        *("fgsm-mixed", "variations-fgsm", "variations-input-gradient"),
    ],
)
def test_every_defense_can_be_named(dataset, defense):
    given = {"config": "jet_flavor", "defense": defense, "only": ["track_*"], "scale": "core"}
    given |= {"variations": "folder"} if defense.startswith("variations") else {}
    given |= {"unlabelled": "data"} if defense == "consistency" else {}
    settings = Settings.resolve(given)
    made = assembly.make_defense(settings, dataset, steps_per_epoch=10)
    threat_model = made.threat_model if made.attack is None else made.attack.threat_model
    assert not threat_model.alone[:2].any() and threat_model.alone.any()
    np.testing.assert_allclose(threat_model.scale, dataset.scale("core"), rtol=1e-6)


@pytest.mark.parametrize(("defense", "method"), [("ibp", "interval"), ("crown-ibp", "crown")])
def test_certified_losses_are_those_of_their_method_in_a_box_without_ties(dataset, defense, method):
    made = assembly.make_defense(Settings.resolve({"config": "jet_flavor", "defense": defense}), dataset, steps_per_epoch=10)
    assert made.method == method and made.threat_model.limits_all
    assert not assembly.make_threat_model(Settings.resolve({"config": "jet_flavor"}), dataset).limits_all


@pytest.mark.parametrize("defense", ["ibp", "crown-ibp", "domain"])
def test_what_should_rise_slowly_takes_half_of_the_steps_unless_told_otherwise(dataset, defense):
    """Of 4 epochs of 10 steps it waits for 4 and rises in 20."""
    given = {"defense": defense, "epochs": 4} | ({"unlabelled": "data"} if defense == "domain" else {})
    told = {"warmup_epochs": 1, "ramp_epochs": 2}
    usual, ours, attacked = (
        assembly.make_defense(Settings.resolve(settings), dataset, steps_per_epoch=10)
        for settings in (given, given | told, {"defense": "fgsm", "epochs": 4})
    )

    assert [float(usual.ramp(tf.constant(step))) for step in (0, 3, 4, 13, 23, 39)] == pytest.approx([0, 0, 0.05, 0.5, 1, 1])
    assert [float(ours.ramp(tf.constant(step))) for step in (9, 10, 19, 29)] == pytest.approx([0, 0.05, 0.5, 1])
    assert attacked.ramp is None


def test_a_defence_that_is_a_model_trains_that_nominally_whatever_the_recipe(dataset):
    for given in ({}, {"recipe": "paper"}, {"model": "lipschitz_mlp"}):
        settings = Settings.resolve({"config": "jet_flavor", "defense": "lipschitz"} | given)
        assert Settings.resolve(settings.to_dict()) == settings
        assert fitting.build_tagger(settings, dataset).name == "lipschitz_mlp"
        assert assembly.make_defense(settings, dataset, steps_per_epoch=10) is None
    assert Settings.resolve({"recipe": "paper", "defense": "fgsm"}).hyperparameters.model == "paper_mlp"


@pytest.mark.parametrize("model", ["mlp", "pfn"])
def test_beside_other_defences_it_keeps_its_model(model):
    rows = trainings(Settings.resolve({"model": model}), {"fgsm": [0], "lipschitz": [1]}, Strengths([0.01, 0.02]), {})
    found = {name: [(one.seed, one.hyperparameters.model) for one in seeds] for name, seeds in rows.items()}
    assert found == {"fgsm": [(0, model)], "fgsm ε=0.02": [(0, model)], "lipschitz": [(1, "lipschitz_mlp")]}


@pytest.mark.parametrize("defense", ["sam", "asam", "awp"])
def test_how_far_weights_move_can_be_said(dataset, defense):
    made, usual = (
        assembly.make_defense(Settings.resolve({"defense": defense, "rho": rho}), dataset, steps_per_epoch=10)
        for rho in (0.3, None)
    )
    assert made.rho == 0.3 and usual.rho == type(made)(*[made.inner] * (defense == "awp")).rho


@pytest.mark.parametrize("defense", ["crown-ibp", "cure", "domain"])
def test_the_weight_of_a_defence_can_be_said(dataset, defense):
    given = {"defense": defense, "unlabelled": "data" if defense == "domain" else None}
    settings = [Settings.resolve(given | {"weight": weight}) for weight in (0.3, None)]
    made, usual = (assembly.make_defense(one, dataset, steps_per_epoch=10) for one in settings)
    assert (made.weight, usual.weight) == (0.3, {"crown-ibp": 0.5, "cure": 300.0, "domain": 1.0}[defense])


@pytest.mark.parametrize("defense", ["fgsm", "trades", "input-gradient", "cure", "awp"])
def test_no_size_in_training_tells_the_flavour(dataset, defense):
    """A network that was trained in `envelope` by flavour separated attacked jets better than clean ones."""
    given = {"config": "jet_flavor", "budget": "envelope"}
    made = assembly.make_defense(Settings.resolve(given | {"defense": defense}), dataset, steps_per_epoch=10)
    trained_in = made.threat_model if made.attack is None else made.attack.threat_model
    # CURE is trained in the box without ties, whose cells have other limits.
    evaluated_in = assembly.make_attack(Settings.resolve(given | {"untied": defense == "cure"}), dataset).threat_model
    x = dataset.arrays("train").features
    in_training, in_evaluation = (
        np.stack([threat_model.box(x, np.tile(flavour, (len(x), 1))).high for flavour in np.eye(3, dtype=np.float32)])
        for threat_model in (trained_in, evaluated_in)
    )
    assert (in_training == in_training[0]).all() and (in_evaluation != in_evaluation[0]).any()
    assert (in_training >= in_evaluation).all()


def test_a_run_of_another_usual_weight_is_not_taken_for_the_same(dataset, tmp_path):
    settings = Settings.resolve({"config": "jet_flavor", "defense": "cure"})
    started = {"settings": settings, "fingerprint": dataset.fingerprint}
    started |= {
        "box": rules.fingerprint(dataset.schema, settings.physics),
        "ratios": None,
        "variations": {},
        "strength": {"weight": 300.0},
    }
    check_same(started, settings, dataset, tmp_path)
    check_same(started | {"strength": None}, settings, dataset, tmp_path)  # of a version that did not say
    with pytest.raises(UserError, match="'cure' had the usual strength"):
        check_same(started | {"strength": {"weight": 1.0}}, settings, dataset, tmp_path)


def test_a_wrong_size_is_refused_before_anything_is_trained(dataset, data_dir, tmp_path):
    settings = Settings.resolve({"config": "jet_flavor", "data_dir": str(data_dir)})
    with pytest.raises(UserError, match="epsilon"):
        runs.benchmark_robustness(settings, tmp_path / "out", {"nominal": [0], "fgsm": [0]}, strengths=Strengths((-1.0,)))
    with pytest.raises(UserError, match="beta"):
        runs.benchmark_robustness(settings, tmp_path / "out", {"trades": [0]}, strengths=Strengths(betas=(-1.0,)))
    with pytest.raises(UserError, match="rho"):
        runs.benchmark_robustness(settings, tmp_path / "out", {"sam": [0]}, strengths=Strengths(factors=(-1.0,)))
    with pytest.raises(UserError, match=r"None of the attacks has the size 0\.01 and looks at the tagger"):
        runs.benchmark_robustness(settings, tmp_path / "out", {"sam": [0]}, [Condition("noise", 0.01), Condition("fgsm", 0.05)])
    with pytest.raises(UserError, match="epsilon"):
        runs.study(settings, tmp_path / "out", train_epsilons=(0.01, -1.0))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_benchmark_of_defenses_is_resumed(dataset, data_dir, tmp_path, capsys):
    attacks = (Condition("fgsm", 0.01), Condition("noise", 0.05))
    given = {"config": "jet_flavor", "epochs": 1, "data_dir": str(data_dir), "batch_size": 300, "paper": True}
    settings = Settings.resolve(given)
    runs.benchmark_robustness(settings, tmp_path, {"nominal": [0], "fgsm": [0, 1]}, attacks)
    text = (tmp_path / "table.md").read_text()
    assert text in capsys.readouterr().out
    assert text.count("| nominal ") == text.count("| fgsm ") == 3
    stored = json.loads((tmp_path / "nominal-seed0" / "robustness.json").read_text())
    labels = ["FGSM ε=0.01 paper's box", "noise ε=0.05 paper's box", "marginal-preserving ε=0.01"]
    assert list(stored["areas"]) == [CLEAN.label, *labels]
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.json")}
    runs.benchmark_robustness(settings, tmp_path, {"nominal": [0], "fgsm": [0, 1]}, attacks)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.json")}
    figure = (tmp_path / "pareto.png").read_bytes()
    assert text.count(f"| {TREES} ") == 3
    given = {"attacks": attacks, "strengths": Strengths((0.01, 0.02)), "trees": False}
    runs.benchmark_robustness(
        settings, tmp_path, {"nominal": [0], "fgsm": [0]}, **given, beside=[f"same={tmp_path / 'nominal-seed0'}"]
    )
    assert json.loads((tmp_path / "fgsm-0.02-seed0" / "config.json").read_text())["settings"]["epsilon"] == 0.02
    assert (tmp_path / "table.md").read_text().count("| fgsm ε=0.02 ") == 3
    assert (tmp_path / "pareto.png").read_bytes() != figure
    rows = [line.split("|")[1:-2] for line in (tmp_path / "table.md").read_text().splitlines()]
    ours, same = ([row[2:] for row in rows if row and row[0].strip() == name] for name in ("nominal", "same"))
    assert ours == same and len(ours) == 3
    times = [line.split("|")[-2].strip() for line in (tmp_path / "table.md").read_text().splitlines() if "| same " in line]
    assert len(times) == 3 and all(float(time) > 0 for time in times)
    with pytest.raises(UserError, match="called 'fgsm' already"):
        runs.benchmark_robustness(settings, tmp_path, {"fgsm": [0]}, beside=[f"fgsm={tmp_path / 'nominal-seed0'}"])


@pytest.mark.parametrize(("attack", "epsilon"), [("fgsm", 0.02), ("pgd-2", 0.5), ("noise", 0.3)])
def test_figure_of_an_evaluation_shows_whatever_attack_was_asked_for(
    run_directory, data_dir, tmp_path, monkeypatch, attack, epsilon
):
    """Not only those of usual names and sizes."""
    from kerastag import plots

    drawn = {}
    roc = plots.roc
    monkeypatch.setattr(plots, "roc", lambda y, logits, *others: drawn.update(logits) or roc(y, logits, *others))
    arguments = [
        "--config=jet_flavor",
        f"--data-dir={data_dir}",
        f"--epsilon={epsilon}",
        "--max-jets=100",
        "--replicates=2",
        "--paper",
    ]
    result = run_command("evaluate", run_directory, *arguments, "--output", tmp_path / "out", "--attack", attack)
    assert result.code == 0, result.err
    assert list(drawn["whole"]) == [CLEAN.label, Condition(attack, epsilon, physics=PAPER).label]
