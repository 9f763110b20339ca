"""The command on stored scores: areas that are known, jets without a score, and what is refused."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import uproot

from kerastag.files import read_json
from kerastag.results import Interval
from tests.conftest import NTUPLE, run_command

NANO = NTUPLE.parent / "nano_tt_v15.root"
# BvL, b against c by the same score, CvL, CvB; also by counting pairs of jets straight from the file.
KNOWN = {
    "DeepFlav": (0.9717, 0.8963, 0.8132, 0.9035),
    "PNet": (0.9722, 0.9182, 0.8339, 0.9286),
    "UParTAK4": (0.9761, 0.9361, 0.8429, 0.9417),
}


def of_nano(name):
    keys = {"BvL": "B", "BvC": "B", "CvL": "CvL", "CvB": "CvB"}
    return f"{name}=" + ",".join(f"{key}:Jet_btag{name}{branch}" for key, branch in keys.items())


@pytest.mark.skipif(not NANO.is_file(), reason="nano_tt_v15.root is not part of the repository")
def test_areas_of_cms_taggers_on_a_real_file(tmp_path):
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano" / NANO.name).symlink_to(NANO)
    scores = [word for name in KNOWN for word in ("--scores", of_nano(name))]
    where = ["--config", "nanoaod", "--manual-dir", tmp_path / "nano", "--data-dir", tmp_path / "data", "--split", "all"]
    done = run_command("evaluate", *scores, *where, "--replicates", 20, "--output", tmp_path / "stored")
    assert done.code == 0 and "UParTAK4: stored scores, which all 1,121 jets have." in done.out
    content = read_json(tmp_path / "stored" / "metrics.json")
    assert (content["jets"], content["split"]) == (1121, "all") and list(content["conditions"]) == ["clean"]
    for name, areas in KNOWN.items():
        measured = content["results"][name]["clean"]
        assert [measured[key]["value"] for key in ("BvL", "BvC", "CvL", "CvB")] == pytest.approx(areas, abs=1e-3)
        assert measured["tagged"]["b"].value > 0.7


@pytest.mark.skipif(not NANO.is_file(), reason="nano_tt_v15.root is not part of the repository")
def test_the_command_of_the_readme_runs_as_printed(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "tfds_jets" / "README.md").read_text()
    (command,) = re.findall(r"```bash\n(kerastag evaluate --config nanoaod.*?)```", text, flags=re.DOTALL)
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano" / NANO.name).symlink_to(NANO)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("\\\n", " "))[1:]
    done = run_command(*words, "--data-dir", tmp_path / "data")
    assert done.code == 0
    areas = {name: rows["clean"]["BvL"] for name, rows in read_json(tmp_path / "stored" / "metrics.json")["results"].items()}
    printed = {name: f"{area['value']:.3f} ± {(area['high'] - area['low']) / 2:.3f}" for name, area in areas.items()}
    assert printed == {"UParT": "0.976 ± 0.005", "ParticleNet": "0.972 ± 0.006", "DeepFlavour": "0.972 ± 0.006"}


@pytest.fixture(scope="module")
def scored_files(jet_files, tmp_path_factory):
    """The converted jets with a score of b, -1 in every tenth jet, and branches that are no score."""
    folder = tmp_path_factory.mktemp("scored")
    generator = np.random.default_rng(2)
    for path in sorted(jet_files.glob("*.root")):
        with uproot.open(path) as source:
            tree = source["jets"]
            columns = {name: tree[name].array() for name in tree.keys() if not name.startswith("ntrack")}  # noqa: SIM118
        flavour = columns["jet_parton_flavour"].to_numpy()
        score = generator.normal(2.0 * (flavour == 5)) + 10
        score[::10] = -1
        columns |= {"score": score, "nothing": np.full(len(score), -1.0)}
        types = {name: c.type.content if hasattr(c, "type") else c.dtype for name, c in columns.items()}
        with uproot.recreate(folder / path.name) as file:
            file.mktree("jets", types)
            file["jets"].extend(columns)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def evaluated(scored_files, tmp_path, tmp_path_factory):
    where = ["--manual-dir", scored_files, "--data-dir", tmp_path_factory.getbasetemp() / "scored_data", "--replicates", 10]

    def evaluate(*words):
        return run_command("evaluate", *words, *where, "--output", tmp_path / "out"), tmp_path / "out"

    return evaluate


def test_scores_stand_beside_taggers_on_clean_jets_alone(evaluated, tagger, tmp_path):
    tagger.save(tmp_path / "tagger.keras")
    attack = ("--attack", "fgsm", "--objective", "cross_entropy")
    done, output = evaluated(tmp_path / "tagger.keras", "--scores", "mine=score", *attack, "--config", "jet_flavor")
    assert done.code == 0
    content = read_json(output / "metrics.json")
    left_out = content["stored"]["mine"]["left_out"]
    assert content["stored"]["mine"]["branches"] == {"BvL": "score"} and 0 < sum(left_out.values()) < content["jets"] / 5
    assert f"{sum(left_out.values()):,} of {content['jets']:,} jets have none (-1 or not finite) and are left out" in done.out
    assert "Stored scores cannot be attacked" in done.out
    rows = [line.split("|")[1:3] for line in done.out.splitlines() if line.startswith("|")]
    assert [[cell.strip() for cell in row] for row in rows[2:5]] == [
        ["tagger.keras", "clean"],
        ["tagger.keras", "FGSM ε=0.01"],
        ["mine", "clean"],
    ]
    assert 0.85 < content["results"]["mine"]["clean"]["BvL"]["value"] < 0.99
    assert isinstance(content["results"]["mine"]["clean"]["tagged"]["b"], Interval)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "There is nothing to evaluate; name taggers, or scores that files hold with --scores."),
        (("--scores", "score", "--attack", "fgsm"), "--attack needs a tagger: stored scores cannot be attacked: "),
        (("--scores", "score", "--relative-cap", "0.2"), "--relative-cap needs a tagger: stored scores cannot be attacked: "),
        (
            ("--scores", "score", "--diagnose"),
            "Only taggers can be diagnosed, certified or flipped: stored scores cannot be att",
        ),
        (("--scores", "scor"), "has no branch 'scor'; the nearest that exist are 'score'"),
        (("--scores", "track_D0"), "'track_D0' must be a number in each jet, but is of the type 'var * float32'"),
        (("--scores", "nothing"), "'nothing' has no score in any of the "),
        (("--scores", "CvX:score"), "needs discriminators or classes of jet_flavor before the colons"),
    ],
)
def test_mistakes_are_one_sentence(evaluated, words, sentence):
    done, output = evaluated(*words)
    assert done.code == 2 and sentence in done.err and done.err.count("error:") == 1
    assert not (output / "metrics.json").exists()


def test_a_quantity_of_the_sample_is_a_tagger_too(tmp_path):
    """Without any file given, and any expression of branches may order jets."""
    words = ("--scores", "probability=-jet_prob", "--max-jets", 3000, "--replicates", 5, "--data-dir", tmp_path)
    done = run_command("evaluate", *words, "--output", tmp_path / "out")
    assert done.code == 0
    assert 0.7 < read_json(tmp_path / "out" / "metrics.json")["results"]["probability"]["clean"]["BvL"]["value"] < 1
