"""The commands: `kerastag NAME`, the same as `python scripts/NAME.py`.

A command is a module of its name with a docstring, `add_options(parser)`, `main(options)` and, where it helps, an `EPILOG` of
examples. Options are parsed before TensorFlow is loaded.
"""

import argparse
import functools
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from kerastag import __version__, cli, environment
from kerastag.catalogue import import_own

NAMES = (
    "train",
    "evaluate",
    "report",
    "benchmark_robustness",
    "compare",
    "export",
    "study",
    "scan_inputs",
    "systematics",
    "leaderboard",
    "threat_model",
    "results",
    "schema",
    "inspect",
    "simulate",
    "convert_jet_flavor",
    "convert_pfnano",
    "benchmark",
)


def _command(name: str) -> ModuleType:
    return importlib.import_module(f"kerastag.commands.{name}")


def make_parser(name: str, prog: str, width: int | None = None) -> argparse.ArgumentParser:
    """The parser of a command.

    Args:
        name: Name in `NAMES`.
        prog: Name of the program in its messages.
        width: Columns of its help; those of the terminal if None.
    """
    command = _command(name)
    parser = argparse.ArgumentParser(
        prog=prog,
        description=command.__doc__,
        epilog=getattr(command, "EPILOG", None),
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, width=width),
    )
    command.add_options(parser)
    return parser


def run(name: str, arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run a command and exit by its outcome, as `kerastag.cli.run` says.

    Args:
        name: Name in `NAMES`.
        arguments: Command line; that of this process if None.
        prog: Name of the program in messages.
    """
    cli.run(lambda: execute(name, arguments, prog))


def execute(name: str, arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run a command.

    Args:
        name: Name in `NAMES`.
        arguments: Command line; that of this process if None.
        prog: Name of the program in messages.

    Raises:
        UserError: for a mistake of the user.
    """
    environment.check()
    parser = make_parser(name, prog or Path(sys.argv[0]).name)
    cli.check_words(name, sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(arguments)
    cli.check_numbers(parser, options)
    if modules := getattr(options, "code", []):
        cli.load_tensorflow()
        for module in modules:
            import_own(module.partition(":")[0])
    _command(name).main(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console command `kerastag NAME …`."""
    parser = argparse.ArgumentParser(
        prog="kerastag",
        description="Jet flavour taggers in Keras that withstand attacks, tested against mismodelling.",
        epilog="`kerastag NAME --help` tells the rest.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", metavar="NAME", dest="name", required=True)
    for name in NAMES:
        first_line = (_command(name).__doc__ or "").splitlines()[0]
        commands.add_parser(name, help=first_line.replace("%", "%%"), add_help=False)
    options, rest = parser.parse_known_args(arguments)
    run(options.name, rest, prog=f"kerastag {options.name}")
