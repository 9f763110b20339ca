"""A page of results takes its tables from the commands that it names."""

import pytest

from kerastag.errors import UserError
from kerastag.results_page import fill

PAGE = """\
# Results

Words before.

<!-- python scripts/evaluate.py a --output "out/one two" -->

old

<!-- end -->

<!-- kerastag study --output out/missing -->

stays

<!-- end -->
Words behind.
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "out" / "one two").mkdir(parents=True)
    (tmp_path / "out" / "one two" / "table.md").write_text("| new |\n")
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path / "page.md"


def test_blocks_hold_what_their_commands_wrote(page, capsys):
    fill(page, page.parent)
    assert page.read_text() == PAGE.replace("old", "| new |")
    assert capsys.readouterr().out.splitlines() == [
        'written: python scripts/evaluate.py a --output "out/one two"',
        "left as it is: kerastag study --output out/missing",
    ]
    fill(page, page.parent)
    assert page.read_text() == PAGE.replace("old", "| new |")


def test_a_page_that_cannot_be_filled_is_said_in_one_sentence(page, tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        fill(tmp_path / "none.md")
    with pytest.raises(UserError, match="None of the 2 tables"):
        fill(page, tmp_path / "elsewhere")
    page.write_text("nothing\n")
    with pytest.raises(UserError, match="no blocks that can be filled"):
        fill(page, page.parent)
    page.write_text("<!-- kerastag study -->\n<!-- end -->\n")
    with pytest.raises(UserError, match="no --output"):
        fill(page, page.parent)


def test_a_leaderboard_is_found_by_its_entries(tmp_path):
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "table.md").write_text("| best |\n")
    page = tmp_path / "page.md"
    page.write_text("<!-- python scripts/leaderboard.py --entries board -->\nold\n<!-- end -->\n")
    fill(page, tmp_path)
    assert page.read_text() == "<!-- python scripts/leaderboard.py --entries board -->\n\n| best |\n\n<!-- end -->\n"
