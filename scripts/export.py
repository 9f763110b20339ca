"""Export any tagger, ours or legacy, as .keras, SavedModel and ONNX, and compare the three on stored jets."""

import argparse
import sys
from pathlib import Path

try:
    from kerastag.cli import add_data_options, add_output_options, checked_output, load_tensorflow, run
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

EPILOG = """\
examples:
  export.py saved_models/jet_flavor_adversarial --output exported
  export.py DeepCSV --output exported/DeepCSV
  export.py DeepDoubleBvL --features jets.npy --output exported/DeepDoubleBvL

ONNX needs kerastag's extra 'onnx'. Input of every format: features, float32 (batch, features), physical units, in the order of
the schema (`python -m kerastag.schema NAME`). Outputs: logits and probabilities.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("tagger", metavar="TAGGER", help="run directory, .keras file, SavedModel or legacy tagger; NAME=…")
    add_data_options(made)
    made.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="NumPy file of jets (jets, features) to compare the formats on (default: the test split of the tagger's data set)",
    )
    made.add_argument("--max-jets", type=int, default=10_000, metavar="N", help="jets to compare on (default: %(default)s)")
    add_output_options(made)
    return made


def main() -> None:
    """Parse, export, compare."""
    options = checked_output(parser().parse_args())

    load_tensorflow()

    from kerastag.runs import export as formats

    formats.run(**options)


if __name__ == "__main__":
    run(main)
