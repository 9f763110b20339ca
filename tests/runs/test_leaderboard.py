"""The command `leaderboard` as three people use it: one enters a tagger, another attacks it better, a third looks."""

import json

import keras
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from kerastag import models
from kerastag.attacks import PGD, ThreatModel, attacked_features
from kerastag.evaluation.two_sample_trees import Halves
from kerastag.leaderboard import contenders
from kerastag.leaderboard.trainings import without_folders
from kerastag.metrics import discriminator_auc
from tests.conftest import run_command

JETS = 300
# So large that one step of FGSM is not the worst that can be done. Its entry is called by it.
EPSILON, STEM = 0.3, "mine-epsilon-0.3"


@pytest.fixture(scope="module")
def stored(dataset, tmp_path_factory):
    """A network of few trainings steps, as a file."""
    keras.utils.set_random_seed(3)
    network = models.mlp(dataset.schema, dataset.statistics, hidden=(16,))
    network.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    train = dataset.arrays("train")
    network.fit(train.features, train.y, batch_size=100, epochs=2, verbose=0)
    path = tmp_path_factory.mktemp("tagger") / "mine.keras"
    network.save(path)
    return path, network


@pytest.fixture(scope="module")
def board(stored, data_dir, tmp_path_factory):
    """Options of a folder with an entry that was attacked with FGSM alone."""
    folder = tmp_path_factory.mktemp("board") / "entries"
    options = ["--entries", folder, "--data-dir", data_dir]
    given = ["--evaluate", stored[0], "--config", "jet_flavor", "--max-jets", JETS, "--attack", "fgsm", "--epsilon", EPSILON]
    done = run_command("leaderboard", *given, "--replicates", 20, *options, "--name", "mine", "--authors", "A. Author")
    assert done.code == 0 and "No place: without PGD-20 on margin, APGD-20 on margin" in done.out, done.err
    return folder, options, given


@pytest.fixture(scope="module")
def attacked(stored, dataset):
    """The jets of the entry under an attack that goes on where FGSM stops."""
    jets = dataset.arrays("test").take(slice(JETS))
    threat_model = ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, EPSILON)
    return attacked_features(stored[1], jets.features, jets.y, PGD(threat_model, steps=10, objective="BvL"))


def submit(path, features, options, *given):
    np.savez(path, features=features)
    return run_command("leaderboard", "--submit", path, *(given or ("--tagger", STEM, "--author", "B. Author")), *options)


def test_an_entry_says_what_was_measured(board, stored, dataset):
    content = json.loads((board[0] / f"{STEM}.json").read_text())
    jets = dataset.arrays("test").take(slice(JETS))
    clean = discriminator_auc(jets.y, stored[1].predict(jets.features, verbose=0), jets.weights)["BvL"]
    assert content["clean"]["value"] == pytest.approx(clean, abs=3e-4)
    assert content["best"]["area"]["value"] < clean and content["best"]["attack"] == "FGSM on margin"
    assert (content["parameters"], content["authors"]) == (stored[1].count_params(), "A. Author")
    assert "certified" not in content and "varied" not in content and "diagnosed" not in content
    assert content["seen"]["area"]["value"] > 0.5 and abs(content["seen"]["control"]["value"] - 0.5) < 0.2
    assert content["cost"]["jets_per_second"] > 0 and content["cost"]["seconds"] is None  # it has no run directory


def test_a_stronger_attack_of_others_counts_and_stays(board, stored, dataset, attacked, tmp_path):
    folder, options, given = board
    before = json.loads((folder / f"{STEM}.json").read_text())
    done = submit(tmp_path / "attacked.npz", attacked, options)
    assert done.code == 0 and "the strongest attack known from now on" in done.out, done.err
    after = json.loads((folder / f"{STEM}.json").read_text())
    jets = dataset.arrays("test").take(slice(JETS))
    area = discriminator_auc(jets.y, stored[1].predict(attacked, verbose=0), jets.weights)["BvL"]
    assert after["best"]["area"]["value"] == pytest.approx(area, abs=3e-4) and area < before["best"]["area"]["value"]
    assert after["best"]["author"] == "B. Author" and after["attacks"] == before["attacks"]
    seen = Halves(jets.features, jets.label, jets.events).classify(attacked)
    found = {part: pytest.approx(getattr(seen, part).value, abs=1e-9) for part in ("area", "control")}
    assert {part: after["seen"][part]["value"] for part in found} == found
    assert after["seen"]["area"] != before["seen"]["area"]
    assert "submitted jets by B. Author" in (folder / "leaderboard.html").read_text()
    again = submit(tmp_path / "attacked.npz", attacked, options, "--tagger", STEM, "--author", "C. Author")
    assert again.code == 0 and "nothing was changed" in again.out
    assert json.loads((folder / f"{STEM}.json").read_text()) == after
    refused = run_command("leaderboard", *given, *options, "--name", "mine")
    assert refused.code == 2 and "add --overwrite" in refused.err
    assert run_command("leaderboard", *given, *options, "--name", "mine", "--replicates", 20, "--overwrite").code == 0
    anew = json.loads((folder / f"{STEM}.json").read_text())
    assert (anew["best"], anew["seen"]) == (after["best"], after["seen"])


def test_what_others_found_is_not_lost_unasked(board, stored, attacked, tmp_path):
    """Not to an entry of the same name on other jets, nor to another whose file would have that name."""
    folder, options, given = board
    submit(tmp_path / "attacked.npz", attacked, options)
    before = (folder / f"{STEM}.json").read_bytes()
    fewer = ["--max-jets", JETS - 1, "--replicates", 20, "--overwrite"]
    refused = run_command("leaderboard", *given, *options, "--name", "mine", *fewer)
    assert refused.code == 2 and "holds an attack by B. Author on other weights or jets" in refused.err
    refused = run_command("leaderboard", *given, *options, "--name", "mine:", *fewer)
    assert refused.code == 2 and "is the entry of 'mine' in the box ε=0.3; give another --name" in refused.err
    assert (folder / f"{STEM}.json").read_bytes() == before


@pytest.mark.parametrize("name", ["README.md", "table.md", "leaderboard.html", "pareto.png"])
def test_pages_of_somebody_else_are_not_replaced(name, board, tmp_path):
    folder, _, given = board
    (tmp_path / f"{STEM}.json").write_bytes((folder / f"{STEM}.json").read_bytes())
    (tmp_path / name).write_text("# My project\n")
    for words in ([], [*given, "--name", "other"]):
        refused = run_command("leaderboard", *words, "--entries", tmp_path)
        assert refused.code == 2 and f"{name}' would be replaced" in refused.err
    assert (tmp_path / name).read_text() == "# My project\n"
    for entries in (tmp_path / name, tmp_path / name / "sub"):
        refused = run_command("leaderboard", "--entries", entries)
        assert refused.code == 2 and f"{name}' (--entries) is a file; name a folder" in refused.err
    (tmp_path / "attacked.npz").write_bytes(b"")
    words = ["--submit", tmp_path / "attacked.npz", "--tagger", STEM, "--author", "B"]
    refused = run_command("leaderboard", *words, "--entries", tmp_path)
    assert refused.code == 2 and f"{name}' would be replaced" in refused.err


def test_a_damaged_entry_is_said_before_anything_is_measured(board, tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    refused = run_command("leaderboard", *board[2], "--entries", tmp_path)
    assert refused.code == 2 and "notes.json' is damaged" in refused.err and "Data set" not in refused.out
    assert [path.name for path in tmp_path.iterdir()] == ["notes.json"]


def test_what_comes_while_a_tagger_is_loaded_is_not_lost(board, tmp_path, monkeypatch):
    """Somebody's attack is entered between the first look at an entry and the lock."""
    folder, options, given = board
    file = tmp_path / f"{STEM}.json"
    content = json.loads((folder / f"{STEM}.json").read_text())
    file.write_text(json.dumps(content))
    find = contenders.find

    def slow(*arguments):
        file.write_text(json.dumps(content | {"authors": "somebody else"}))
        return find(*arguments)

    monkeypatch.setattr(contenders, "find", slow)
    words = [*given, *options[2:], "--name", "mine", "--replicates", 20, "--overwrite", "--entries", tmp_path]
    refused = run_command("leaderboard", *words)
    assert refused.code == 2 and "was changed by somebody else just now" in refused.err
    assert json.loads(file.read_text())["authors"] == "somebody else"


OWN = """
from kerastag.attacks import FGSM

class Far(FGSM):
    def __call__(self, tagger, x, y, *, training=False, strength=1.0):
        return x + 1000.0
"""


def test_points_of_ones_own_attack_must_lie_in_the_box(board, tmp_path, monkeypatch):
    _, options, given = board
    (tmp_path / "far_attack.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    words = [*given, *options[2:], "--entries", tmp_path / "board", "--attack", "far_attack:Far"]
    refused = run_command("leaderboard", *words)
    assert refused.code == 2 and refused.err.startswith("error: Jet 0: ") and not list(tmp_path.glob("board/*.json"))


def test_who_wants_to_attack_learns_how_the_tagger_was_trained(board, tmp_path):
    folder, options, _ = board
    content = json.loads((folder / f"{STEM}.json").read_text())
    content |= {"tagger": "runs/gone", "training": "scripts/train.py --output runs/gone"}
    (tmp_path / f"{STEM}.json").write_text(json.dumps(content))
    np.savez(tmp_path / "attacked.npz", features=np.zeros((JETS, 3), np.float32))
    words = ["--submit", tmp_path / "attacked.npz", "--tagger", STEM, "--author", "B"]
    refused = run_command("leaderboard", *words, "--entries", tmp_path, *options[2:])
    assert refused.code == 2 and refused.err.count("\n") == 1, refused.err
    assert "The entry of 'mine' needs what is not here. 'runs/gone' is no tagger" in refused.err
    assert "Its tagger was trained by `scripts/train.py --output runs/gone`." in refused.err
    (tmp_path / f"{STEM}.json").write_text(json.dumps(content | {"training": None}))
    refused = run_command("leaderboard", *words, "--entries", tmp_path, *options[2:])
    assert refused.code == 2 and f"It was made by `{content['command']}`." in refused.err


def test_a_bad_submission_changes_nothing(board, attacked, dataset, tmp_path):
    folder, options, _ = board
    before = (folder / f"{STEM}.json").read_bytes()
    wrong = attacked.copy()
    feature = int(np.flatnonzero(dataset.schema.integer)[0])
    wrong[7, feature] += 1
    refused = submit(tmp_path / "wrong.npz", wrong, options)
    assert refused.code == 2 and refused.err.startswith(f"error: Jet 7: '{dataset.schema.names[feature]}' is")
    refused = submit(tmp_path / "few.npz", attacked[:-1], options)
    assert refused.code == 2 and f"the entry has {JETS} jets" in refused.err
    assert (folder / f"{STEM}.json").read_bytes() == before


def test_a_tagger_is_known_by_its_weights_not_by_its_file(board, stored, attacked, tmp_path):
    """Who trains it again by its command gets the same weights in a file of another date."""
    folder, options, _ = board
    content = json.loads((folder / f"{STEM}.json").read_text())
    again = tmp_path / "again.keras"
    keras.models.load_model(stored[0]).save(again)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / f"{STEM}.json").write_text(json.dumps(content | {"tagger": str(again)}))
    done = submit(tmp_path / "attacked.npz", attacked, ["--entries", tmp_path / "other", *options[2:]])
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("word", "shown"),
    [("/a/b", "b"), ("x=/a/b", "x=b"), ("--data-dir=/a/b/", "--data-dir=b"), ("runs/b", "runs/b"), ("x, 10/2", "x, 10/2")],
)
def test_an_entry_names_no_folder_of_this_machine(word, shown):
    assert without_folders(word) == shown


@pytest.mark.slow
def test_trees_are_asked_where_they_have_no_gradient(stored, data_dir, dataset, tmp_path):
    options = ["--config", "jet_flavor", "--data-dir", data_dir, "--entries", tmp_path / "board"]
    given = ["--evaluate", "trees", "--max-jets", JETS, "--epsilon", EPSILON, "--replicates", 20]
    attacks = ["--attacked-on", stored[0], "--attack", "fgsm", "random-search-20"]
    done = run_command("leaderboard", *given, *options, *attacks, "--other-seeds", 5)
    assert done.code == 0 and "It has no gradient" in done.out, done.err
    (path,) = (tmp_path / "board").glob("*.json")
    content = json.loads(path.read_text())
    jets, train = dataset.arrays("test").take(slice(JETS)), dataset.arrays("train")
    for seed, area in ((0, content["clean"]["value"]), (5, content["seeds"][0]["clean"])):
        trees = HistGradientBoostingClassifier(random_state=seed).fit(train.features, train.label)
        clean = discriminator_auc(jets.y, np.log(trees.predict_proba(jets.features)), jets.weights)["BvL"]
        assert area == pytest.approx(clean, abs=3e-4)
    assert content["seeds"][0]["seed"] == 5 and content["seeds"][0]["attacked"] < content["seeds"][0]["clean"]
    areas = {attacked["attack"]: attacked["area"]["value"] for attacked in content["attacks"]}
    assert areas["random search-20 on margin"] < areas["FGSM on margin, made on mine.keras"] <= content["clean"]["value"]
    assert content["attacked_on"] == str(stored[0]) and "parameters" not in content
    assert content["cost"]["seconds"] > 0 and content["cost"]["epochs"] is None
    np.savez(tmp_path / "clean.npz", features=jets.features)
    again = run_command("leaderboard", "--submit", tmp_path / "clean.npz", "--tagger", path.stem, "--author", "B", *options)
    assert again.code == 0 and "nothing was changed" in again.out, again.err
    again = run_command("leaderboard", *given, *options, "--attacked-on", "/no/such/network")
    assert again.code == 2 and "There is an entry" in again.err  # before anything is loaded or trained
    for words, said in (
        ([], "'trees' have no gradients; name a network"),
        (["--attacked-on", stored[0], "--diagnose"], "--diagnose looks at a network; leave it out with trees"),
        (["--attacked-on", stored[0], "--certify", "crown"], "--certify looks at a network; leave it out with trees"),
        (["--attacked-on", stored[0], "--other-seeds", "1", "runs/mine"], "takes other whole numbers, each once, such as 1 2"),
        (["--attacked-on", stored[0], "--other-seeds", "0"], "--other-seeds of trees, which are trained here with seed 0"),
    ):
        refused = run_command("leaderboard", *given, *options, "--name", "x", *words)
        assert refused.code == 2 and said in refused.err and refused.err.count("\n") == 1, refused.err
    refused = run_command("leaderboard", "--evaluate", stored[0], *options, "--attacked-on", stored[0])
    assert refused.code == 2 and "--attacked-on is for trees" in refused.err


def test_other_weights_jets_or_boxes_are_noticed(board, stored, attacked, tmp_path):
    folder, options, _ = board
    content = json.loads((folder / f"{STEM}.json").read_text())
    for part, field, said in (
        (None, "weights_sha256", "other weights than the entry"),
        ("sample", "fingerprint", "other jets than the entry"),
        ("threat", "sha256", "The box of the entry"),
    ):
        changed = json.loads(json.dumps(content))
        (changed[part] if part else changed)[field] = "0" * 64
        (tmp_path / f"{STEM}.json").write_text(json.dumps(changed))
        refused = submit(tmp_path / "attacked.npz", attacked, ["--entries", tmp_path, *options[2:]])
        assert refused.code == 2 and said in refused.err


def run_directory(folder, stored, fingerprint="1", **settings):
    """A training, as far as the leaderboard looks at it: two epochs of 500 jets at 100 jets/s."""
    folder.mkdir()
    (folder / "tagger.keras").write_bytes(stored[0].read_bytes())
    config = {"settings": {"defense": "fgsm", "model": "mlp", "epochs": 2} | settings, "fingerprint": fingerprint}
    config["command"] = ["scripts/train.py", "--output", "runs/mine"]
    (folder / "config.json").write_text(json.dumps(config | {"jets": {"train": {"b": 200, "c": 100, "light": 200}}}))
    (folder / "history.csv").write_text("epoch,jets_per_second\n1,100\n2,100\n")
    return folder


def test_other_seeds_are_measured_and_what_is_none_is_refused(stored, data_dir, dataset, tmp_path):
    one, other = (run_directory(tmp_path / f"seed{seed}", stored, seed=seed, data_dir=str(seed)) for seed in (0, 3))
    longer = run_directory(tmp_path / "longer", stored, seed=1, epochs=3)
    elsewhere = run_directory(tmp_path / "elsewhere", stored, "2", seed=1)
    options = ["--config", "jet_flavor", "--data-dir", data_dir, "--max-jets", JETS, "--paper"]
    options += ["--attack", "fgsm", "--replicates", 20, "--entries", tmp_path / "board"]
    given = ["--evaluate", one, *options]
    wrong = {
        "has another epochs": (one, other, longer),
        "has another data set": (one, elsewhere),
        "has the same seed": (one, other, other),
        "is no run directory": (one, stored[0]),
        "--other-seeds needs a run directory as --evaluate": (stored[0], other),
    }
    for said, (first, *seeds) in wrong.items():
        refused = run_command("leaderboard", "--evaluate", first, *options, "--other-seeds", *seeds)
        assert refused.code == 2 and said in refused.err and refused.err.count("\n") == 1, refused.err
    history = (one / "history.csv").read_text()
    (one / "history.csv").write_text("jets_per_second\nfast\n")
    refused = run_command("leaderboard", *given)
    assert refused.code == 2 and "history.csv', or config.json beside it, is damaged" in refused.err
    (one / "history.csv").write_text(history)
    done = run_command("leaderboard", *given, "--other-seeds", other)
    assert done.code == 0, done.err
    content = json.loads(next((tmp_path / "board").glob("*.json")).read_text())
    assert (content["seed"], content["defence"], content["architecture"]) == (0, "fgsm", "mlp")
    assert content["training"] == "scripts/train.py --output runs/mine"
    (of_seed,) = content["seeds"]  # the same weights
    assert of_seed["seed"] == 3
    assert of_seed["clean"] == content["clean"]["value"] and of_seed["attacked"] == content["best"]["area"]["value"]
    assert content["cost"]["epochs"] == 2 and content["cost"]["seconds"] == pytest.approx(2 * 500 / 100)
    assert "± 0.0000" in (tmp_path / "board" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "x"], "--name needs --evaluate TAGGER"),
        (["--attack", "fgsm"], "--attack needs --evaluate TAGGER"),
        (["--tagger", "x"], "--tagger needs --submit FILE"),
        (["--submit", "x.npz", "--tagger", "x"], "--submit needs --tagger NAME"),
        (["--submit", "x.npz", "--tagger", "x", "--author", "y", "--max-jets", "3"], "--max-jets needs --evaluate TAGGER"),
        (["--data-dir", "x"], "--data-dir needs --evaluate TAGGER or --submit FILE"),
        (["--evaluate", "x", "--epsilon", "0.01", "0.02"], "--epsilon takes one size"),
        (["--evaluate", "x", "--attack", "track-dropout"], "'track-dropout' has no box"),
        (["--evaluate", "x", "--epsilon", "0"], "--epsilon must be above 0"),
        (["--evaluate", "x", "--name", "漢" * 100], "A file cannot be called '漢漢漢"),
        (["--evaluate", "x", "--name", "x" * 190, "--epsilon", "0.3"], "A file cannot be called 'xxxx"),
        (["--submit", "x.npz", "--tagger", "x", "--author", "y"], "There is no entry 'x'"),
        ([], "There are no entries in"),
    ],
)
def test_mistakes_are_one_sentence(words, said, tmp_path):
    refused = run_command("leaderboard", *words, "--entries", tmp_path / "board")
    assert refused.code == 2 and refused.err.count("\n") == 1 and said in refused.err


def test_areas_on_training_jets_are_said_to_flatter(board, tmp_path):
    _, options, given = board
    words = [*given, *options[2:], "--entries", tmp_path / "board", "--replicates", 20]
    done = run_command("leaderboard", *words, "--split", "train")
    assert done.code == 0 and "Jets that a tagger was trained on are among them" in done.out, done.err
    done = run_command("leaderboard", *words, "--name", "on validation jets", "--split", "validation", "--max-jets", 100)
    assert done.code == 0 and "was trained on" not in done.out, done.err
