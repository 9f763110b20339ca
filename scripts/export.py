"""Export any tagger, ours or legacy, as .keras, SavedModel and ONNX, and compare the three on stored jets."""

import argparse
import sys
from pathlib import Path

try:
    from kerastag.cli import add_data_options, load_tensorflow, run
    from kerastag.errors import UserError
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
    made.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the exports and parity.json")
    made.add_argument("--overwrite", action="store_true", help="replace what is in --output")
    return made


def main() -> None:
    """Parse, export, compare."""
    options = parser().parse_args()
    if options.output.exists() and any(options.output.iterdir()) and not options.overwrite:
        raise UserError(f"The folder '{options.output}' is not empty; add --overwrite or choose another --output.")

    load_tensorflow()

    from kerastag import formats

    formats.run(
        options.tagger,
        options.output,
        config=options.config,
        data_dir=options.data_dir,
        manual_dir=options.manual_dir,
        features=options.features,
        max_jets=options.max_jets,
    )


if __name__ == "__main__":
    run(main)
