"""Simulate jets with Pythia 8 and FastJet into a ROOT file that `--config jet_flavor` and `--config deepcsv` read.

An interrupted run goes on where it was when it is called again with the same options.
"""

import argparse
import os
import sys
from pathlib import Path

try:
    from kerastag.cli import run
    from kerastag.errors import UserError
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--output", type=Path, default=Path("jets.root"), metavar="FILE", help="file to make (default: %(default)s)"
    )
    made.add_argument("--jets", type=int, default=100_000, metavar="N", help="number of jets (default: %(default)s)")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same jets (default: %(default)s)")
    made.add_argument(
        "--processes", type=int, default=os.cpu_count(), metavar="N", help="to run at once (default: %(default)s)"
    )
    made.add_argument("--mpi", action="store_true", help="add multiparton interactions (about ten times slower)")
    made.add_argument(
        "--physical-resolution",
        action="store_true",
        help="track resolutions that grow with |eta| as in a detector; the published data set has them reversed",
    )
    made.add_argument("--beam-spot", action="store_true", help="spread primary vertices by (0.015, 0.015, 46) mm")
    made.add_argument("--hadron-labels", action="store_true", help="label jets by their hadrons instead of their quarks")
    made.add_argument(
        "--validate",
        type=Path,
        metavar="FILE",
        help="make nothing; compare FILE with the moments of the published data set and print what is in it",
    )
    made.add_argument("--figures", type=Path, metavar="DIR", help="with --validate: draw the main inputs by flavour into DIR")
    return made


def main() -> None:
    """Parse, simulate or validate, say what came out."""
    options = parser().parse_args()
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
        raise UserError(f"{error}; simulation needs Pythia and FastJet: pip install -e '.[simulation]'.") from error
    from kerastag.simulation.settings import SimulationSettings

    settings = SimulationSettings(
        seed=options.seed,
        mpi=options.mpi,
        physical_resolution=options.physical_resolution,
        beam_spot=options.beam_spot,
        hadron_labels=options.hadron_labels,
    )
    done = produce(options.output, options.jets, settings, options.processes)
    print(f"{options.jets:,} jets in '{options.output}', {done.size / options.jets:.0f} bytes each.")
    if done.found:
        print(f"{done.found:,} of them come from an interrupted run.")
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


if __name__ == "__main__":
    run(main)
