"""Export any tagger, ours or legacy, as .keras, SavedModel and ONNX, and compare the three on stored jets."""

import argparse
from pathlib import Path

from kerastag import cli
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.request import DATA_SET, Sample

# Jets on which the formats are compared.
_JETS = 10_000

EPILOG = """\
examples:
  %(prog)s saved_models/jet_flavor_adversarial --output exported
  %(prog)s jet_flavor_adversarial --card --output exported
  %(prog)s DeepCSV --output exported/DeepCSV
  %(prog)s DeepDoubleBvL --features jets.npy --output exported/DeepDoubleBvL

ONNX needs kerastag's extra 'onnx'. Input of every format: features, float32 (batch, features), physical units, in the order of
the schema (`kerastag schema NAME`). Outputs: logits and probabilities.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add tagger, jets and output."""
    parser.add_argument(
        "tagger",
        metavar="TAGGER",
        help="run directory, .keras file, SavedModel, a name such as DeepCSV or jet_flavor_nominal, or hf://user/name; NAME=…",
    )
    cli.add_code_option(parser)
    add_fields(parser, Sample(max_jets=_JETS), [*DATA_SET, "max_jets"])
    parser.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="NumPy file of jets (jets, features) to compare the formats on (default: the test split of the tagger's data set)",
    )
    parser.add_argument(
        "--card", action="store_true", help="write README.md as well: a model card, from what the run directory TAGGER measured"
    )
    cli.add_output_options(parser)


def main(options: argparse.Namespace) -> None:
    """Export, compare."""
    cli.check_output(options, "export")
    sample = collect(Sample(), options)
    cli.load_tensorflow()

    from kerastag import runs

    runs.export(options.tagger, sample, options.output, features=options.features, with_card=options.card)
