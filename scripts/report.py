"""The robustness report: one page with every figure and number of taggers under attack, with uncertainties."""

import argparse
import sys
from pathlib import Path

try:
    from kerastag.cli import (
        add_data_options,
        add_output_options,
        add_sample_options,
        add_tagger_argument,
        checked_output,
        load_tensorflow,
        run,
    )
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
examples:
  report.py nominal=saved_models/jet_flavor_nominal adversarial=saved_models/jet_flavor_adversarial --output report
  report.py nominal=study/nominal-seed{0,1,2} adversarial=study/trained_at_0.01-seed{0,1,2} --output report
  report.py saved_models/deepcsv_nominal saved_models/deepcsv_adversarial DeepCSV --config deepcsv --output report_deepcsv

The first tagger is the one that others are compared with; a name that is given several times stands for seeds of one training.
A report that was interrupted goes on where it stopped when it is started again: what was computed from the same taggers,
jets and settings is used as it is. Two taggers on the sample that comes along take about five minutes on two cores.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_tagger_argument(made)
    add_data_options(made)
    add = made.add_argument
    add("--epsilon", type=float, default=0.01, metavar="E", help="size of the attacks in σ (default: %(default)s)")
    add(
        "--epsilons",
        type=float,
        nargs="+",
        default=(0.0025, 0.005, 0.01, 0.02, 0.05, 0.1),
        metavar="E",
        help="sizes of the curves (default: 0.0025 to 0.1)",
    )
    add(
        "--uncertainty",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="of a distribution's bins, for the question whether it looks normal (default: %(default)s)",
    )
    add(
        "--features",
        nargs="+",
        default=[],
        metavar="NAME",
        help="inputs to show by flavour, the first two over the loss surface (default: those pushed most)",
    )
    add("--scan", type=Path, metavar="DIR", help="folder of scan_inputs.py, to be taken in")
    add_sample_options(made)
    add_output_options(made)
    return made


def main() -> None:
    """Parse, report."""
    options = checked_output(parser().parse_args(), "report.html")

    load_tensorflow()

    from kerastag.runs import report

    report.run(**options)


if __name__ == "__main__":
    run(main)
