"""Train on few and on many inputs, nominally and adversarially, and attack each: vulnerability against their number."""

import argparse
from pathlib import Path

from kerastag.cli import load_tensorflow
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.recipes import Recipe, Settings
from kerastag.request import DATA_SET, PHYSICS_OPTIONS, SCAN

_SETTINGS, _RECIPE = ("recipe", "epsilon", "scale"), ("model", "epochs")

EPILOG = """\
examples:
  %(prog)s --output scan
  %(prog)s --inputs jet --inputs jet track:2 --inputs jet vertex track:2 --seeds 0 1 2 --output scan
  kerastag report nominal=... adversarial=... --scan scan --output report

Groups are those of the schema (kerastag schema NAME tells); "track:2" are the two leading tracks. A scan that was
interrupted goes on where it stopped when it is started again with the same options. On the sample that comes along one seed
takes half an hour of one core.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add data, sets of inputs, trainings, attacks and output."""
    parser.add_argument(
        "--inputs",
        nargs="+",
        action="append",
        default=[],
        metavar="GROUP",
        help="a set of groups; repeat it for more sets (default: each group without slots, these together, the first "
        "of them with 1, 2, 4, 6 tracks, everything)",
    )
    add_fields(parser, Settings(), [*DATA_SET, *_SETTINGS, "physics"], unset=True)
    add_fields(parser, Recipe(), _RECIPE, unset=True)
    add_fields(parser, SCAN, ["attacks", "objectives"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="of the trainings (default: 0)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the scan")


def main(options: argparse.Namespace) -> None:
    """Train, evaluate, write."""
    names = (*DATA_SET, *_SETTINGS, *_RECIPE, *PHYSICS_OPTIONS)
    settings = Settings.resolve({name: getattr(options, name) for name in names})
    grid = collect(SCAN, argparse.Namespace(attacks=options.attacks, objectives=options.objectives))
    load_tensorflow()

    from kerastag import runs

    runs.scan_inputs(settings, options.output, options.inputs, options.seeds, grid)
