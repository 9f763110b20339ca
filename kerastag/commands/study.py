"""Train nominally and adversarially over several seeds and compare everything under attack, beside boosted trees."""

import argparse
import dataclasses
from pathlib import Path

from kerastag.cli import load_tensorflow
from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.recipes import Recipe, Settings
from kerastag.request import ARCHITECTURES, DATA_SET, PHYSICS_OPTIONS, STUDY, requested

_SETTINGS, _RECIPE = ("recipe",), ("model", "epochs")

EPILOG = """\
All trainings share recipe, number of updates and the rule that the last epoch counts. A study that was interrupted goes on
where it stopped when it is started again with the same options.

With --models the defaults are --attack pgd-20 track-dropout fake-track --objective margin --epsilon 0.01.
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
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        help="compare these architectures instead, each trained nominally and with FGSM: under PGD on the margin, a lost and a "
        "fake track, beside boosted trees, with parameters and speed",
    )
    parser.add_argument(
        "--variations",
        type=Path,
        metavar="FOLDER",
        help="with --models: simulated variations, whose mean change of the area is a column",
    )
    parser.add_argument(
        "--max-jets", type=int, metavar="N", help="with --models: attack the first N test jets alone (default: all)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the study")


def main(options: argparse.Namespace) -> None:
    """Train, evaluate, write."""
    names = (*DATA_SET, *_SETTINGS, *_RECIPE, "scale", "only", *PHYSICS_OPTIONS)
    settings = Settings.resolve({name: getattr(options, name) for name in names})
    grid = requested(ARCHITECTURES if options.models else STUDY, options)
    if options.variations and not options.models:
        raise UserError("--variations goes with --models; for trained taggers there is the command systematics.")
    if options.max_jets and not options.models:
        raise UserError("--max-jets goes with --models.")
    if options.models and (options.model or len(options.train_epsilon or ()) > 1):
        raise UserError("With --models leave --model out, and give one --train-epsilon at most.")
    load_tensorflow()

    from kerastag import runs

    if options.models:
        (epsilon,) = options.train_epsilon or _train_epsilons(settings)[:1]
        settings = dataclasses.replace(settings, epsilon=epsilon)
        runs.architectures(settings, options.output, options.models, options.seeds, grid, options.variations, options.max_jets)
        return
    runs.study(settings, options.output, options.seeds, options.train_epsilon or _train_epsilons(settings), grid)


def _train_epsilons(settings: Settings) -> tuple[float, ...]:
    """Sizes of the attack in training. Who names a budget and no multiple of it means the budget."""
    return (1.0,) if settings.physics.budget else (0.01, 0.05)
