"""Print a schema: the inputs of a tagger with branch, unit, default, range and flags, as a table or as TOML."""

import argparse

from kerastag import schema
from kerastag.schema import table, toml

EPILOG = """\
examples:
  %(prog)s jet_flavor
  %(prog)s pfnano --toml > mine.toml   a schema to edit, for --schema mine.toml
  %(prog)s mine.toml                   check it, and see what it says
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the schema, and how to print it."""
    names = ", ".join([*schema.ALL, *schema.EXAMPLES])
    parser.add_argument("name", metavar="NAME|FILE", help=f"one of {names}, or a TOML file")
    parser.add_argument("--toml", action="store_true", help="print it as the TOML file that --schema reads")


def main(options: argparse.Namespace) -> None:
    """Print."""
    chosen = schema.read(options.name) if options.name.endswith(".toml") else schema.get(options.name)
    print(toml.text(chosen) if options.toml else table.text(chosen), end="" if options.toml else "\n")
