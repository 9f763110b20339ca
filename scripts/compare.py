"""Compare taggers, ours and those that CMS ran, on the same jets: clean, attacked, and attacked on one another."""

import argparse
import sys

try:
    from kerastag.cli import add_evaluation_options, checked_output, load_tensorflow, run
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
examples:
  compare.py saved_models/deepcsv_nominal saved_models/deepcsv_adversarial DeepCSV --config deepcsv --output comparison
  compare.py mine=runs/mine DeepCSV --config deepcsv --manual-dir PFNANO_FILES --data-dir pfnano --output comparison

A tagger is anything that kerastag.load takes, or the name of a legacy tagger: DeepCSV, DeepFlavour. Weights of the latter are
looked for in the folder that the environment variable KERASTAG_WEIGHTS names, or downloaded once into your cache.

The flavours are those of --config. A tagger of other inputs reads the same jets through its own config, from the same files;
then only the jets that both have count. Budgets are ε times the standard deviation of the training jets, the same for all
taggers of the same inputs. A relative loss is the loss of area divided by what the clean area is above 0.5.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_evaluation_options(made, (0.01, 0.05))
    made.add_argument(
        "--relative-cap", type=float, metavar="SHARE", help="largest change relative to each value (default: none)"
    )
    return made


def main() -> None:
    """Parse, compare, write."""
    options = checked_output(parser().parse_args(), "comparison.json")

    load_tensorflow()

    from kerastag.runs import compare as contest

    contest.run(**options)


if __name__ == "__main__":
    run(main)
