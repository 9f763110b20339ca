"""The page shows what entries say, and nothing that others wrote into them becomes part of it."""

import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np

from kerastag.leaderboard import page
from tests.leaderboard.test_entries import FULL, an_entry


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
        if self._in in ("td", "button") and self.rows[-1]:
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
    assert found.scripts == 1 and set(found.addresses) == {"https://example.org/tagger", "data:image/png;base64,cG5n"}


def test_words_of_others_stay_words():
    name, authors = "<script>alert(1)</script>", 'a | b [c](d) "><img src=x>'
    found = Found(page.html([an_entry(name, authors=authors)], b""))
    assert found.scripts == 1 and found.addresses == ["data:image/png;base64,"]
    (row,) = [line for line in page.markdown([an_entry(name, authors=authors)], "pareto.png").splitlines() if "alert" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 18 and r"\<script\>" in row and r"\[c\](d)" in row


def test_figure_has_a_panel_for_each_box_and_the_front():
    entries = [an_entry("a", 0.9, 0.7), an_entry("b", 0.85, 0.8), an_entry("c", 0.84, 0.75)]
    figure, axes = page.draw(entries)
    assert axes.size == 1
    front = next(line for line in axes[0, 0].lines if line.get_label() == "front")
    np.testing.assert_allclose(front.get_xydata(), [(0.85, 0.8), (0.9, 0.7)])
    plt.close(figure)
