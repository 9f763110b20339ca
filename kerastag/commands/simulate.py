"""Simulate jets with Pythia 8 and FastJet into a ROOT file that `--config jet_flavor` and `--config deepcsv` read.

An interrupted run goes on where it was when it is called again with the same options.
"""

import argparse
import os
from pathlib import Path

from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.simulation.settings import SimulationSettings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add size, settings and output."""
    parser.add_argument(
        "--output", type=Path, default=Path("jets.root"), metavar="FILE", help="file to make (default: %(default)s)"
    )
    parser.add_argument("--jets", type=int, default=100_000, metavar="N", help="number of jets (default: %(default)s)")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), metavar="N", help="to run at once (default: %(default)s)"
    )
    add_fields(parser, SimulationSettings())
    parser.add_argument(
        "--validate",
        type=Path,
        metavar="FILE",
        help="make nothing; compare FILE with the moments of the published data set and print what is in it",
    )
    parser.add_argument("--figures", type=Path, metavar="DIR", help="with --validate: draw the main inputs by flavour into DIR")


def main(options: argparse.Namespace) -> None:
    """Simulate or validate, say what came out."""
    if options.figures and not options.validate:
        raise UserError("--figures draws what --validate FILE reads; name a file with it.")
    if options.validate:
        validate(options)
    else:
        simulate(options)


def simulate(options: argparse.Namespace) -> None:
    """Make a sample."""
    try:
        from kerastag.simulation.production import produce
    except ImportError as error:
        raise UserError(
            f"{error}; simulation needs Pythia and FastJet: install kerastag with the extra 'simulation'."
        ) from error
    settings = collect(SimulationSettings(), options)
    done = produce(options.output, options.jets, settings, options.processes)
    print(f"{options.jets:,} jets in '{options.output}', {done.size / options.jets:.0f} bytes each.")
    if done.reused:
        print(f"{done.reused:,} of them come from an interrupted run.")
    if done.jets:
        print(
            f"{done.jets / done.seconds:.0f} jets/s and {done.events / done.seconds:.0f} events/s, of which each of "
            f"{options.processes} processes makes {done.jets / done.work_seconds:.0f} jets/s; Pythia takes "
            f"{done.generator_seconds / done.work_seconds:.0%} of their time. "
            f"{done.unlisted:,} jets without a track at any vertex were left out."
        )


def validate(options: argparse.Namespace) -> None:
    """Compare a sample with what is known."""
    from kerastag.simulation import validation

    print(validation.report(options.validate))
    if options.figures:
        for path in validation.figures(options.validate, options.figures):
            print(f"Figure: {path}")
