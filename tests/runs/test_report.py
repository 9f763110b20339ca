"""The report of two small trainings, one of them with two seeds, on the jets of the tests."""

import collections
import csv
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from kerastag import saving
from kerastag.attacks import CLEAN, Attack, Condition, attacked_features, attacked_logits
from kerastag.attacks.base import RandomDraws
from kerastag.errors import UserError
from kerastag.evaluation.architectures import TRAININGS
from kerastag.files import read_json, write_json
from kerastag.metrics import DISCRIMINATORS, RankedPair
from kerastag.recipes import Settings
from kerastag.report import subject as subjects
from kerastag.report.parts import PARTS, flatness
from kerastag.report.subject import Subject
from kerastag.request import PAPER, AttackGrid, Physics, ReportOptions, Sample
from kerastag.results import Interval, NotDefined, Seeds
from kerastag.runs import architectures
from kerastag.runs.report import report
from kerastag.runs.train import train
from tests.conftest import make_reports_quick

pytestmark = pytest.mark.slow

JETS = 500
# The box makes no difference to what is tested here, and the paper's is the quicker.
OPTIONS = {"epsilons": (0.01, 0.05), "replicates": 10, "physics": PAPER}


@pytest.fixture(scope="module")
def runs(dataset, data_dir, tmp_path_factory):
    """Run directories: two seeds of a nominal training and one on attacked jets."""
    folder = tmp_path_factory.mktemp("runs")
    for name, options in {"n0": {}, "n1": {"seed": 1}, "a0": {"defense": "fgsm"}}.items():
        settings = {
            "config": "jet_flavor",
            "model": "paper_mlp",
            "epochs": 5,
            "data_dir": str(data_dir),
            "paper": True,
            **options,
        }
        train(Settings.resolve(settings), folder / name)
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patched:
        make_reports_quick(patched)
        yield


@pytest.fixture(scope="module")
def taggers(runs):
    return [f"nominal={runs / 'n0'}", f"nominal={runs / 'n1'}", f"robust={runs / 'a0'}"]


def make(taggers, output, data_dir, scan=None, split="test", study=None, **options):
    sample = Sample(data_dir=str(data_dir), split=split, max_jets=JETS)
    report(taggers, sample, output, ReportOptions(**{**OPTIONS, **options}), scan, study=study)


class Calls:
    """Counts attacks on whole samples: those of a subject, and those that anything makes."""

    def __init__(self, monkeypatch):
        self.of_subject: collections.Counter = collections.Counter()
        self.restarts = 0
        attacked_features = subjects.attacked_features

        def counted(tagger, x, y, attack, strength):
            self.of_subject[id(tagger), (attack, strength)] += 1
            return attacked_features(tagger, x, y, attack, strength=strength)

        monkeypatch.setattr(subjects, "attacked_features", counted)
        for kind in (Attack, RandomDraws):  # whoever attacks a sample starts its draws over
            monkeypatch.setattr(kind, "restart", self._counted(kind.restart))

    def _counted(self, restart):
        def counted(attack):
            self.restarts += 1
            restart(attack)

        return counted


@pytest.fixture(scope="module")
def folder_and_calls(taggers, data_dir, tmp_path_factory):
    output = tmp_path_factory.mktemp("made") / "report"
    with pytest.MonkeyPatch.context() as monkeypatch:
        calls = Calls(monkeypatch)
        make(taggers, output, data_dir)
    return output, calls


@pytest.fixture(scope="module")
def report_folder(folder_and_calls):
    return folder_and_calls[0]


def test_no_jets_are_attacked_twice(folder_and_calls):
    _, calls = folder_and_calls
    assert set(calls.of_subject.values()) == {1}
    # The part on certificates has two attacks of its own, on a box without ties, and the one on transfer those on the margin.
    certified, transferred = (
        read_json(folder_and_calls[0] / "parts" / f"{name}.json")["numbers"]["rows"] for name in ("certified", "transfer")
    )
    on_margin = sum(row["attacked_on"] == row["evaluated_on"] for row in transferred)
    assert calls.restarts == len(calls.of_subject) + 2 * sum(row["epsilon"] > 0 for row in certified) + on_margin
    conditions = collections.Counter(attack for _, attack in calls.of_subject)
    looks = {attack: not type(attack).__name__.endswith(("Shift", "Noise")) for attack, _ in conditions}
    assert any(looks.values()) and not all(looks.values())
    # An attack serves all sizes.
    assert len(looks) < len(conditions)
    # Distortions are those of no tagger; every tagger, and some seeds, are attacked.
    assert all(number in ((2, 3) if looks[attack] else (1,)) for (attack, _), number in conditions.items())


class Sources(HTMLParser):
    """What a page asks for, and the text of its headings."""

    def __init__(self):
        super().__init__()
        self.images, self.others = [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            self.images.append(attributes["src"])
        elif tag in ("link", "iframe") or "src" in attributes:
            self.others.append(tag)


def test_page_is_self_contained_and_says_the_same_as_the_markdown(report_folder):
    page, text = (report_folder / "report.html").read_text(), (report_folder / "report.md").read_text()
    sources = Sources()
    sources.feed(page)
    assert not sources.others
    assert all(source.startswith("data:image/png;base64,") for source in sources.images)
    figures = re.findall(r"\]\(figures/(\w+)\.png\)", text)
    assert len(sources.images) == len(figures) >= 15
    assert {path.stem for path in (report_folder / "figures").glob("*.png")} == set(figures)
    assert {path.stem for path in (report_folder / "figures").glob("*.pdf")} == set(figures)
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings == re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert headings[0] == "All areas" and headings[-1] == "How was this made?"
    assert len(headings) == len(PARTS) + 3
    assert "nan" not in text.lower()


def test_areas_are_those_of_the_taggers(report_folder, runs, dataset):
    jets = dataset.arrays("test").take(slice(JETS))
    attack = Condition("fgsm", 0.01, physics=PAPER).build(dataset)
    with (report_folder / "areas.csv").open(newline="") as stream:
        rows = {(row["tagger"], row["condition"]): row for row in csv.DictReader(stream)}

    def area(name, attack):
        return RankedPair(
            jets.y, attacked_logits(saving.load(runs / name), jets.features, jets.y, attack), DISCRIMINATORS["BvL"]
        ).auc()

    assert float(rows["robust", "FGSM"]["area"]) == pytest.approx(area("a0", attack), abs=1e-6)
    seeds = [area("n0", None), area("n1", None)]
    assert float(rows["nominal", "clean"]["area"]) == pytest.approx(seeds[0], abs=1e-6)
    assert float(rows["nominal", "clean"]["seeds_mean"]) == pytest.approx(np.mean(seeds), abs=1e-6)
    assert float(rows["nominal", "clean"]["seeds_spread"]) == pytest.approx(np.std(seeds, ddof=1), abs=1e-6)
    assert rows["nominal", "clean"]["seeds_number"] == "2"
    assert float(rows["nominal", "strongest"]["area"]) <= float(rows["nominal", "FGSM"]["area"])
    assert rows["robust", "clean"]["seeds_spread"] == ""


def test_slide_says_who_loses_what(report_folder):
    slide = (report_folder / "report.md").read_text().partition("## ")[0]
    words, table, figures = (part.strip() for part in re.split(r"\n\n(?=\|)|(?<=\|)\n\n", slide, maxsplit=2))
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert len(header) <= 6 and [line[0] for line in lines] == ["nominal", "robust"]
    assert len(re.findall(r"^!", figures, flags=re.MULTILINE)) == 2
    areas = {(row["tagger"], row["condition"]): row for row in read_json(report_folder / "metrics.json")["areas"]["rows"]}
    for name, clean, attacked, lost, *_ in lines:
        assert float(clean.split()[0]) == pytest.approx(areas[name, "clean"]["seeds"].mean, abs=1e-3)
        assert float(attacked.split()[0]) == pytest.approx(areas[name, "strongest"]["seeds"].mean, abs=1e-3)
        assert float(lost.split()[0]) == pytest.approx(float(clean.split()[0]) - float(attacked.split()[0]), abs=2e-3)
        assert lost in words
    assert re.search(r"robust is (more|less|as) robust", words)


def test_every_claim_has_a_verdict_and_where_measured_a_number(report_folder):
    claims = read_json(report_folder / "metrics.json")["claims"]
    assert {row["number"] for row in claims} == {1, 2, 3, 4}
    for row in claims:
        assert row["verdict"] in ("holds", "fails", "undecided", "not measured")
        assert isinstance(row["interval"], NotDefined if row["verdict"] == "not measured" else Interval)
    (loss,) = (row["interval"] for row in claims if row["claim"] == "the attack takes much of the area")
    areas = read_json(report_folder / "parts" / "areas.json")["numbers"]["rows"]
    seeds = {row["condition"]: row["seeds"] for row in areas if row["tagger"] == "nominal"}
    losses = np.subtract(seeds["clean"].values, seeds["FGSM"].values)
    assert loss.value == pytest.approx(losses.mean())
    assert loss.error > 12.7 * losses.std(ddof=1)  # Student's t of one degree of freedom
    not_measured = [row["claim"] for row in claims if row["verdict"] == "not measured"]
    assert not_measured == ["taggers of more inputs are more vulnerable"]


def test_numbers_of_every_part_come_back_as_values(report_folder):
    areas = read_json(report_folder / "parts" / "areas.json")["numbers"]["rows"]
    assert all(isinstance(row["area"], Interval) and isinstance(row["seeds"], Seeds) for row in areas)
    assert {row["condition"] for row in areas} >= {"clean", "FGSM", "strongest", "shift up, cap 20%"}
    rows = read_json(report_folder / "parts" / "working_points.json")["numbers"]["rows"]
    assert {type(row["ratio"]) for row in rows} == {Interval, NotDefined}


def test_what_is_finished_is_not_done_again(report_folder, taggers, data_dir, monkeypatch):
    def never(subject):
        raise AssertionError("computed again")

    before = (report_folder / "report.md").read_text()
    for part in PARTS:
        monkeypatch.setattr(part, "numbers", never)
    make(taggers, report_folder, data_dir)
    assert (report_folder / "report.md").read_text() == before
    with pytest.raises(AssertionError, match="computed again"):
        make(taggers, report_folder, data_dir, uncertainty=0.1)


def test_a_lost_figure_is_drawn_again(report_folder, taggers, data_dir):
    figure = report_folder / "figures" / "calibration.png"
    before = figure.read_bytes()
    figure.unlink()
    make(taggers, report_folder, data_dir)
    assert figure.read_bytes() == before


def test_what_is_no_longer_part_of_it_goes(report_folder, taggers, data_dir, tmp_path):
    """A figure of a scan that is not given any more would look like one of this report."""
    moved = tmp_path / "moved"
    shutil.copytree(report_folder, moved)
    stored = read_json(moved / "parts" / "inputs.json")
    (moved / "figures" / "inputs.png").write_bytes(b"old")
    write_json(moved / "parts" / "inputs.json", stored | {"made_of": "a scan", "files": ["figures/inputs.png"]})
    make(taggers, moved, data_dir)
    assert not (moved / "figures" / "inputs.png").exists()
    assert (moved / "report.md").read_text() == (report_folder / "report.md").read_text()


def test_a_scan_is_taken_in_without_the_rest_being_done_again(report_folder, taggers, data_dir, tmp_path, dataset, monkeypatch):
    rows = [
        {"inputs": name, "features": number, "training": training, "condition": condition}
        | {"area": Interval(0.9, 0.8, 0.95), "area_seeds": Seeds((0.9,))}
        | {"loss": Interval(0.001 * number, 0.0, 0.1), "loss_seeds": Seeds((0.001 * number,))}
        for name, number in (("jet", 10), ("jet + vertex", 16), ("jet + track:1", 38), ("jet + track:2", 66))
        for training in ("nominal", "adversarial")
        for condition in ("clean", "FGSM ε=0.01")
    ]
    content = {"fingerprint": dataset.fingerprint, "jets": JETS, "epsilon": 0.01, "rows": rows}
    write_json(tmp_path / "inputs.json", content)
    shutil.copytree(report_folder, tmp_path / "report")
    for part in PARTS:
        if part.NAME != "inputs":
            monkeypatch.setattr(part, "numbers", None)
    make(taggers, tmp_path / "report", data_dir, scan=tmp_path)
    assert (tmp_path / "report" / "figures" / "inputs.png").is_file()
    claims = read_json(tmp_path / "report" / "metrics.json")["claims"]
    (claim,) = (row for row in claims if row["claim"] == "taggers of more inputs are more vulnerable")
    assert claim["interval"].value == pytest.approx(1) and claim["verdict"] == "holds"


def test_a_study_of_architectures_is_taken_in_without_the_rest_being_done_again(
    report_folder, taggers, data_dir, tmp_path, dataset, monkeypatch
):
    """Of two networks with one seed, trained here, attacked and timed; then what it measured is in page, tables and numbers."""
    settings = Settings.resolve({"config": "jet_flavor", "epochs": 1, "data_dir": str(data_dir), "paper": True})
    grid = AttackGrid(("fgsm",), (0.01,), (None,), objectives=("margin",), physics=PAPER)
    study = tmp_path / "study"
    architectures(settings, study, ["paper_mlp", "pfn"], [0], grid, max_jets=100)
    shutil.copytree(report_folder, tmp_path / "report")
    for part in PARTS:
        if part.NAME != "architectures":
            monkeypatch.setattr(part, "numbers", None)
    before, output = (report_folder / "report.md").read_text(), tmp_path / "report"
    make(taggers, output, data_dir, study=study)
    text, measured = (output / "report.md").read_text(), read_json(study / "metrics.json")
    assert "run scripts/study.py --models" in before and "run scripts/study.py --models" not in text
    assert (output / "figures" / "architectures.png").is_file() and "figures/architectures.png" in text
    assert f"Models on the same {measured['jets']:,} jets" in text and "one seed tells nothing" in text
    with (output / "architectures.csv").open() as file:
        rows = list(csv.DictReader(file))
    loss = "loss, FGSM on margin ε=0.01 paper's box"
    assert {(row["model"], row["training"]) for row in rows} >= {(m, t) for m in ("paper_mlp", "pfn") for t in TRAININGS}
    for name in ("paper_mlp, nominal", "pfn, adversarial"):
        assert f"| {name} " in text
        (value,) = measured["results"][name][loss].values
        (row,) = (row for row in rows if f"{row['model']}, {row['training']}" == name and row["loss"] == loss)
        assert float(row["value_mean"]) == pytest.approx(value)
    assert read_json(output / "parts" / "architectures.json")["numbers"] == measured


def test_mistakes_are_said(dataset, taggers, runs, data_dir, tmp_path):
    for wrong, options, sentence in (
        ([str(runs / "n0"), str(runs / "n0")], {}, "Two taggers are called 'n0'"),
        (taggers, {"features": ("track_0_d0",)}, "the nearest are"),
        (taggers, {"split": "nonsense"}, "has no split 'nonsense'"),
        (taggers, {"scan": tmp_path}, "make it with scripts/scan_inputs.py"),
        (taggers, {"study": tmp_path}, "make it with scripts/study.py --models"),
        (taggers, {"epsilon": -1.0}, "--epsilon must be"),
        (taggers, {"objective": "nonsense"}, "There is no attack objective 'nonsense'"),
        (taggers, {"replicates": 1}, "'replicates' must be"),
    ):
        with pytest.raises(UserError, match=re.escape(sentence)):
            make(wrong, tmp_path / "never", data_dir, **options)
    (tmp_path / "inputs.json").write_text(json.dumps({"fingerprint": "another", "rows": []}))
    with pytest.raises(UserError, match="was made with another data set"):
        make(taggers, tmp_path / "never", data_dir, scan=tmp_path)
    assert not (tmp_path / "never" / "report.html").exists()


@pytest.fixture
def subject(dataset, taggers, tmp_path):
    return Subject(taggers, dataset, Sample(max_jets=JETS), ReportOptions(**OPTIONS), tmp_path)


def test_logits_come_back_from_disk(subject, tmp_path):
    logits = subject.logits("robust", subject.fgsm())
    (file,) = tmp_path.glob("logits-*.npy")
    np.save(file, logits + 1)
    np.testing.assert_array_equal(subject.logits("robust", subject.fgsm()), logits + 1)


def test_logits_are_those_of_the_attacked_jets(subject):
    jets, tagger = subject.jets, subject.model("robust")
    for condition in (CLEAN, subject.fgsm(), Condition("pgd-20", 0.01), Condition("noise", 0.05)):
        expected = attacked_logits(tagger, jets.features, jets.y, condition.build(subject.dataset))
        np.testing.assert_allclose(subject.logits("robust", condition), expected, rtol=1e-4, atol=1e-5)


def test_moves_are_in_the_unit_asked_for(subject, dataset, taggers, tmp_path):
    other = Subject(taggers, dataset, subject.sample, ReportOptions(**OPTIONS, scale="core"), tmp_path)
    core, sigma = dataset.scale("core"), dataset.scale("sigma")
    np.testing.assert_allclose(other.fgsm().threat_model(dataset).scale, core, rtol=1e-6)
    assert other.options.unit == "core σ" and other.fgsm().label == "FGSM ε=0.01 core paper's box"
    steepness, usual = (of.steepness(slice(5)) for of in (other, subject))
    np.testing.assert_allclose(steepness, usual * core / sigma, rtol=1e-5)
    assert ReportOptions(physics=Physics(budget="envelope")).unit == "envelope"


def test_attacks_aim_at_what_is_asked_for(subject, dataset, taggers, tmp_path):
    aimed = Subject(taggers, dataset, subject.sample, ReportOptions(**OPTIONS, objective="CvL"), tmp_path)
    assert aimed.title == f"{subject.title}, attacks on CvL" and aimed.fgsm().label == "FGSM on CvL ε=0.01 paper's box"
    expected = attacked_features(aimed.model("robust"), aimed.jets.features, aimed.jets.y, aimed.fgsm().build(dataset))
    np.testing.assert_array_equal(aimed.attacked("robust", aimed.fgsm()), expected)
    assert (expected != subject.attacked("robust", subject.fgsm())).any()
    assert [condition.objective for condition in aimed.strong_attacks()] == ["CvL", "CvL", "CvL"]
    assert aimed.distortions() == subject.distortions()
    pair = RankedPair(aimed.jets.y, aimed.logits("robust"), dataset.schema.separations["CvL"])
    assert aimed.main.name == "CvL" and subject.main.name == "BvL"
    assert aimed.area("robust").value == pytest.approx(aimed.bootstrap.area(pair).value)


def test_the_box_around_the_surface_is_that_of_its_jet(subject):
    shown = flatness.numbers(subject)["surface"]
    jet, columns = shown["jet"], [subject.dataset.schema.index(name) for name in shown["features"]]
    box = subject.fgsm().threat_model(subject.dataset).box(subject.jets.features[[jet]], subject.jets.y[[jet]])
    expected = np.asarray(box.budget)[0, columns] / subject.dataset.statistics.sigma[columns]
    np.testing.assert_allclose(shown["box"], expected, rtol=1e-6)


def test_jets_that_do_not_fit_in_the_cache_are_attacked_again(dataset, taggers, tmp_path, monkeypatch):
    monkeypatch.setattr(subjects, "CACHE_BYTES", 100)
    subject = Subject(taggers, dataset, Sample(max_jets=JETS), ReportOptions(**OPTIONS), tmp_path)
    first, second = (subject.attacked("robust", subject.fgsm()) for _ in range(2))
    assert first is not second
    np.testing.assert_array_equal(first, second)


def test_what_is_cached_cannot_be_changed(subject):
    attacked = subject.attacked("robust", subject.fgsm())
    assert subject.attacked("robust", subject.fgsm()) is attacked
    with pytest.raises(ValueError, match="read-only"):
        attacked[0, 0] = 0


def test_what_a_report_is_made_of_tells_others_apart(dataset, taggers, tmp_path):
    def made_of(names=taggers, max_jets=JETS, scan=False, **options):
        sample = Sample(max_jets=max_jets)
        file = tmp_path / "inputs.json" if scan else None
        return Subject(names, dataset, sample, ReportOptions(**{**OPTIONS, **options}), tmp_path).made_of(file)

    (tmp_path / "inputs.json").write_text("{}")
    others = [made_of(taggers[:1]), made_of(max_jets=400), made_of(scan=True), made_of(uncertainty=0.1)]
    assert made_of() == made_of()
    assert made_of() not in others
