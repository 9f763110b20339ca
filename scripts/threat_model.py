"""Print what an attack may do to each feature: its budget in physical units, and how much of it a relative cap leaves."""

import argparse
import sys

try:
    from kerastag.cli import add_data_options, load_tensorflow, run
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    add_data_options(made)
    made.add_argument("--epsilon", type=float, default=0.01, metavar="E", help="size of the attack (default: %(default)s)")
    made.add_argument(
        "--relative-cap", type=float, default=0.2, metavar="SHARE", help="cap for the last two columns (default: 0.2)"
    )
    return made


def main() -> None:
    """Parse, look at the training jets, print."""
    options = parser().parse_args()

    load_tensorflow()

    from kerastag import data
    from kerastag.runs.threat_model import table

    dataset = data.prepare(options.config, data_dir=options.data_dir, manual_dir=options.manual_dir)
    print(table(dataset, options.epsilon, options.relative_cap))


if __name__ == "__main__":
    run(main)
