"""The report of two small trainings, one of them with two seeds, on the jets of the tests."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from kerastag import report
from kerastag import saving
from kerastag.attacks import FGSM, ThreatModel
from kerastag.errors import UserError
from kerastag.attacks.samples import attacked_logits
from kerastag.metrics import RankedPair
from kerastag.recipes import Settings
from kerastag.report.claims import Claim, Interval
from kerastag.report.parts import PARTS, epochs
from kerastag.report.subject import Options, Scenario, Subject

CHOSEN = {"split": "test", "epsilon": 0.01, "epsilons": (0.01, 0.05), "uncertainty": 0.2}
CHOSEN |= {"replicates": 10, "max_jets": 500, "features": ()}


@pytest.fixture(scope="module")
def runs(dataset, data_dir, tmp_path_factory):
    """Run directories: two seeds of a nominal training and one on attacked jets."""
    from kerastag.runs import train as experiment

    folder = tmp_path_factory.mktemp("runs")
    for name, options in {"n0": {}, "n1": {"seed": 1}, "a0": {"defense": "fgsm"}}.items():
        chosen = {"config": "jet_flavor", "model": "paper_mlp", "epochs": 5, "data_dir": str(data_dir), **options}
        experiment.run(Settings.resolve(chosen), folder / name)
    return folder


@pytest.fixture(scope="module")
def taggers(runs):
    return [f"nominal={runs / 'n0'}", f"nominal={runs / 'n1'}", f"robust={runs / 'a0'}"]


def make(taggers, output, data_dir, **options):
    chosen = {"config": "jet_flavor", "data_dir": data_dir, "manual_dir": None, "scan": None, **CHOSEN, **options}
    report.run(taggers, output, **chosen)


@pytest.fixture(scope="module")
def made(taggers, data_dir, tmp_path_factory):
    output = tmp_path_factory.mktemp("made") / "report"
    make(taggers, output, data_dir)
    return output


class Sources(HTMLParser):
    """What a page asks for, and the text of its headings."""

    def __init__(self):
        super().__init__()
        self.images, self.others = [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            self.images.append(attributes["src"])
        elif tag in ("link", "script", "iframe"):
            self.others.append(tag)


def test_page_is_self_contained_and_says_the_same_as_the_markdown(made):
    page, text = (made / "report.html").read_text(), (made / "report.md").read_text()
    found = Sources()
    found.feed(page)
    assert not found.others
    assert all(source.startswith("data:image/png;base64,") for source in found.images)
    figures = re.findall(r"\]\(figures/(\w+)\.png\)", text)
    assert len(found.images) == len(figures) >= 15
    assert {path.stem for path in (made / "figures").glob("*.png")} == set(figures)
    assert {path.stem for path in (made / "figures").glob("*.pdf")} == set(figures)
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings == re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert headings[0] == "Verdict" and headings[-1] == "How was this made?"
    assert len(headings) == len(PARTS) + 3
    assert "nan" not in text.lower()


def test_areas_are_those_of_the_taggers(made, runs, dataset):
    split = dataset.arrays("test").take(slice(500))
    y = split.y
    attack = FGSM(ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.01))
    with (made / "areas.csv").open(newline="") as stream:
        rows = {(row["tagger"], row["condition"]): row for row in csv.DictReader(stream)}

    def area(name, attack):
        return RankedPair(y, attacked_logits(saving.load(runs / name), split.features, y, attack), "BvL").auc()

    assert float(rows["robust", "FGSM"]["value"]) == pytest.approx(area("a0", attack), abs=1e-6)
    seeds = [area("n0", None), area("n1", None)]
    assert float(rows["nominal", "clean"]["value"]) == pytest.approx(seeds[0], abs=1e-6)
    assert float(rows["nominal", "clean"]["seeds_mean"]) == pytest.approx(np.mean(seeds), abs=1e-6)
    assert float(rows["nominal", "clean"]["seeds_spread"]) == pytest.approx(np.std(seeds, ddof=1), abs=1e-6)
    assert float(rows["nominal", "strongest"]["value"]) <= float(rows["nominal", "FGSM"]["value"])
    assert rows["robust", "clean"]["seeds_spread"] == ""


def test_every_claim_has_a_verdict_and_where_measured_a_number(made):
    claims = json.loads((made / "metrics.json").read_text())["claims"]
    assert {row["number"] for row in claims} == {1, 2, 3, 4}
    for row in claims:
        assert row["verdict"] in ("holds", "fails", "undecided", "not measured")
        assert (row["value"] is None) == (row["verdict"] == "not measured")
    assert [row["claim"] for row in claims if row["verdict"] == "not measured"] == ["more inputs are more vulnerable"]


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((1, 0.6, 1.4), "holds"), ((1, 0.4, 1.4), "undecided"), ((0.2, 0.1, 0.3), "fails"), ((3, 2.5, 3.5), "fails")],
)
def test_verdict_is_where_the_whole_interval_lies(interval, verdict):
    assert Claim(1, "", "", Interval(*interval), low=0.5, high=2).verdict == verdict
    assert Claim(1, "", "", None, low=0.5).verdict == "not measured"


def test_what_is_finished_is_not_done_again(made, taggers, data_dir, monkeypatch):
    def never(subject):
        raise AssertionError("computed again")

    before = (made / "report.md").read_text()
    for part in PARTS:
        monkeypatch.setattr(part, "numbers", never)
    make(taggers, made, data_dir)
    assert (made / "report.md").read_text() == before
    with pytest.raises(AssertionError, match="computed again"):
        make(taggers, made, data_dir, uncertainty=0.1)


def test_a_lost_figure_is_drawn_again(made, taggers, data_dir):
    figure = made / "figures" / "calibration.png"
    before = figure.read_bytes()
    figure.unlink()
    make(taggers, made, data_dir)
    assert figure.read_bytes() == before


def test_what_is_no_longer_part_of_it_goes(made, taggers, data_dir, tmp_path):
    """A figure of a scan that is not given any more would look like one of this report."""
    moved = tmp_path / "moved"
    shutil.copytree(made, moved)
    record = json.loads((moved / "parts" / "inputs.json").read_text())
    (moved / "figures" / "inputs.png").write_bytes(b"old")
    (moved / "parts" / "inputs.json").write_text(json.dumps(record | {"made_of": "a scan", "files": ["figures/inputs.png"]}))
    make(taggers, moved, data_dir)
    assert not (moved / "figures" / "inputs.png").exists()
    assert (moved / "report.md").read_text() == (made / "report.md").read_text()


def test_a_scan_is_taken_in_without_the_rest_being_done_again(made, taggers, data_dir, tmp_path, dataset, monkeypatch):
    rows = [
        {"inputs": name, "features": number, "training": training, "seeds": 1, "condition": condition}
        | {"value": 0.9, "low": 0.8, "high": 0.95, "spread": None}
        | {"loss": 0.001 * number, "loss_low": 0.0, "loss_high": 0.1, "loss_spread": None}
        for name, number in (("jet", 10), ("jet + vertex", 16), ("jet + track:1", 38), ("jet + track:2", 66))
        for training in ("nominal", "adversarial")
        for condition in ("clean", "FGSM ε=0.01")
    ]
    content = {"fingerprint": dataset.fingerprint, "jets": 500, "epsilon": 0.01, "rows": rows}
    (tmp_path / "inputs.json").write_text(json.dumps(content))
    shutil.copytree(made, tmp_path / "report")
    for part in PARTS:
        if part.NAME != "inputs":
            monkeypatch.setattr(part, "numbers", None)
    make(taggers, tmp_path / "report", data_dir, scan=tmp_path)
    assert (tmp_path / "report" / "figures" / "inputs.png").is_file()
    claims = json.loads((tmp_path / "report" / "metrics.json").read_text())["claims"]
    (claim,) = (row for row in claims if row["claim"] == "more inputs are more vulnerable")
    assert claim["value"] == pytest.approx(1) and claim["verdict"] == "holds"


def test_mistakes_are_said(dataset, taggers, runs, data_dir, tmp_path):
    for wrong, options, sentence in (
        ([str(runs / "n0"), str(runs / "n0")], {}, "Two taggers are called 'n0'"),
        (taggers, {"features": ("track_0_d0",)}, "the nearest are"),
        (taggers, {"split": "nonsense"}, "has no split 'nonsense'"),
        (taggers, {"scan": tmp_path}, "make it with scripts/scan_inputs.py"),
        (taggers, {"epsilon": -1.0}, "'epsilon' must be"),
        (taggers, {"replicates": 1}, "'replicates' must be"),
    ):
        with pytest.raises(UserError, match=re.escape(sentence)):
            make(wrong, tmp_path / "never", data_dir, **options)
    (tmp_path / "inputs.json").write_text(json.dumps({"fingerprint": "another"}))
    with pytest.raises(UserError, match="was made with another data set"):
        make(taggers, tmp_path / "never", data_dir, scan=tmp_path)
    assert not (tmp_path / "never" / "report.html").exists()


def test_trend_of_a_training_that_gets_better_and_more_vulnerable():
    clean = np.linspace(0.90, 0.95, 12)
    found = epochs.trend(np.stack([clean, clean - np.linspace(0.01, 0.05, 12)], axis=1))
    assert found["clean"]["value"] == found["loss"]["value"] == pytest.approx(1)
    assert found["loss_early"] < found["loss_late"]


def test_conditions_are_named_for_people():
    assert Scenario("apgd-50", 0.01, 0.2, "BvL").label == "APGD-50 on BvL ε=0.01 cap 20%"
    assert Scenario("systematic-up", 0.05).label == "shift up ε=0.05"
    assert not Scenario("correlated", 0.05).is_attack


def test_logits_come_back_from_disk(dataset, taggers, tmp_path):
    subject = Subject(taggers, dataset, Options(**CHOSEN), tmp_path, None)
    first = subject.logits("robust", subject.fgsm())
    (file,) = tmp_path.glob("logits-*.npy")
    np.save(file, first + 1)
    np.testing.assert_array_equal(subject.logits("robust", subject.fgsm()), first + 1)
