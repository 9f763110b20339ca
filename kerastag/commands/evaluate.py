"""Evaluate taggers on the test split: clean, under FGSM and PGD, on cross-entropy and on each discriminator's own margin."""

import argparse

from kerastag import cli
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.request import EVALUATION, Sample, requested

EPILOG = """\
example:
  %(prog)s runs/jet_flavor-nominal runs/jet_flavor-fgsm --output comparison

All taggers meet the same jets and the same budgets: ε times the standard deviation of the data set's training jets. Values
with a meaning of their own, such as a displacement of 0, and tabulated inputs stay; inputs that are one measurement move
together; all keep to their valid range. --paper frees them all. Differences of areas below the quoted intervals mean nothing.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add taggers, jets, attacks and output."""
    cli.add_tagger_argument(parser)
    add_fields(parser, Sample())
    add_fields(parser, EVALUATION, unset=True)
    cli.add_cap_option(parser)
    cli.add_replicates_option(parser)
    cli.add_output_options(parser)
    parser.add_argument("--diagnose", action="store_true", help="look for signs that gradients are useless, at the first ε")


def main(options: argparse.Namespace) -> None:
    """Compare, write."""
    cli.check_output(options, "evaluate", "metrics.json")
    sample, grid = collect(Sample(), options), requested(EVALUATION, options, caps=(options.relative_cap,))
    cli.load_tensorflow()

    from kerastag import runs

    runs.evaluate(options.taggers, sample, options.output, grid, replicates=options.replicates, diagnose=options.diagnose)
