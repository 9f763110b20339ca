"""Measure the speed of every part on made-up jets: building, reading, training, attacking. Best of three each."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

try:
    from kerastag.cli import load_tensorflow, run
except ImportError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Parse, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jets", type=int, default=200_000, metavar="N", help="made-up jets (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8192, metavar="N", help="jets in a step (default: %(default)s)")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where to write about 1 kB a jet (default: temporary)")
    options = parser.parse_args()
    load_tensorflow()

    from kerastag.runs import benchmark

    print(f"{options.jets:,} jets, batches of {options.batch_size}, {os.cpu_count()} cores\n")
    print("| what | measured | goal |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        for what, measured, goal in benchmark.run(Path(folder), options.jets, options.batch_size):
            print(f"| {what} | {measured} | {goal} |", flush=True)


if __name__ == "__main__":
    run(main)
