"""Train on few and on many inputs, nominally and adversarially, and attack each: vulnerability against their number."""

import argparse
import sys
from pathlib import Path

try:
    from kerastag.cli import add_data_options, load_tensorflow, run
    from kerastag.recipes import RECIPES, Settings
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
examples:
  scan_inputs.py --output scan
  scan_inputs.py --inputs jet --inputs jet track:2 --inputs jet vertex track:2 --seeds 0 1 2 --output scan
  report.py nominal=... adversarial=... --scan scan --output report

Groups are those of the schema (python -m kerastag.schema tells); "track:2" are the two leading tracks. A scan that was
interrupted goes on where it stopped when it is started again with the same options. On the sample that comes along one seed
takes ten minutes on two cores.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_options(made)
    made.add_argument(
        "--inputs",
        nargs="+",
        action="append",
        default=[],
        metavar="GROUP",
        help="a set of groups; repeat it for more sets (default: each group, the jet with 1, 2, 4, 6 tracks, everything)",
    )
    made.add_argument("--recipe", choices=tuple(RECIPES), help="hyper-parameters (default: default)")
    made.add_argument("--model", metavar="NAME", help="model, as in train.py")
    made.add_argument("--epochs", type=int, metavar="N")
    made.add_argument(
        "--epsilon", type=float, metavar="E", help="size of the attack, in training and evaluation (default: 0.01)"
    )
    made.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="of the trainings (default: 0)")
    made.add_argument(
        "--attack", dest="attacks", nargs="+", default=["fgsm"], metavar="NAME", help="in the evaluation (default: fgsm)"
    )
    made.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the scan")
    return made


def main() -> None:
    """Parse, run."""
    options = parser().parse_args()
    names = ("config", "manual_dir", "data_dir", "recipe", "model", "epochs", "epsilon")
    settings = Settings.resolve({name: getattr(options, name) for name in names})
    load_tensorflow()

    from kerastag.runs import scan_inputs as input_scan

    input_scan.run(settings, options.output, options.inputs, options.seeds, options.attacks)


if __name__ == "__main__":
    run(main)
