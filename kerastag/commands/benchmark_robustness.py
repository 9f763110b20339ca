"""Train every defence and attack each with everything: the table of defences against attacks, resumable."""

import argparse
from pathlib import Path

from kerastag import cli
from kerastag.catalogue import DEFENSES
from kerastag.cli import load_tensorflow
from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.recipes import Recipe, Settings
from kerastag.request import DATA_SET, EPSILON, PHYSICS_OPTIONS

# Defences that are trained with every seed; and with the first alone, which saves most for pgd-7 and trades.
SEVERAL = (
    *("nominal", "fgsm", "input-gradient", "cure", "ibp", "crown-ibp", "sam", "asam", "awp", "rdsa"),
    *("variations", "variations-fgsm"),
)
ONE = ("pgd-7", "trades", "fgsm-mixed", "fgsm-rs", "ngm", "noise")
DEFAULT = ("nominal", "fgsm", "input-gradient", *ONE)
_RECIPE = ("model", "epochs")

EPILOG = """\
On the sample that comes along it takes two to three hours on two cores. What is there already is used as it is, so start it
again with the same options if it was interrupted. Nothing is chosen after the fact.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add data, defences, trainings and output."""
    add_fields(parser, Settings(), [*DATA_SET, "physics"], unset=True)
    add_fields(parser, Recipe(), _RECIPE, unset=True)
    parser.add_argument(
        "--defense",
        nargs="+",
        default=DEFAULT,
        metavar="NAME",
        help=f"as in train (default: {' '.join(DEFAULT)})",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2, 3, 4],
        metavar="N",
        help=f"of {', '.join(SEVERAL)}; the others take the first (default: 0 1 2 3 4)",
    )
    parser.add_argument(
        "--train-epsilons",
        type=float,
        nargs="+",
        default=[EPSILON],
        metavar="E",
        help="sizes of the attack in training; several make a curve for each defence in pareto.png (default: 0.01)",
    )
    parser.add_argument(
        "--betas",
        type=float,
        nargs="+",
        default=[Settings().beta],
        metavar="B",
        help="weights of the second term of TRADES; several make a curve in pareto.png (default: 3)",
    )
    parser.add_argument(
        "--variations", metavar="FOLDER", help="simulated variations, for the defences variations and variations-fgsm"
    )
    parser.add_argument(
        "--beside",
        nargs="+",
        default=[],
        metavar="TAGGER",
        help="further taggers as rows, each a path, a legacy name, or NAME=one of these; a NAME= given several times stands "
        "for the seeds of one training",
    )
    cli.add_code_option(parser)
    parser.add_argument(
        "--no-trees", action="store_true", help="leave boosted trees out, which meet jets attacked on the first training"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the benchmark")


def main(options: argparse.Namespace) -> None:
    """Train, attack, write."""
    if options.budget:
        raise UserError("The benchmark's attacks have sizes in σ; leave --budget out, or use evaluate.")
    given = {name: getattr(options, name) for name in (*DATA_SET, *_RECIPE, *PHYSICS_OPTIONS)}
    if options.variations and not any("variations" in DEFENSES.find(name).uses for name in options.defense):
        raise UserError("None of the defences trains on --variations; name variations or variations-fgsm with --defense.")
    for name in options.defense:
        folder = options.variations if "variations" in DEFENSES.find(name).uses else None
        Settings.resolve(given | {"defense": name, "variations": folder})
    load_tensorflow()

    from kerastag import runs

    seeds = {name: options.seeds if name in SEVERAL else options.seeds[:1] for name in options.defense}
    runs.benchmark_robustness(
        Settings.resolve(given),
        options.output,
        seeds,
        train_epsilons=options.train_epsilons,
        betas=options.betas,
        variations=options.variations,
        beside=options.beside,
        trees=not options.no_trees,
    )
