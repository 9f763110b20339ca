"""Simulate jets with Pythia 8 and FastJet into a ROOT file that `--config jet_flavor` and `--config deepcsv` read.

With --candidates the file is twice as large, and `--config particle_transformer_ak4` and `--config deepflavour` read it too.
So CMS's newer taggers can be evaluated and attacked on its jets.

An interrupted run goes on where it was when it is called again with the same options. Large samples are made by several
machines, each with seeds of its own; a folder of their files is one data set.

With --variation the events of an existing sample are made again with one thing changed, a file for each variation. Where the
detector is changed these are the same events with the same random numbers, so jets can be compared one by one; where the
physics is changed they are other events of the same numbers. A variation whose file is there is not made again.
"""

import argparse
import dataclasses
import os
import typing
from pathlib import Path

from kerastag.errors import UserError
from kerastag.options import add_options as add_fields
from kerastag.simulation import catalogue, variations
from kerastag.simulation.settings import SimulationSettings

if typing.TYPE_CHECKING:
    from kerastag.simulation.production import Summary

JETS = 100_000

EPILOG = """\
examples:
  kerastag simulate --jets 100000 --seed 1 --output jets.root
  kerastag simulate --jets 20000 --candidates --output candidates/jets.root
  for seed in $(seq 11 20); do kerastag simulate --seed $seed --output jets/$seed.root; done    # the next machine: 21 to 30
  kerastag simulate --split test --variation all --output variations
  kerastag simulate --split test --variation d0_resolution_up_17.5 d0_bias_5um+fakes mpi --output variations
  kerastag simulate --split test --variation pseudo_data_1 --output pseudo_data.root
  kerastag simulate --validate jets.root
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add size, settings, variations and output."""
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="file to make (default: jets.root); with --variation a folder, or a file of a single one (default: variations)",
    )
    parser.add_argument(
        "--jets",
        type=int,
        metavar="N",
        help=f"number of jets (default: {JETS}; with --like or --variation: the events of that file)",
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), metavar="N", help="to run at once (default: %(default)s)"
    )
    add_fields(parser, SimulationSettings(), unset=True)
    group = parser.add_argument_group("variations")
    group.add_argument(
        "--variation",
        nargs="+",
        metavar="NAME",
        help="what to change, a file each; names joined by + are changed together; 'uncertainties' for those of the detector "
        "that are as large as one, 'detector', 'physics' or 'all' for the standard ones; pseudo_data_N for a mixture drawn "
        "from seed N, on which nothing may be trained or chosen",
    )
    group.add_argument(
        "--like",
        type=Path,
        metavar="FILE",
        help="take settings and events of this simulated file (default with --variation: the sample that comes along)",
    )
    group.add_argument("--list-variations", action="store_true", help="print the names of all variations with what they change")
    group = parser.add_argument_group("validation")
    group.add_argument(
        "--validate",
        type=Path,
        metavar="FILE",
        help="make nothing; compare FILE with the moments of the published data set and print what is in it",
    )
    group.add_argument("--figures", type=Path, metavar="DIR", help="with --validate: draw the main inputs by flavour into DIR")


def main(options: argparse.Namespace) -> None:
    """Simulate, validate or list, say what came out."""
    if options.figures and not options.validate:
        raise UserError("--figures draws what --validate FILE reads; name a file with it.")
    if options.list_variations:
        list_variations()
    elif options.validate:
        validate(options)
    else:
        simulate(options)


def list_variations() -> None:
    """Print the catalogue."""
    for kind in (catalogue.DETECTOR, catalogue.PHYSICS):
        print(f"{kind}:")
        for name in variations.names(kind):
            print(f"  {name:31} {variations.find(name).help}")
    for name, reason in catalogue.UNAVAILABLE.items():
        print(f"not available:\n  {name:31} {reason}")


def simulate(options: argparse.Namespace) -> None:
    """Make one sample, or one for each variation."""
    try:
        from kerastag.simulation import production, variation_files
    except ImportError as error:
        raise UserError(
            f"{error}; simulation needs Pythia and FastJet: install kerastag with the extra 'simulation'."
        ) from error
    settings, size = SimulationSettings(), production.Size(jets=JETS)
    if like := options.like or (variation_files.SAMPLE_FILE if options.variation else None):
        settings = variation_files.settings_of(variation_files.metadata(like))
        size = production.Size(last_event=variation_files.last_event(like))
    names = {field.name for field in dataclasses.fields(settings)}
    given = {name: value for name, value in vars(options).items() if name in names and value is not None}
    if like and (others := sorted(given.keys() - {"split", "candidates"})):
        raise UserError(
            f"--{others[0].replace('_', '-')} would make other jets than those of '{like}'; leave it out, or "
            "make a sample of its own first and name it with --like."
        )
    settings = dataclasses.replace(settings, **given)
    size = size if options.jets is None else production.Size(jets=options.jets)
    if not options.variation:
        target = options.output or Path("jets.root")
        for _, done in production.produce_all({target: settings}, size, options.processes):
            _describe(target, done, options.processes)
        return
    changes = variation_files.paths(options.variation, options.output or Path("variations"))
    samples = {target: dataclasses.replace(settings, variations=names) for target, names in changes.items()}
    missing = variation_files.missing(samples, size)
    if len(missing) < len(samples):
        print(f"{len(samples) - len(missing)} of {len(samples)} variations are there already.")
    for target, done in production.produce_all(missing, size, options.processes):
        print(f"{done.kept:7,} jets in {done.seconds:5.0f} s  {target}", flush=True)


def _describe(target: Path, done: "Summary", processes: int) -> None:
    """Say how a sample was made."""
    print(f"{done.kept:,} jets in '{target}', {done.size / max(done.kept, 1):.0f} bytes each.")
    if done.reused:
        print(f"{done.reused:,} of them come from an interrupted run.")
    if done.jets:
        print(
            f"{done.jets / done.seconds:.0f} jets/s and {done.events / done.seconds:.0f} events/s, of which each of "
            f"{processes} processes makes {done.jets / done.work_seconds:.0f} jets/s; Pythia takes "
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
