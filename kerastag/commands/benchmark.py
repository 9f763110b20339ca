"""Measure the speed of every part, and beside each the limit that this machine sets: its matrix products, plain reading."""

import argparse
from pathlib import Path

from kerastag import cli
from kerastag.options import add_options as add_fields
from kerastag.options import collect
from kerastag.request import DATA_SET, Sample

EPILOG = """\
examples:
  %(prog)s --output speed                          all of it, some 5 minutes on a free core
  %(prog)s --parts steps --paper-batches 8192      steps of training alone
  %(prog)s --parts growth --output growth          cost against the number of jets
  TF_NUM_INTRAOP_THREADS=1 OMP_NUM_THREADS=1 %(prog)s --clock cpu
                                                   one thread, NumPy's too, where others use the machine

Steps, epochs and inference use the training jets of the data set, certificates 2,000 of its test jets; what is built and read
is made up. Each limit is measured in turns with what it limits. A step's is its matrix products alone, of the same shapes:
forward, in the weights and in the inputs, as often as it makes them; a certificate's are those of one forward pass. GFLOP/s
count these products. Steps of input-gradient and pgd-7 look at the box of their recipe, the paper's for paper_mlp, the physical
one for mlp. Files that were just read or written lie in memory, so plain reading is faster than any disk. With --clock cpu
jets/s are those of one core, and waiting for a disk costs nothing. The part trace tells by TensorFlow's profiler what the
operations of a step of the default network take.

The part pytorch, which needs that package, compares steps of the paper's network with the same ones in plain PyTorch, in turns.

The part growth takes each size of --sizes once. It builds, trains an epoch with FGSM as in the paper, in batches of 8192, and
evaluates the test split, each in a process of its own for its peak memory. 10,000,000 jets take half an hour of a core.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add parts, sizes and places."""
    add_fields(parser, Sample(), DATA_SET)
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=(*(usual := ("data", "steps", "trace", "callbacks", "inference", "certificates")), "pytorch", "growth"),
        default=list(usual),
        metavar="PART",
        help="what to measure: data, steps, trace, callbacks, inference, certificates, pytorch, growth (default: all "
        "but the last two)",
    )
    parser.add_argument(
        "--jets", type=int, default=100_000, metavar="N", help="made-up jets to build and read (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=512, metavar="N", help="jets in a step of the default network (default: %(default)s)"
    )
    _add_sizes(parser, "--paper-batches", (8192, 65_536), "jets in a step of the paper's network")
    _add_sizes(parser, "--inference-batches", (1, 64, 4096, 65_536), "jets in a call of a tagger")
    _add_sizes(parser, "--sizes", (100_000, 1_000_000), "made-up jets in the data sets of the part growth")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        metavar="CLOCK",
        help="what counts as time: wall, or cpu, the seconds of all threads together (default: wall)",
    )
    parser.add_argument(
        "--scratch", type=Path, metavar="DIR", help="where to write about 3 kB a made-up jet (default: temporary)"
    )
    cli.add_output_options(parser, needed=False)


def _add_sizes(parser: argparse.ArgumentParser, flag: str, sizes: tuple[int, ...], what: str) -> None:
    usual = " ".join(map(str, sizes))
    parser.add_argument(flag, type=int, nargs="+", default=list(sizes), metavar="N", help=f"{what} (default: {usual})")


def main(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    if options.output is not None:
        cli.check_output(options, "benchmark", "table.md")
    cli.load_tensorflow()

    from kerastag import runs
    from kerastag.speed.clock import Clock

    runs.benchmark(
        options.output,
        collect(Sample(), options),
        parts=options.parts,
        jets=options.jets,
        batch_size=options.batch_size,
        paper_batches=options.paper_batches,
        inference_batches=options.inference_batches,
        sizes=options.sizes,
        clock=Clock(options.clock),
        scratch=options.scratch,
    )
