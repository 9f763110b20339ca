"""Train nominally and adversarially over several seeds and compare everything under attack, beside boosted trees."""

import argparse
from pathlib import Path

from kerastag.cli import load_tensorflow
from kerastag.options import add_options as add_fields
from kerastag.recipes import Recipe, Settings
from kerastag.request import DATA_SET, PHYSICS_OPTIONS, STUDY, requested

_SETTINGS, _RECIPE = ("recipe",), ("model", "epochs")

EPILOG = """\
All trainings share recipe, number of updates and the rule that the last epoch counts. A study that was interrupted goes on
where it stopped when it is started again with the same options.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add data, trainings, attacks and output."""
    add_fields(parser, Settings(), [*DATA_SET, *_SETTINGS], unset=True)
    add_fields(parser, Recipe(), _RECIPE, unset=True)
    add_fields(parser, STUDY, unset=True)
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="of the trainings (default: 0 1 2)"
    )
    parser.add_argument(
        "--train-epsilon",
        type=float,
        nargs="+",
        metavar="E",
        help="ε of the trainings (default: 0.01 0.05; with --budget 1, once the budget)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the study")


def main(options: argparse.Namespace) -> None:
    """Train, evaluate, write."""
    names = (*DATA_SET, *_SETTINGS, *_RECIPE, "scale", "only", *PHYSICS_OPTIONS)
    settings = Settings.resolve({name: getattr(options, name) for name in names})
    grid = requested(STUDY, options)
    load_tensorflow()

    from kerastag import runs

    runs.study(settings, options.output, options.seeds, options.train_epsilon or _train_epsilons(settings), grid)


def _train_epsilons(settings: Settings) -> tuple[float, ...]:
    """Sizes of the attack in training. Who names a budget and no multiple of it means the budget."""
    return (1.0,) if settings.physics.budget else (0.01, 0.05)
