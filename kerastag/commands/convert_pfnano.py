"""Convert CMS PFNano files to ROOT files with the inputs of DeepFlavour and of RobustParTAK4.

`--config deepflavour` and `--config particle_transformer_ak4` read them. `tfds_jets/README.md` says what PFNano does not store.
"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add source and target."""
    parser.add_argument("source", type=Path, metavar="PATH", help="folder of PFNano files, or a file")
    parser.add_argument("target", type=Path, metavar="DIR", help="folder to make for the ROOT files")


def main(options: argparse.Namespace) -> None:
    """Convert, say what to do next."""
    from tfds_jets.pfnano import convert

    jets = convert(options.source, options.target)
    print(f"{jets:,} jets in '{options.target}'. Next: tfds build tfds_jets --config deepflavour --manual_dir {options.target}")
