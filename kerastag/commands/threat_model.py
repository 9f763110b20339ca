"""Print what an attack may do to each feature: its budget in physical units, what it follows, and what stays."""

import argparse

from kerastag import cli
from kerastag.catalogue import SCALES
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.request import DATA_SET, PHYSICS, Sample

EPILOG = """\
examples:
  %(prog)s                            the default: ε = 0.01 σ in the physical box
  %(prog)s --paper                    the box of arXiv:2203.13890
  %(prog)s --budget alignment-5um     impact parameters off by 5 µm, and what follows from them

An attack moves a jet within a box: so far from the clean value of each input, and no further. A budget of your own is a file
such as this, a table for each data set with sizes in the units that are printed. What no line names follows others or stays.

  title = "tracks off by 5 µm, momenta by 1 %%"
  [jet_flavor]
  "track_*_D0" = 0.005
  "track_*_QOVERP" = {share = 0.01}                                  # of its own value
  "track_*_Z0" = {share = 0.1, of = "track_*_Z0Z0", power = 0.5}     # 0.1·|Z0Z0|^0.5 of the same slot
  "jet_prob" = {b = 0.02, c = 0.01, light = 0.01}                    # every flavour
  "track_*_vertex_mass" = {follows = "track_0_QOVERP", power = -1}   # by the factor of another feature, to a power
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add data, sizes and rules."""
    add_fields(parser, Sample(), DATA_SET)
    parser.add_argument(
        "--epsilon", type=float, metavar="E", help="size of the attack (default: 0.01; with --budget 1, a multiple of it)"
    )
    cli.add_cap_option(parser)
    parser.add_argument(
        "--scale",
        choices=list(SCALES),
        default="sigma",
        metavar="NAME",
        help=SCALES.help.replace("%", "%%") + " (default: %(default)s)",
    )
    add_fields(parser, PHYSICS)


def main(options: argparse.Namespace) -> None:
    """Look at the training jets, print."""
    cli.load_tensorflow()

    from kerastag import runs

    physics = collect(PHYSICS, options)
    runs.threat_model(collect(Sample(), options), options.epsilon, options.relative_cap, physics, options.scale)
