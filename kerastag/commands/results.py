"""Fill a page of results with the tables that the commands named there have written."""

import argparse
from pathlib import Path

from kerastag.results_page import fill

EPILOG = """\
example:
  %(prog)s saved_models/RESULTS.md

Each block of the page names the command that makes it. Run these as they stand, from the folder in which you run this one; what
lies in their --output is taken for theirs. Tables that are not there stay as they are.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the page."""
    parser.add_argument("page", type=Path, metavar="FILE", help="Markdown page with blocks of results")


def main(options: argparse.Namespace) -> None:
    """Fill the page, say what was found."""
    fill(options.page)
