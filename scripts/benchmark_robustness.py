"""Train every defence and attack each with everything: the table of defences against attacks, resumable."""

import argparse
import sys
from pathlib import Path

try:
    from kerastag.cli import add_data_options, load_tensorflow, run
    from kerastag.recipes import Settings
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
On the sample that comes along it takes less than an hour on two cores. What is there already is used as it is, so start it
again with the same options if it was interrupted. ε is 0.01 in training; nothing is chosen after the fact.
"""
SEVERAL = ("nominal", "fgsm", "pgd-7", "trades", "input-gradient")
ONE = ("fgsm-mixed", "fgsm-rs", "ngm", "noise")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_options(made)
    made.add_argument("--defense", nargs="+", default=[*SEVERAL, *ONE], metavar="NAME", help="as in train.py (default: all)")
    made.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        metavar="N",
        help=f"of {', '.join(SEVERAL)}; the others take the first (default: 0 1 2)",
    )
    made.add_argument("--model", metavar="NAME", help="model, as in train.py")
    made.add_argument("--epochs", type=int, metavar="N")
    made.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the benchmark")
    return made


def main() -> None:
    """Parse, run."""
    options = parser().parse_args()
    names = ("config", "manual_dir", "data_dir", "model", "epochs")
    settings = {name: getattr(options, name) for name in names}
    for name in options.defense:
        Settings.resolve(settings | {"defense": name})
    load_tensorflow()

    from kerastag.runs import benchmark_robustness as robustness_benchmark

    defenses = {name: options.seeds if name in SEVERAL else options.seeds[:1] for name in options.defense}
    robustness_benchmark.run(Settings.resolve(settings), options.output, defenses)


if __name__ == "__main__":
    run(main)
