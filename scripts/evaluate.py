"""Evaluate taggers on the test split: clean, under FGSM and PGD, with and without the 20 % cap."""

import argparse
import sys

try:
    from kerastag.cli import add_evaluation_options, checked_output, load_tensorflow, run
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
example:
  evaluate.py runs/jet_flavor-nominal runs/jet_flavor-fgsm --output comparison

All taggers meet the same jets and the same budgets: ε times the standard deviation of the data set's training jets. The
capped attack is the threat model in which every one-dimensional distribution still looks normal. Differences of areas
below the quoted intervals mean nothing.
"""
EPSILONS = (0.005, 0.01, 0.02, 0.05, 0.1)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_evaluation_options(made, EPSILONS)
    made.add_argument("--diagnose", action="store_true", help="look for signs that gradients are useless, at the first ε")
    return made


def main() -> None:
    """Parse, compare, write."""
    options = checked_output(parser().parse_args(), "metrics.json")

    load_tensorflow()

    from kerastag.runs import evaluate as summary

    summary.run(**options)


if __name__ == "__main__":
    run(main)
