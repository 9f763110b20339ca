"""Measure the speed of every part on made-up jets: building, reading, training, attacking. Best of three each."""

import argparse
from pathlib import Path

from kerastag.cli import load_tensorflow


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add size and place."""
    parser.add_argument("--jets", type=int, default=200_000, metavar="N", help="made-up jets (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8192, metavar="N", help="jets in a step (default: %(default)s)")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where to write about 1 kB a jet (default: temporary)")


def main(options: argparse.Namespace) -> None:
    """Measure, print a table."""
    load_tensorflow()

    from kerastag import runs

    runs.benchmark(options.jets, options.batch_size, options.scratch)
