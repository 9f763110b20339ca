"""Compare taggers, ours and those that CMS ran, on the same jets: clean, attacked, and attacked on one another."""

import argparse

from kerastag import cli
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.request import COMPARISON, Sample, requested

EPILOG = """\
examples:
  %(prog)s saved_models/deepcsv_nominal saved_models/deepcsv_adversarial DeepCSV --config deepcsv --output comparison
  %(prog)s mine=runs/mine DeepCSV --config deepcsv --manual-dir PFNANO_FILES --data-dir pfnano --output comparison

A tagger is anything that kerastag.load takes, one that comes along by its name, or a legacy one: DeepCSV, DeepFlavour,
RobustParTAK4-nominal, RobustParTAK4-ngm. Weights of the latter are looked for in the folder that the environment variable
KERASTAG_WEIGHTS names, or downloaded once into your cache.

The flavours are those of --config. A tagger of other inputs reads the same jets through its own config, from the same files;
then only the jets that both have count. Scores that files hold are compared by evaluate --scores. Budgets are ε times the
standard deviation of the training jets, the same for all taggers of the same inputs. A relative loss is the loss of area
divided by what the clean area is above 0.5.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add taggers, jets, attacks and output."""
    cli.add_tagger_argument(parser)
    add_fields(parser, Sample())
    add_fields(parser, COMPARISON, unset=True)
    cli.add_cap_option(parser)
    cli.add_replicates_option(parser)
    cli.add_output_options(parser)


def main(options: argparse.Namespace) -> None:
    """Compare, write."""
    cli.check_output(options, "compare", "comparison.json")
    sample = collect(Sample(), options)
    grid = requested(COMPARISON, options, caps=(options.relative_cap,))
    cli.load_tensorflow()

    from kerastag import runs

    runs.compare(options.taggers, sample, options.output, grid, replicates=options.replicates)
