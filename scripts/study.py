"""Train nominally and adversarially over several seeds and compare everything under attack, beside boosted trees."""

import argparse
import sys
from pathlib import Path

try:
    from kerastag.cli import add_attack_options, add_data_options, load_tensorflow, run
    from kerastag.recipes import RECIPES, Settings
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
All trainings share recipe, number of updates and the rule that the last epoch counts. A study that was interrupted goes on
where it stopped when it is started again with the same options.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_options(made)
    made.add_argument("--recipe", choices=tuple(RECIPES), help="hyper-parameters (default: default)")
    made.add_argument("--model", metavar="NAME", help="model, as in train.py")
    made.add_argument("--epochs", type=int, metavar="N")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    made.add_argument(
        "--train-epsilon", type=float, nargs="+", default=[0.01, 0.05], metavar="E", help="ε of the trainings (0.01 0.05)"
    )
    add_attack_options(made, (0.01, 0.05))
    made.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the study")
    return made


def main() -> None:
    """Parse, run."""
    options = parser().parse_args()
    names = ("config", "manual_dir", "data_dir", "recipe", "model", "epochs", "scale", "only")
    settings = Settings.resolve({name: getattr(options, name) for name in names})
    load_tensorflow()

    from kerastag.runs import study

    study.run(settings, options.output, options.seeds, options.train_epsilon, options.epsilons, options.attacks)


if __name__ == "__main__":
    run(main)
