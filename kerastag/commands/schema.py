"""Print a schema as a table: the inputs of a tagger with branch, unit, default, range and flags."""

import argparse

from kerastag import schema
from kerastag.schema import table


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the schema's name."""
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(schema.ALL)}")


def main(options: argparse.Namespace) -> None:
    """Print."""
    print(table.text(schema.get(options.name)))
