"""Entries come back as they were written, and damaged ones are refused in a sentence."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from kerastag.attacks import Condition
from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.leaderboard import entries, entry_files, page
from kerastag.leaderboard.entries import Attacked, Certified, Entry, Sample, Seen, Sign, Threat, Varied
from kerastag.request import PAPER
from kerastag.results import Interval
from kerastag.runs.leaderboard import _place, _with_best_of
from tests.toy import toy_threat_model

DIGEST = hashlib.sha256(b"").hexdigest()


def an_entry(name="a tagger", clean=0.9, attacked=0.8, **values):
    best = Attacked(Interval.around(attacked, 0.01), "PGD-20 on margin")
    given = {
        "threat": Threat.of(Condition("fgsm", 0.01), toy_threat_model()),
        "attacks": (
            Attacked(Interval.around(attacked + 0.01, 0.01), "FGSM on margin"),
            best,
            Attacked(Interval.around(attacked + 0.001, 0.01), "APGD-20 on margin"),
            Attacked(Interval.around(attacked + 0.05, 0.01), "random search-200 on margin"),
        ),
        "best": best,
        "parameters": 12_345,
    }
    return Entry(
        name=name,
        tagger="runs/mine",
        sample=Sample("toy", "f" * 20, "test", 200, DIGEST),
        discriminator="BvL",
        clean=Interval.around(clean, 0.01),
        replicates=200,
        weights_sha256=DIGEST,
        version="0.1.0",
        command="leaderboard.py --evaluate runs/mine",
        **given | values,
    )


FULL = an_entry(
    authors="A. Author",
    link="https://example.org/tagger",
    architecture="mlp",
    defence="fgsm",
    certified=Certified(Interval.around(0.7, 0.01), "crown"),
    varied=Varied(0.002, 0.01, "d0_bias_5um"),
    diagnosed=(Sign("growth", True), Sign("transfer", None), Sign("random", False)),
)


@pytest.mark.parametrize("entry", [an_entry(), FULL], ids=["bare", "full"])
def test_round_trip(entry, tmp_path):
    path = entry_files.write(tmp_path, entry)
    assert path.name == "a-tagger.json" and entry_files.read(path) == entry
    assert ("certified" in json.loads(path.read_text())) == (entry is FULL)


def test_boxes_have_files_of_their_own(tmp_path):
    paper = Condition("pgd-20", 0.02, physics=PAPER)
    threat = Threat.of(paper, toy_threat_model())
    assert an_entry(threat=threat).file_name == "a-tagger-epsilon-0.02-paper-s-box.json"
    assert dataclasses.replace(threat.condition, attack="pgd-20") == paper


def test_digests_see_every_value():
    jets = Jets(np.zeros((3, 2), np.float32), np.arange(3), {}, 3)
    swapped = jets.take(np.array([0, 2, 1]))
    assert entries.jets_digest(jets) != entries.jets_digest(swapped)
    assert entries.threat_digest(toy_threat_model()) != entries.threat_digest(toy_threat_model(0.11))
    assert entries.threat_digest(toy_threat_model()) == entries.threat_digest(toy_threat_model())


def test_entries_of_trees_have_no_number_of_weights(tmp_path):
    trees = an_entry(parameters=None, attacked_on="runs/mine")
    assert entry_files.read(entry_files.write(tmp_path, trees)) == trees
    assert page.markdown([trees], "pareto.png").count("None") == 0


def without(name):
    return lambda content: content.pop(name)


def changed(*place, to):
    def change(content):
        for step in place[:-1]:
            content = content[step]
        content[place[-1]] = to

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without("clean"), "field 'clean' is missing"),
        (changed("more", to=1), "no field 'more'"),
        (changed("parameters", to="many"), "'parameters' must be"),
        (changed("parameters", to=True), "'parameters' must be"),
        (changed("clean", "value", to=float("nan")), "'clean' must be an area"),
        (changed("certified", "area", "value", to=1.2), "'certified' must be an area"),
        (changed("sample", "jets", to=0), "'jets' must be at least 1"),
        (changed("sample", "sha256", to="abc"), "64 hexadecimal digits"),
        (changed("threat", "epsilon", to=-0.01), "'epsilon' must be finite"),
        (changed("threat", "epsilon", to=0.02), "'label' must say what the box is, 'ε=0.02'"),
        (changed("cost", to={"jets_per_second": 1.0, "epochs": -1}), "'epochs' must be finite and at least 0"),
        (changed("seed", to=1.5), "'seed' must be an integer"),
        (changed("link", to="javascript:alert(1)"), "'link' must be an address"),
        (changed("authors", to="A.\nAuthor"), "'authors' must be a line"),
        (changed("name", to="../"), "'name' must have a letter"),
        (changed("name", to="x" * 301), "'name' must be a line"),
        (changed("best", "area", "value", to=0.81), "'best' must be the smallest"),
        (changed("best", "area", "value", to=0.5), "'best' must be one of the attacks, or have its author"),
        (changed("sample", "split", to="test\n\n# Hacked"), "'split' must be a line"),
        (changed("command", to="a\nb"), "'command' must be a line"),
        (changed("training", to="x" * 5000), "'training' must be a line of 1 to 4000 characters"),
        (changed("diagnosed", 0, "name", to=""), "'diagnosed' must be a line"),
        (changed("varied", "variation", to="\n"), "'variation' must be a line"),
        (changed("varied", "worst", to=0.001), "'worst' must be at least the mean"),
        (changed("threat", "only", to=["a\nb"]), "'only' must be a line"),
        (changed("seeds", to=[{"seed": 1, "clean": 0.9, "attacked": 0.8}] * 2), "'seeds' must have each seed once"),
        (changed("link", to="https://example.org/a|b"), "'link' must be an address"),
        (changed("attacks", to=[]), "'best' must be the smallest"),
        (changed("name", to="another"), "call it 'another.json'"),
    ],
)
def test_damaged_entries_are_refused(damage, said, tmp_path):
    path = entry_files.write(tmp_path, FULL)
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=said) as refused:
        entry_files.read(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": ' * 3, "\0"])
def test_what_is_no_entry_is_refused(text, tmp_path):
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(UserError, match="is damaged"):
        entry_files.read_all(tmp_path)


def test_those_that_withstand_most_come_first(tmp_path):
    with pytest.raises(UserError, match="no entries"):
        entry_files.read_all(tmp_path)
    for name, attacked in (("a", 0.7), ("b", 0.8), ("c", 0.75)):
        entry_files.write(tmp_path, an_entry(name, attacked=attacked))
    assert [entry.name for entry in entry_files.read_all(tmp_path)] == ["b", "c", "a"]


def test_boxes_of_one_name_are_told_apart():
    """A budget file that was edited has another box under the same name."""
    threat = dataclasses.replace(an_entry().threat, budget="mine.toml", label="ε=1 mine")
    first, other = (an_entry(threat=dataclasses.replace(threat, sha256=letter * 64)) for letter in "ab")
    assert first.contest != other.contest and (first.box, other.box) == ("ε=1 mine aaaaaa", "ε=1 mine bbbbbb")
    assert an_entry().box == "ε=0.01"


def test_the_strongest_attack_stays_with_its_tagger_alone():
    """And so does what trees see of it."""
    seen = [Seen(Interval.around(area, 0.01), Interval.around(0.5, 0.01)) for area in (0.7, 0.9)]
    old, new = an_entry(attacked=0.7, seen=seen[0]), an_entry(attacked=0.8, seen=seen[1])
    of_old, of_new = (old.best, old.seen), (new.best, new.seen)
    for before, after, expected in (
        (old, new, of_old),
        (new, old, of_old),
        (dataclasses.replace(old, weights_sha256="0" * 64), new, of_new),
    ):
        kept = _with_best_of(before, after)
        assert (kept.best, kept.seen) == expected


def test_the_place_counts_those_that_keep_more(tmp_path):
    for name, attacked in (("first", 0.9), ("last", 0.6), ("mine", 0.8)):
        entry_files.write(tmp_path, an_entry(name, attacked=attacked))
    assert _place(tmp_path, an_entry("mine", attacked=0.8)).startswith("Place 2 of 3 ")


def test_who_met_fewer_attacks_has_no_place(tmp_path):
    """A weak attack, the clean jets for one, would be the way to the top."""
    weak = dataclasses.replace(an_entry("weak", attacked=0.95), attacks=an_entry(attacked=0.95).attacks[:2])
    noisy = dataclasses.replace(an_entry("noisy", attacked=0.94), replicates=2)
    for entry in (weak, noisy, an_entry("mine", attacked=0.8)):
        entry_files.write(tmp_path, entry)
    assert [entry.name for entry in entry_files.read_all(tmp_path)] == ["mine", "weak", "noisy"]
    assert _place(tmp_path, an_entry("mine", attacked=0.8)).startswith("Place 1 of 1 ")
    assert _place(tmp_path, weak).startswith("No place: without APGD-20 on margin, random search-200 on margin.")
    assert _place(tmp_path, noisy).startswith("No place: fewer than 100 resamples.")
    assert "no place: fewer than 100 resamples" in page.markdown([noisy], "pareto.png")


def test_attacks_made_on_a_network_count_for_trees():
    attacks = [dataclasses.replace(one, attack=f"{one.attack}{entries.ELSEWHERE}a net") for one in an_entry().attacks]
    entry = dataclasses.replace(an_entry(), attacks=tuple(attacks))
    assert dataclasses.replace(entry, attacked_on="a net").why_unranked is None
    assert entry.why_unranked.startswith("without FGSM on margin, PGD-20 on margin, ")
