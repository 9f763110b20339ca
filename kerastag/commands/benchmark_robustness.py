"""Train defences over seeds and attack each: a table of defences against attacks, and which to choose; resumable."""

import argparse
from pathlib import Path

from kerastag import cli
from kerastag.catalogue import ATTACKS, DEFENSES
from kerastag.cli import load_tensorflow
from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.recipes import Recipe, Settings
from kerastag.request import CERTIFICATES, DATA_SET, EPSILON, PHYSICS

# Seeds of each defence unless told; of some the first alone, which saves most for pgd-7 and trades.
SEEDS = (0, 1, 2, 3, 4)
ONE_SEED = ("pgd-7", "trades", "fgsm-mixed", "fgsm-rs", "ngm", "noise")
# Files that some defences need, by the option that names them.
_FILES = ("variations", "unlabelled")
DEFAULT = ("nominal", "fgsm", "input-gradient", *ONE_SEED)
_RECIPE = ("model", "epochs")
# Rules of physics; a budget has no size in σ.
_RULES = ("paper", "bounds", "untied")

EPILOG = """\
On the sample that comes along it takes two hours of one core. What is there already is used as it is, so start it
again with the same options if it was interrupted. Nothing is chosen after the fact. table.md has areas by attack, and
with choice.png what to choose a defence by: strongest attack, certificate, change under variations, calibration, time.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add data, defences, trainings and output."""
    add_fields(parser, Settings(), [*DATA_SET, "scale"], unset=True)
    add_fields(parser, PHYSICS, _RULES, unset=True, group="attack and defence")
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
        metavar="N",
        help=f"of each defence (default: {' '.join(map(str, SEEDS))}; of {', '.join(ONE_SEED)} the first alone)",
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
        help="weights of the second term of trades and consistency; several make a curve in pareto.png (default: 3)",
    )
    parser.add_argument(
        "--factors",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="F",
        help="on the usual ρ or weight of the defences that have one; several make a curve in pareto.png (default: 1)",
    )
    parser.add_argument("--variations", metavar="FOLDER", help="as in train, for the defences that train on variations")
    parser.add_argument("--unlabelled", metavar="PATH", help="as in train, for the defences consistency and domain")
    parser.add_argument(
        "--attack",
        nargs="+",
        metavar="NAME",
        help="columns instead of the usual ones: these attacks, on the margin of each discriminator unless told",
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        nargs="+",
        metavar="E",
        help="sizes of the attacks of --attack, a column each; one must be 0.01 (default: 0.01)",
    )
    parser.add_argument(
        "--objective",
        metavar="NAME",
        help="what the attacks of --attack increase instead, as in evaluate (default: margin)",
    )
    parser.add_argument(
        "--certify",
        choices=CERTIFICATES,
        help="how certified areas are made, which evaluate explains; a column of what to choose by (default: none)",
    )
    parser.add_argument(
        "--systematics",
        type=Path,
        metavar="FOLDER",
        help="simulated variations of the test jets, whose mean and worst change are columns of what to choose by",
    )
    parser.add_argument("--max-jets", type=int, metavar="N", help="attack the first N test jets alone (default: all)")
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
        "--no-trees",
        action="store_true",
        help="leave boosted trees out, which meet jets attacked on the first training where attacks need gradients",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the benchmark")


def main(options: argparse.Namespace) -> None:
    """Train, attack, write."""
    given = {name: getattr(options, name) for name in (*DATA_SET, *_RECIPE, "scale", *_RULES)}
    uses = {name: DEFENSES.find(name).uses for name in options.defense}
    for file in _FILES:
        if getattr(options, file) and not any(file in of for of in uses.values()):
            raise UserError(f"None of the defences looks at --{file}; name one that does with --defense, see train --help.")
    for name, of in uses.items():
        Settings.resolve(given | {"defense": name} | {file: getattr(options, file) for file in _FILES if file in of})
    for option, value in {"--objective": options.objective, "--epsilon": options.epsilon}.items():
        if value is not None and not options.attack:
            raise UserError(f"{option} is that of the attacks of --attack; name them too, such as --attack fgsm pgd-20.")
    for attack in options.attack or ():
        ATTACKS.find(attack)
    load_tensorflow()

    from kerastag import runs
    from kerastag.runs.benchmark_robustness import columns_of
    from kerastag.runs.defense_rows import Strengths

    seeds = {name: options.seeds or (SEEDS[:1] if name in ONE_SEED else SEEDS) for name in options.defense}
    sizes, aim = dict.fromkeys(options.epsilon or [EPSILON]), options.objective or "margin"
    attacks = [condition for size in sizes for condition in columns_of(options.attack or (), aim, size)]
    runs.benchmark_robustness(
        Settings.resolve(given),
        options.output,
        seeds,
        strengths=Strengths(options.train_epsilons, options.betas, options.factors),
        variations=options.variations,
        unlabelled=options.unlabelled,
        beside=options.beside,
        trees=not options.no_trees,
        certify=options.certify,
        systematics=options.systematics,
        max_jets=options.max_jets,
        **({"attacks": attacks} if attacks else {}),
    )
