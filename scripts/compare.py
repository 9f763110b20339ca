"""Compare taggers, ours and those that CMS ran, on the same jets: clean, attacked, and attacked on one another."""

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
    made.add_argument(
        "taggers", nargs="+", metavar="TAGGER", help="run directory, .keras file, SavedModel or legacy tagger; NAME=…"
    )
    add_data_options(made)
    made.add_argument("--split", default="test", help="split to evaluate on (default: %(default)s)")
    add_attack_options(made, (0.01, 0.05))
    made.add_argument(
        "--relative-cap", type=float, metavar="SHARE", help="largest change relative to each value (default: none)"
    )
    made.add_argument("--max-jets", type=int, metavar="N", help="evaluate on the first N jets alone")
    made.add_argument("--replicates", type=int, default=200, metavar="N", help="bootstrap resamples (default: 200)")
    made.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for numbers, tables and figures")
    made.add_argument("--overwrite", action="store_true", help="replace what is in --output")
    return made


def main() -> None:
    """Parse, compare, write."""
    options = parser().parse_args()
    if (options.output / "comparison.json").exists() and not options.overwrite:
        raise UserError(f"There are results in '{options.output}' already; add --overwrite or choose another --output.")

    load_tensorflow()

    from kerastag.evaluation import contest

    contest.run(
        options.taggers,
        options.output,
        config=options.config,
        data_dir=options.data_dir,
        manual_dir=options.manual_dir,
        split=options.split,
        epsilons=options.epsilon,
        attacks=options.attack,
        relative_cap=options.relative_cap,
        max_jets=options.max_jets,
        replicates=options.replicates,
    )


if __name__ == "__main__":
    run(main)
