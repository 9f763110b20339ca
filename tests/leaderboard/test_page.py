"""The page shows what entries say, and nothing that others wrote into them becomes part of it."""

import dataclasses
import itertools
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kerastag import legacy
from kerastag.catalogue import DEFENSES, MODELS
from kerastag.commands import make_parser
from kerastag.leaderboard import entry_files, page
from kerastag.leaderboard.entries import Cost
from kerastag.saving import presets
from tests.leaderboard.test_entries import FULL, an_entry

BOARD = presets.SHIPPED / "leaderboard"


class Found(HTMLParser):
    """Rows of cells, options of filters, scripts and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.options, self.scripts, self.addresses, self._in = [], [], 0, [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._in = tag
        self.scripts += tag == "script"
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self._in in ("td", "a", "button") and self.rows[-1]:
            self.rows[-1][-1] += data.strip()
        if self._in == "option":
            self.options.append(data.strip())

    def handle_endtag(self, tag):
        self._in = ""


def test_html_has_every_entry_and_needs_no_other_file():
    found = Found(page.html([FULL, an_entry("other")], b"png"))
    header, full, other = found.rows
    cells = dict(zip(header, full, strict=True))
    assert (cells["clean"], cells["attacked"], cells["strongest attack"]) == (
        "0.900\u00a0±\u00a00.010",
        "0.800\u00a0±\u00a00.010",
        "PGD-20 on margin",
    )
    assert (cells["worst change"], cells["signs of useless gradients"]) == ("0.0100", "random")
    assert dict(zip(header, other, strict=True))["certified, untied"] == ""
    assert {"all", "ε=0.01", "toy ffffff, 200 jets of test"} == set(found.options)
    fgsm = "https://arxiv.org/abs/1412.6572"
    assert found.scripts == 1 and set(found.addresses) == {"https://example.org/tagger", fgsm, "data:image/png;base64,cG5n"}


def test_words_of_others_stay_words():
    name, authors = "<script>alert(1)</script>", 'a | b [c](d) "><img src=x>'
    found = Found(page.html([an_entry(name, authors=authors)], b""))
    assert found.scripts == 1 and found.addresses == ["data:image/png;base64,"]
    (row,) = [line for line in page.markdown([an_entry(name, authors=authors)], "pareto.png").splitlines() if "alert" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 19 and r"\<script\>" in row and r"\[c\](d)" in row


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("~~x~~ _y_ &amp; #z", r"\~\~x\~\~ \_y\_ \&amp; \#z"),
        ("jet_flavor_nominal", "jet_flavor_nominal"),
        ("a|b<c>", r"a\|b\<c\>"),
    ],
)
def test_no_word_is_a_mark_of_markdown(text, shown):
    assert f"| {shown} " in page.markdown([an_entry(text)], "pareto.png")
    hidden = dataclasses.replace(an_entry().sample, config=text)
    assert page.short([dataclasses.replace(an_entry(), sample=hidden)]).startswith(f"{shown} ffffff, 200 jets of test")


def test_folders_of_somebody_s_machine_are_not_shown():
    entry = dataclasses.replace(an_entry(), tagger="/somewhere/runs/mine", training="train.py --output runs/mine")
    text = page.html([entry], b"")
    assert "Tagger mine, weights" in text and "/somewhere" not in text and "Trained by: train.py --output runs/mine" in text


def test_time_of_training_is_a_column():
    """Trees have no epochs."""
    entries = [an_entry("trees", cost=Cost(1e5, None, 3.4)), an_entry("net", cost=Cost(2e5, 10, 1234.5)), an_entry("other")]
    header, *rows = Found(page.html(entries, b"")).rows
    assert [dict(zip(header, row, strict=True))["training, s"] for row in rows] == ["3", "1,234", ""]
    table = [[cell.strip() for cell in line.split("|")] for line in page.markdown(entries, "").splitlines() if line[:1] == "|"]
    column = table[0].index("training, s")
    assert [row[column] for row in table[2:]] == ["3", "1,234", ""]
    text = page.html(entries, b"")
    assert "Trained in 3 s, without" in text and "Trained for 10 epochs in 1,234 s, without" in text


def test_defences_and_architectures_lead_to_their_papers():
    """Words of others, which may name anything, lead nowhere and run nothing."""
    entries = [an_entry("a", defence="pgd-7", architecture="pfn"), an_entry("b", defence="os:system", architecture="mine")]
    text, table = page.html(entries, b""), page.markdown(entries, "pareto.png")
    pgd, pfn = "https://arxiv.org/abs/1706.06083", "https://arxiv.org/abs/1810.05165"
    assert Found(text).addresses == [pgd, pfn, "data:image/png;base64,"]
    assert f"| [pgd-7]({pgd}) | [pfn]({pfn}) |" in re.sub(" +", " ", table) and "| os:system " in table
    header, first, _ = Found(text).rows
    assert dict(zip(header, first, strict=True))["defence"] == "pgd-7"


def test_the_short_table_keeps_boxes_and_jets_apart():
    other = dataclasses.replace(FULL.threat, label="ε=0.02")
    fewer = dataclasses.replace(an_entry("d"), sample=dataclasses.replace(FULL.sample, jets=100))
    entries = [an_entry("a"), an_entry("b"), an_entry("c", threat=other), fewer]
    tables = page.short(entries).split("\n\n")
    assert tables[::2] == [
        "toy ffffff, 200 jets of test, ε=0.01:",
        "toy ffffff, 200 jets of test, ε=0.02:",
        "toy ffffff, 100 jets of test, ε=0.01:",
    ]
    assert [len(table.splitlines()) - 2 for table in tables[1::2]] == [2, 1, 1]
    assert tables[1].splitlines()[0].count("|") == 9


def test_the_page_says_how_to_join_with_commands_that_exist():
    text = page.markdown([FULL], "pareto.png")
    assert "](leaderboard.html)" in text
    commands = re.findall(r"^python scripts/leaderboard.py (.*)$", text, re.MULTILINE)
    parser = make_parser("leaderboard", "leaderboard")
    parsed = [parser.parse_args(shlex.split(command)) for command in commands]
    assert (parsed[0].evaluate, str(parsed[1].submit)) == ("runs/mine", "attacked.npz")
    elsewhere = page.markdown([FULL], "pareto.png", Path("my board"))
    assert elsewhere.count(" --entries 'my board'") == 2 and "--tagger a-tagger " in elsewhere
    assert elsewhere.count("\nkerastag leaderboard --") == 2 and "scripts/" not in elsewhere
    assert " --entries deep/board\n" in page.markdown([FULL], "pareto.png", Path("deep/board"))


def test_figure_has_a_panel_for_each_box_and_the_front():
    entries = [an_entry("a", 0.9, 0.7), an_entry("b", 0.85, 0.8), an_entry("c", 0.84, 0.75)]
    other = dataclasses.replace(FULL.threat, label="ε=0.02")
    alone = dataclasses.replace(FULL.threat, label="ε=0.03")
    others = [an_entry("d", 0.9, 0.6, threat=other), an_entry("b", 0.8, 0.7, threat=other), an_entry("a", threat=alone)]
    figure, axes = page.draw([*entries, *others])
    drawn = [ax for ax in axes.flat if ax.lines]
    assert [ax.get_title() for ax in drawn] == [f"toy ffffff, 200 jets of test, ε={size}" for size in (0.01, 0.02)]
    looks = [{line.get_label(): (line.get_marker(), line.get_color()) for line in ax.lines} for ax in drawn]
    assert looks[0]["b"] == looks[1]["b"] != looks[1]["d"]
    weak = dataclasses.replace(an_entry("weak", 0.95, 0.94), replicates=2)
    with_weak, weak_alone = (page.draw(some)[1].flat[0].lines for some in ([*entries, weak], [weak]))
    assert "weak" not in [line.get_label() for line in with_weak] and weak_alone
    front = next(line for line in drawn[0].lines if line.get_label() == "front")
    np.testing.assert_allclose(front.get_xydata(), [(0.85, 0.8), (0.9, 0.7)])
    plt.close(figure)


@pytest.mark.skipif(not BOARD.is_dir(), reason="an installed package has no saved_models")
def test_stored_entries_name_no_folder_of_one_machine():
    for entry in entry_files.read_all(BOARD):
        commands = shlex.split(f"{entry.command} {entry.training or ''}")
        words = [entry.tagger, entry.attacked_on or "", *(word.rpartition("=")[2] for word in commands)]
        assert not [word for word in words if Path(word).is_absolute()], entry.name


@pytest.mark.skipif(not BOARD.is_dir(), reason="an installed package has no saved_models")
def test_the_stored_page_is_that_of_the_stored_entries():
    entries = entry_files.read_all(BOARD)
    assert (BOARD / "README.md").read_text() == page.markdown(entries, "pareto.png")
    assert page.short(entries) in (BOARD.parent / "RESULTS.md").read_text()
    assert (BOARD / "leaderboard.html").read_text() == page.html(entries, (BOARD / "pareto.png").read_bytes())


# What no entry is asked of, and why.
NOT_ENTERED = {
    "lipschitz": "nominal training of lipschitz_mlp, which is entered",
    "particle_net": "of the paper's size, for a GPU; particle_net_lite is entered",
    "particle_transformer": "of the paper's size, for a GPU; the small one is entered",
    "DeepDoubleBvL": "no jets with its inputs are at hand",
    "DeepDoubleCvL": "neither such jets nor its weights are at hand",
    "DeepDoubleCvB": "neither such jets nor its weights are at hand",
}


@pytest.mark.skipif(not BOARD.is_dir(), reason="an installed package has no saved_models")
def test_all_defences_and_architectures_are_on_the_board():
    found = entry_files.read_all(BOARD)
    entered = {DEFENSES.find(entry.defence).name for entry in found if entry.defence in DEFENSES}  # pgd-7 is a pgd-N
    entered |= {entry.architecture.partition("-")[0] for entry in found if entry.architecture}
    known = [*DEFENSES, *MODELS, *(name.partition("-")[0] for name in legacy.TAGGERS)]
    assert {name for name in known if name not in entered} == NOT_ENTERED.keys()


@pytest.mark.skipif(not BOARD.is_dir(), reason="an installed package has no saved_models")
def test_the_best_of_the_board_come_along():
    contests = itertools.groupby(entry_files.read_all(BOARD), key=lambda entry: entry.contest)
    best = {contest: next(entries).tagger for contest, entries in contests}
    of_ours = {contest: tagger for contest, tagger in best.items() if contest[0] in ("jet_flavor", "deepcsv")}
    assert of_ours and {Path(tagger).name for tagger in of_ours.values()} <= set(presets.shipped()), of_ours
