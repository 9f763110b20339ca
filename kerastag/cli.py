"""What scripts share: options, exit codes and a quiet start-up."""

import argparse
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from kerastag.errors import UserError
from kerastag.schema import DEFAULT, SCHEMAS


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


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Options `--config`, `--manual-dir` and `--data-dir`."""
    parser.add_argument("--config", default=DEFAULT, help=f"data set: {', '.join(SCHEMAS)} (default: %(default)s)")
    parser.add_argument(
        "--manual-dir",
        metavar="DIR",
        help="folder of ROOT files to build the data set from (default: the sample that comes along)",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder where TFDS keeps data sets")


def add_attack_options(parser: argparse.ArgumentParser, epsilons: tuple[float, ...]) -> None:
    """Options `--attack` (`attacks`), `--epsilon` (`epsilons`, of that default), `--scale` and `--only`."""
    parser.add_argument(
        "--attack",
        dest="attacks",
        nargs="+",
        default=["fgsm", "pgd-20"],
        metavar="NAME",
        help="fgsm, fgsm-rs, ngm, pgd-N of N steps, pgd-NxR of R starts, apgd-N; noise, systematic-up, -down "
        "(default: fgsm pgd-20)",
    )
    listed = " ".join(f"{epsilon:g}" for epsilon in epsilons)
    parser.add_argument(
        "--epsilon",
        dest="epsilons",
        type=float,
        nargs="+",
        default=epsilons,
        metavar="E",
        help=f"sizes of the attacks in units of --scale (default: {listed})",
    )
    parser.add_argument(
        "--scale",
        choices=("sigma", "core"),
        default="sigma",
        help="σ of the feature, or of its core, 20 to 80 %% (default: sigma)",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="features that attacks may move, with * (default: all)"
    )


def add_tagger_argument(parser: argparse.ArgumentParser) -> None:
    """The positional `taggers`."""
    parser.add_argument(
        "taggers", nargs="+", metavar="TAGGER", help="run directory, .keras file, SavedModel or legacy tagger; NAME=…"
    )


def add_evaluation_options(parser: argparse.ArgumentParser, epsilons: tuple[float, ...]) -> None:
    """Taggers, data, attacks and the rest of what an evaluation takes, and `--output` with `--overwrite`."""
    add_tagger_argument(parser)
    add_data_options(parser)
    add_attack_options(parser, epsilons)
    add_sample_options(parser)
    add_output_options(parser)


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Options `--split`, `--max-jets` and `--replicates`."""
    parser.add_argument("--split", default="test", help="split to evaluate on (default: %(default)s)")
    parser.add_argument("--max-jets", type=int, metavar="N", help="evaluate on the first N jets alone")
    parser.add_argument("--replicates", type=int, default=200, metavar="N", help="bootstrap resamples (default: 200)")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Options `--output` and `--overwrite`."""
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --output")


def checked_output(options: argparse.Namespace, result: str = "") -> dict:
    """The options without `--overwrite`, as a dictionary.

    Args:
        options: What `add_output_options` added to, parsed.
        result: File whose presence in the folder means results; "" for any file.

    Raises:
        UserError: if there are results already, and they are not to be overwritten.
    """
    chosen = dict(vars(options))
    overwrite = chosen.pop("overwrite")
    there = (options.output / result).exists() if result else options.output.exists() and any(options.output.iterdir())
    if there and not overwrite:
        raise UserError(f"There are results in '{options.output}' already; add --overwrite or choose another --output.")
    return chosen
