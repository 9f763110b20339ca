"""Evaluate taggers on the test split: clean, under FGSM and PGD, with and without the 20 % cap."""

import argparse
import sys
from pathlib import Path

try:
    from kerastag.cli import add_attack_options, add_data_options, load_tensorflow, run
    from kerastag.errors import UserError
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
example:
  evaluate.py runs/jet_flavor-nominal runs/jet_flavor-adversarial --output comparison

All taggers meet the same jets and the same budgets: ε times the standard deviation of the data set's training jets. The
capped attack is the threat model in which every one-dimensional distribution still looks normal. Differences of areas
below the quoted intervals mean nothing.
"""
EPSILONS = (0.005, 0.01, 0.02, 0.05, 0.1)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "taggers", nargs="+", metavar="TAGGER", help="run directory, .keras file, SavedModel or legacy tagger; NAME=…"
    )
    add_data_options(made)
    made.add_argument("--split", default="test", help="split to evaluate on (default: %(default)s)")
    add_attack_options(made, EPSILONS)
    made.add_argument("--max-jets", type=int, metavar="N", help="evaluate on the first N jets alone")
    made.add_argument("--replicates", type=int, default=200, metavar="N", help="bootstrap resamples (default: 200)")
    made.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for metrics.json, table and figure")
    made.add_argument("--overwrite", action="store_true", help="replace what is in --output")
    return made


def main() -> None:
    """Parse, compare, write."""
    options = parser().parse_args()
    if (options.output / "metrics.json").exists() and not options.overwrite:
        raise UserError(f"There are results in '{options.output}' already; add --overwrite or choose another --output.")

    load_tensorflow()

    from kerastag.evaluation import report

    report.run(
        options.taggers,
        options.output,
        config=options.config,
        data_dir=options.data_dir,
        manual_dir=options.manual_dir,
        split=options.split,
        epsilons=options.epsilon,
        attacks=options.attack,
        max_jets=options.max_jets,
        replicates=options.replicates,
    )


if __name__ == "__main__":
    run(main)
