"""The leaderboard and a report as a reader has them: in a browser, on a desk and on a phone, in the dark and on paper."""

import dataclasses
import re

import matplotlib.pyplot as plt
import pytest

from kerastag.leaderboard import page as leaderboard
from kerastag.leaderboard.entries import Certified, Cost
from kerastag.report import page as report
from kerastag.results import Interval
from tests.browser import DESK, PHONE
from tests.leaderboard.test_entries import FULL, an_entry

PAGES = ("leaderboard", "report")
# A minute of one process, and Chromium is not on every machine.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Of a leaderboard of four entries in two boxes, and of a report of two folded parts."""
    folder = tmp_path_factory.mktemp("pages")
    figure, _ = plt.subplots(figsize=(12, 4))
    figure.savefig(folder / "curve.png", dpi=100)
    plt.close(figure)
    wide = dataclasses.replace(FULL.threat, label="ε=0.02")
    entries = [
        an_entry("first", 0.9, 0.85, cost=Cost(1e5, 10, 1234.0), certified=Certified(Interval.around(0.7, 0.01), "crown")),
        an_entry("second", 0.95, 0.8, cost=Cost(2e5, None, 9.0)),
        an_entry("third", 0.92, 0.82, cost=Cost(3e5, 10, 56.0), certified=Certified(Interval.around(0.75, 0.01), "crown")),
        an_entry("a very long name of one_tagger_in_another_box", 0.91, 0.79, threat=wide),
    ]
    rows = [["a", "1,234", "−0.3 ± 0.1"], ["b", "–", "0.25 ± 0.01"], ["c", "99", "not defined: no jets"], ["d", "350", "0.04"]]
    table = report.Table(
        "A table that is wider than a phone.", ["tagger", "jets", "change"], [row + ["x" * 30] * 3 for row in rows]
    )
    table.header.extend(["m" * 20, "n" * 20, "o" * 20])
    figures = [report.Figure("curve", "A curve.")]
    parts = [report.Section(title, [f"Words of {title}."], [table], figures) for title in ("one", "two")]
    texts = {
        "leaderboard": leaderboard.html(entries, (folder / "curve.png").read_bytes()),
        "report": report.html(report.Page("A report", report.Section("", ["A verdict."], [table], figures), parts), folder),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text)
    return {name: (folder / f"{name}.html").as_uri() for name in PAGES}


@pytest.fixture
def opened(browser, addresses):
    """A function that opens a page; no script of it may fail."""
    contexts, errors = [], []

    def open_page(name, viewport=DESK, scheme="light", anchor=""):
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(addresses[name] + anchor)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def column(page, number):
    """What the first table shows in a column, as a reader sees it."""
    return [cell.inner_text().split("\n")[0] for cell in page.locator(f"table >> nth=0 >> td:nth-child({number})").all()]


def sort_by(page, head):
    page.locator("table >> nth=0").locator("th button", has_text=re.compile(f"^{re.escape(head)}$")).click()


@pytest.mark.parametrize(
    ("name", "head", "down", "up"),
    [
        ("leaderboard", "attacked", ["first", "third", "second", "a very"], ["a very", "second", "third", "first"]),
        ("leaderboard", "training, s", ["first", "third", "second", "a very"], ["second", "third", "first", "a very"]),
        ("leaderboard", "certified, untied", ["third", "first", "second", "a very"], ["first", "third", "second", "a very"]),
        ("leaderboard", "tagger", ["third", "second", "first", "a very"], ["a very", "first", "second", "third"]),
        ("report", "jets", ["a", "d", "c", "b"], ["c", "d", "a", "b"]),
        ("report", "change", ["b", "d", "a", "c"], ["a", "d", "b", "c"]),
    ],
)
def test_a_click_sorts_by_a_column_and_another_turns_it(name, head, down, up, opened):
    """Numbers by their size, and what is empty last either way."""
    page = opened(name)
    for expected, said in ((down, "descending"), (up, "ascending"), (down, "descending")):
        sort_by(page, head)
        assert [shown.startswith(start) for shown, start in zip(column(page, 1), expected, strict=True)] == [True] * 4
        sorted_by = page.locator("table >> nth=0 >> th[aria-sort]")
        assert sorted_by.count() == 1 and sorted_by.get_attribute("aria-sort") == said
        assert sorted_by.inner_text().split("\n")[0].startswith(head)


def test_the_leaderboard_is_filtered_by_box_and_data_set_also_once_sorted(opened):
    page = opened("leaderboard")
    sort_by(page, "clean")
    box = page.get_by_label("box")
    shown = page.locator("tbody tr:visible")
    assert shown.count() == 4
    box.select_option("ε=0.02")
    assert shown.count() == 1 and "another_box" in shown.inner_text()
    page.get_by_label("data set").select_option(index=1)
    assert shown.count() == 1
    box.select_option("all")
    assert shown.count() == 4


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_but_tables_and_figures_moves_sideways(name, viewport, opened):
    page = opened(name, viewport)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    tables = page.locator(".scroll >> nth=0")
    assert tables.evaluate("part => part.scrollWidth > part.clientWidth") == (name == "leaderboard" or viewport is PHONE)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_names_stay_in_sight_while_the_leaderboard_is_moved(viewport, opened):
    page = opened("leaderboard", viewport)
    name, clean = (page.locator(f"tbody tr >> nth=3 >> td:nth-child({number})") for number in (1, 4))
    before, moving = name.bounding_box(), clean.bounding_box()
    page.locator(".scroll").evaluate("part => part.scrollLeft = 200")
    assert name.bounding_box() == before and clean.bounding_box()["x"] < moving["x"] - 100
    assert before["width"] < viewport["width"] / 2


def brightness(color):
    """From 0 for black to 255, of a colour as a browser computes it; None for a transparent one."""
    red, green, blue, *opacity = map(float, re.findall(r"[\d.]+", color))
    return None if opacity == [0.0] else (red + green + blue) / 3


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("part", ["th", "h1", "summary"])
def test_in_the_dark_words_are_bright_on_dark(name, part, opened):
    """What has no background of its own is on that of the page, which the browser makes."""
    colors = {}
    for scheme in ("light", "dark"):
        element = opened(name, scheme=scheme).locator(part).first
        style = [element.evaluate(f"part => getComputedStyle(part).{what}") for what in ("color", "backgroundColor")]
        colors[scheme] = [brightness(color) for color in style]
        page_is = element.evaluate("part => getComputedStyle(document.documentElement).colorScheme")
        assert page_is == "light dark"
    (light, behind), (dark, behind_dark) = colors["light"], colors["dark"]
    assert light < 100 < 155 < dark
    if part == "th":
        assert behind > 200 and behind_dark < 60


@pytest.mark.parametrize("name", PAGES)
def test_what_is_folded_is_on_paper_and_folded_again_after(name, opened):
    page = opened(name)
    folded = page.locator("main > details")
    page.evaluate(
        "addEventListener('beforeprint', () => window.open_ = document.querySelectorAll('main > details[open]').length)"
    )
    folded.first.locator("summary").first.click()
    assert page.pdf().startswith(b"%PDF")
    assert page.evaluate("window.open_") == folded.count()
    assert page.locator("main > details[open]").count() == 1  # which was open before


@pytest.mark.parametrize(("name", "lost"), [("leaderboard", "label"), ("leaderboard", "td details"), ("report", None)])
def test_paper_has_words_without_scripts_and_nothing_to_press(name, lost, opened):
    page = opened(name, scheme="dark")
    words = page.locator("main > details p").first
    assert not words.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert words.evaluate("part => part.getBoundingClientRect().height") > 0
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert lost is None or not page.locator(lost).first.is_visible()
    assert page.locator(".scroll").first.evaluate("part => getComputedStyle(part).overflowX") == "visible"


def test_a_link_to_a_folded_part_opens_it(opened):
    page = opened("report", anchor="#part2")
    assert page.locator("details[open]").get_attribute("id") == "part2"
