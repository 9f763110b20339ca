"""Look into files of jets: trees, branches, ranges, frequent values, and a draft of a schema to edit."""

import argparse
from pathlib import Path

EPILOG = """\
example:
  %(prog)s jets/*.root --output mine.toml
  kerastag train --schema mine.toml --manual-dir jets

ROOT files (TTree and RNTuple), Parquet, and HDF5 with structured arrays. Jets may be entries, lie in events, or be named by
objects of the event. Names and values decide what is guessed; what could not be told is said and stands in the draft.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add files, tree and output."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files of the same kind, or their folder")
    parser.add_argument("--tree", metavar="PATH", help="of a ROOT file (default: the tree of most branches)")
    parser.add_argument("--name", metavar="NAME", help="of the schema (default: that of the file)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="TOML file for the draft (default: print it)")


def main(options: argparse.Namespace) -> None:
    """Look, print, write."""
    from tfds_jets.overview import overview

    overview(options.files, options.output, options.tree, options.name)
