"""Print what an attack may do to each feature: its budget in physical units, and how much of it a relative cap leaves."""

import argparse

from kerastag.cli import load_tensorflow
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.request import DATA_SET, EPSILON, RELATIVE_CAP, Sample


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add data and sizes."""
    add_fields(parser, Sample(), DATA_SET)
    parser.add_argument("--epsilon", type=float, default=EPSILON, metavar="E", help="size of the attack (default: %(default)s)")
    parser.add_argument(
        "--relative-cap",
        type=float,
        default=RELATIVE_CAP,
        metavar="SHARE",
        help="cap for the last two columns (default: %(default)s)",
    )


def main(options: argparse.Namespace) -> None:
    """Look at the training jets, print."""
    load_tensorflow()

    from kerastag import runs

    runs.threat_model(collect(Sample(), options), options.epsilon, options.relative_cap)
