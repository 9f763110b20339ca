"""Convert the published Jet Flavor 2016 data set (dataset.json.gz) to ROOT files for `tfds build tfds_jets`."""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add source and target."""
    parser.add_argument("source", type=Path, metavar="FILE", help="dataset.json.gz, or a file in its format")
    parser.add_argument("target", type=Path, metavar="DIR", help="folder to make for the ROOT files")
    parser.add_argument("--files", type=int, default=128, metavar="N", help="number of ROOT files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random spread (default: %(default)s)")
    parser.add_argument("--max-jets", type=int, metavar="N", help="stop after so many jets")


def main(options: argparse.Namespace) -> None:
    """Convert, say what to do next."""
    from tfds_jets.conversion import convert

    jets = convert(options.source, options.target, options.files, options.seed, options.max_jets)
    print(f"{jets:,} jets in '{options.target}'. Next: tfds build tfds_jets --config jet_flavor --manual_dir {options.target}")
