"""What commands share: exit codes, a quiet start-up, and the options that say where results go."""

import argparse
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from kerastag.errors import UserError
from kerastag.request import REPLICATES


def run(main: Callable[[], None]) -> None:
    """Call `main` and turn its outcome into an exit code.

    0: done; 2: the user's mistake, one line on stderr; 130: interrupted. Anything else is a defect of ours: traceback, 1.
    """
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def load_tensorflow() -> None:
    """Import TensorFlow, Keras and TFDS without the lines that they print of themselves.

    Since 2.19 TensorFlow's C++ logs ignore TF_CPP_MIN_LOG_LEVEL while it is imported (tensorflow issue 100442), so file
    descriptor 2 points elsewhere meanwhile; what came is shown if the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            for name in ("tensorflow", "keras", "tensorflow_datasets", "tfds_jets.tfds_jets_dataset_builder"):
                importlib.import_module(name)
            sys.modules["tensorflow"].config.list_logical_devices()  # looks for a GPU, and complains if there is none
        except BaseException:
            printed.seek(0)
            os.write(stderr, printed.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    logging.getLogger("absl").addFilter(lambda record: "FeatureConnector.dtype" not in record.getMessage())


def add_tagger_argument(parser: argparse.ArgumentParser) -> None:
    """The positional `taggers`."""
    parser.add_argument(
        "taggers", nargs="+", metavar="TAGGER", help="run directory, .keras file, SavedModel or legacy tagger; NAME=…"
    )


def add_cap_option(parser: argparse.ArgumentParser) -> None:
    """Add the cap of attacks."""
    parser.add_argument(
        "--relative-cap",
        type=float,
        metavar="SHARE",
        help="largest change relative to each value, 0.2 in arXiv:2203.13890 (default: none)",
    )


def add_replicates_option(parser: argparse.ArgumentParser) -> None:
    """Option `--replicates`."""
    parser.add_argument(
        "--replicates", type=int, default=REPLICATES, metavar="N", help="bootstrap resamples (default: %(default)s)"
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Options `--output` and `--overwrite`."""
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --output")


def check_output(options: argparse.Namespace, result: str = "") -> None:
    """Make sure that no results are overwritten unasked.

    Args:
        options: What `add_output_options` added to, parsed.
        result: File whose presence in the folder means results; "" for any file.

    Raises:
        UserError: if there are results already, and they are not to be overwritten.
    """
    folder = options.output
    exists = (folder / result).exists() if result else folder.exists() and any(folder.iterdir())
    if exists and not options.overwrite:
        raise UserError(f"There are results in '{folder}' already; add --overwrite or choose another --output.")
