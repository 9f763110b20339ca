"""Taggers on simulated mismodelling: changes of area, scale factors, and whether the loss under attack predicts them."""

import argparse
from pathlib import Path

from kerastag import cli
from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.request import DATA_SET, SCAN, Sample

EPILOG = """\
examples:
  kerastag simulate --split test --variation all --output variations
  %(prog)s nominal=saved_models/jet_flavor_nominal adversarial=saved_models/jet_flavor_adversarial \\
      --variations variations --output systematics
  %(prog)s saved_models/jet_flavor_nominal --variations variations --output systematics --envelope envelope.toml

Each attack is made within the paper's box and within the physical one. The first tagger is the one that others are compared
with, and boosted trees meet the jets that were attacked on it. A NAME= given several times stands for the seeds of one
training. Variations of the detector are paired with nominal.root. Those of the physics are compared with reseeded.root, events
of their own, or with nominal.root where that is missing; mpi_without_reconnection is compared with mpi.root. Of files with all
jets of a sample the test split is taken; --split all takes all of them, which is right if no tagger has seen any.

Any branch of these files can be compared under variations as a score, such as --scores "jet probability=-jet_prob"; see
evaluate. It cannot be attacked. Scores of another tagger must stand in the files beside what simulate wrote.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add taggers, files of variations, attacks and output."""
    cli.add_tagger_argument(parser)
    cli.add_scores_option(parser)
    parser.add_argument(
        "--variations", type=Path, required=True, metavar="FOLDER", help="folder of ROOT files, one for each variation"
    )
    parser.add_argument(
        "--variation", nargs="+", default=[], metavar="NAME", help="variations to look at (default: all of the folder)"
    )
    add_fields(parser, Sample(), (*DATA_SET, "split"))
    add_fields(parser, SCAN, ["attacks", "epsilons", "objectives", "scale"])
    parser.add_argument(
        "--budgets", nargs="+", default=[], metavar="NAME", help="further boxes: budgets by name or file, at ε = 1"
    )
    parser.add_argument("--no-trees", action="store_true", help="leave boosted trees out")
    parser.add_argument(
        "--envelope",
        type=Path,
        metavar="FILE",
        help="also write a budget: the shift of each input below which 68 %% of the same jets stay, the largest over "
        "variations of the detector, those that are as large as an uncertainty unless --variation names them",
    )
    cli.add_replicates_option(parser)
    cli.add_output_options(parser)


def main(options: argparse.Namespace) -> None:
    """Measure, write."""
    cli.check_output(options, "systematics", "systematics.json")
    if options.envelope is not None and options.envelope.exists() and not options.overwrite:
        raise UserError(f"There is a budget in '{options.envelope}' already; add --overwrite or choose another --envelope.")
    sample, grid = collect(Sample(), options), collect(SCAN, options, caps=(None,))
    cli.load_tensorflow()

    from kerastag import runs

    runs.systematics(
        options.taggers,
        options.variations,
        sample,
        options.output,
        grid,
        scores=options.scores,
        variations=options.variation,
        budgets=options.budgets,
        trees=not options.no_trees,
        envelope=options.envelope,
        replicates=options.replicates,
    )
