"""Build the site of all pages of the repository: OUTPUT/html/index.html, to be opened as a file or served."""

import argparse
from collections.abc import Sequence

from kerastag import cli
from kerastag.docs.site import CHECKOUT, NAME, docs


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse options and build.

    Args:
        arguments: Command line; that of this process if None.
    """
    parser = argparse.ArgumentParser(prog="python -m kerastag.docs", description=__doc__)
    cli.add_output_options(parser)
    options = parser.parse_args(arguments)
    cli.check_output(options, NAME)
    docs(CHECKOUT, options.output)


if __name__ == "__main__":
    cli.run(main)
