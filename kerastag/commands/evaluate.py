"""Evaluate taggers on the test split: clean, under FGSM and PGD, on cross-entropy and on each discriminator's own margin."""

import argparse

from kerastag import cli
from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.options import collect, given
from kerastag.request import CERTIFICATES, EVALUATION, NO_ATTACK, Sample, requested

EPILOG = """\
example:
  %(prog)s runs/jet_flavor-nominal runs/jet_flavor-fgsm --output comparison

All taggers meet the same jets and the same budgets: ε times the standard deviation of the data set's training jets. Values
with a meaning of their own, such as a displacement of 0, stay. Inputs that are one measurement move together. So do tabulated
ones such as covariances, or they stay. All keep to their valid range. --paper frees them all. Differences of areas below the
quoted intervals mean nothing.

Scores that files hold, of any tagger that was run on their jets, are compared clean; there is no network to attack:
  %(prog)s --scores UParT=Jet_btagUParTAK4B --scores DeepFlavour=Jet_btagDeepFlavB \\
      --config nanoaod --manual-dir nano --split all --output stored

NAME=BRANCH is a score that orders jets for the main discriminator, such as BvL. More of them are NAME=BvL:BRANCH,CvL:BRANCH,
probabilities of classes NAME=b:BRANCH,c:BRANCH,light:BRANCH. A branch may be an expression of branches. Jets whose score is
-1 or no finite number, or whose probability is negative, have none: they are left out for that tagger, and counted.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add taggers, jets, attacks and output."""
    cli.add_tagger_argument(parser, needed=False)
    cli.add_scores_option(parser)
    add_fields(parser, Sample())
    add_fields(parser, EVALUATION, unset=True)
    cli.add_cap_option(parser)
    cli.add_replicates_option(parser)
    cli.add_output_options(parser)
    parser.add_argument(
        "--certify",
        choices=CERTIFICATES,
        metavar="METHOD",
        help="bound what any attack can do in the box of each ε, inputs untied: crown, or interval, which is quicker and wider",
    )
    parser.add_argument(
        "--smooth",
        type=float,
        metavar="NOISE",
        help="rates of the majority of 1,000 decisions under noise of so many σ, which no change up to a length can turn",
    )
    parser.add_argument(
        "--negative-tags",
        action="store_true",
        help="estimate mistag rates by negative taggers, which see impact parameters of the other sign",
    )
    parser.add_argument("--diagnose", action="store_true", help="look for signs that gradients are useless, at the first ε")


def main(options: argparse.Namespace) -> None:
    """Compare, write."""
    asked = [*given(EVALUATION, options), *(["--relative-cap"] if options.relative_cap is not None else [])]
    if asked and not options.taggers:
        raise UserError(f"{asked[0]} needs a tagger: {NO_ATTACK}.")
    if options.smooth is not None and options.smooth <= 0:
        raise UserError(f"--smooth must be above 0, not {options.smooth:g}.")
    cli.check_output(options, "evaluate", "metrics.json")
    sample, grid = collect(Sample(), options), requested(EVALUATION, options, caps=(options.relative_cap,))
    cli.load_tensorflow()

    from kerastag import runs

    runs.evaluate(
        options.taggers,
        sample,
        options.output,
        grid,
        scores=options.scores,
        replicates=options.replicates,
        diagnose=options.diagnose,
        certify=options.certify,
        noise=options.smooth,
        negative=options.negative_tags,
    )
