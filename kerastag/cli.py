"""What commands share: exit codes, a quiet start-up, and the options that say where results go."""

import argparse
import importlib
import itertools
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from kerastag import __version__, environment, outputs
from kerastag.errors import Defect, UserError
from kerastag.options import LARGEST_SEED, check_finite
from kerastag.request import REPLICATES

_GO_ON = "called again, train with --resume, it goes on from what is done, where it keeps any"


def run(main: Callable[[], None]) -> None:
    """Call `main` and turn its outcome into an exit code.

    0: done; 2: the user's mistake, or a file that cannot be read or written, one line on stderr; 130: interrupted; 143:
    terminated. Anything else is a defect of ours, 1: a sentence where results show it, else a traceback.
    """
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminate)
        main()
    except UserError as error:
        _exit(f"error: {error}", 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _exit(f"error: {outputs.sentence(error)}.", 2)
    except _Terminated:
        _exit(f"terminated; {_GO_ON}", 143)
    except KeyboardInterrupt:
        _exit(f"interrupted; {_GO_ON}", 130)
    except Defect as error:
        _exit(f"This is a defect of kerastag {__version__}: {error}; please report it with the command: {_command()}", 1)
    except Exception:
        print(
            f"This is a defect of kerastag {__version__}; please report what follows and the command: {_command()}",
            file=sys.stderr,
        )
        raise


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which cluster managers send before they kill."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _exit(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


def load_tensorflow(look_for_gpus: bool = True) -> None:
    """Import TensorFlow, Keras and TFDS, without the lines that they print of themselves.

    Args:
        look_for_gpus: Whether to look for a GPU, after which TensorFlow joins no cluster any more.
    """
    with environment.quiet():
        for name in ("kerastag.backend", "tensorflow_datasets", "tfds_jets.tfds_jets_dataset_builder"):
            importlib.import_module(name)
        if look_for_gpus:
            sys.modules["tensorflow"].config.list_logical_devices()  # complains if there is no GPU


# Smallest number of each option that is no field of a dataclass.
_AT_LEAST = {
    "batch_size": 1,
    "betas": 0,
    "factors": 0,
    "files": 1,
    "inference_batches": 1,
    "jets": 1,
    "max_jets": 1,
    "paper_batches": 1,
    "processes": 1,
    "relative_cap": 0,
    "replicates": 2,
    "seed": 0,
    "seeds": 0,
    "sizes": 1,
    "train_epsilons": 0,
}


def check_words(name: str, words: Sequence[str]) -> None:
    """Check that no word of a command line is empty, as is a shell variable that was never set: a path would be this folder.

    Args:
        name: Name of the command.
        words: What follows it.

    Raises:
        UserError: if one is.
    """
    parts = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for before, part in itertools.pairwise((name, *parts)):
        if not part.strip():
            raise UserError(f"The value after '{before}' is empty; give one, or leave the option out.")


def check_numbers(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Check the numbers of a command line.

    Args:
        parser: Knows the options by the names that users write.
        options: What it has parsed.

    Raises:
        UserError: if one is not finite or too small.
    """
    flags = {action.dest: action.option_strings[-1] for action in parser._actions if action.option_strings}
    for name, value in vars(options).items():
        if name == "seeds" and isinstance(value, list) and len(set(value)) < len(value):
            raise UserError("--seeds names a seed twice, which would count as two trainings.")
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, int | float):
                continue
            flag = flags.get(name, name)
            check_finite(flag, item)
            if name in ("seed", "seeds") and item > LARGEST_SEED:
                raise UserError(f"{flag} must be at most {LARGEST_SEED}, not {item:g}.")
            if item < _AT_LEAST.get(name, -math.inf):
                raise UserError(f"{flag} must be at least {_AT_LEAST[name]}, not {item:g}.")


def add_tagger_argument(parser: argparse.ArgumentParser, *, needed: bool = True) -> None:
    """The positional `taggers`.

    Args:
        parser: Parser of the command.
        needed: Whether there must be one.
    """
    parser.add_argument(
        "taggers",
        nargs="+" if needed else "*",
        metavar="TAGGER",
        help="run directory, .keras file, SavedModel, a name such as DeepCSV or jet_flavor_nominal, or hf://user/name; NAME=…",
    )
    add_code_option(parser)


def add_scores_option(parser: argparse.ArgumentParser) -> None:
    """Option `--scores`: taggers of which files hold the scores."""
    parser.add_argument(
        "--scores",
        action="append",
        default=[],
        metavar="NAME=BRANCH",
        help="branch of scores that the files hold, as a tagger that cannot be attacked; or NAME=BvL:BRANCH,CvL:BRANCH,… or "
        "NAME=b:BRANCH,c:BRANCH,…; once for each tagger; `evaluate --help` tells more",
    )


def add_code_option(parser: argparse.ArgumentParser) -> None:
    """Option `--code`: without it no code of anybody's is run, whatever a tagger says of itself."""
    parser.add_argument(
        "--code",
        action="append",
        default=[],
        metavar="MODULE",
        help="module of your own that registers layers which taggers are made of; it is run",
    )


def add_cap_option(parser: argparse.ArgumentParser) -> None:
    """Add the cap of attacks, to their options where there are some."""
    attacks = [group for group in parser._action_groups if group.title == "attacks"]
    (attacks[0] if attacks else parser).add_argument(
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


def add_output_options(parser: argparse.ArgumentParser, *, needed: bool = True) -> None:
    """Options `--output` and `--overwrite`.

    Args:
        parser: Parser of the command.
        needed: Whether there must be a folder.
    """
    otherwise = "" if needed else " (default: they are printed alone)"
    parser.add_argument("--output", type=Path, required=needed, metavar="DIR", help=f"folder for the results{otherwise}")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --output")


def check_output(options: argparse.Namespace, command: str, result: str = "") -> None:
    """Make sure that no results are overwritten unasked, and none of another command at all.

    Args:
        options: What `add_output_options` added to, parsed.
        command: Name of the command.
        result: File whose presence in the folder means results; "" for any file.

    Raises:
        UserError: if there are results of another command, or of this one that are not to be overwritten.
    """
    folder = options.output
    outputs.check(folder, command)
    exists = (folder / result).exists() if result else bool(outputs.contents(folder))
    if exists and not options.overwrite:
        raise UserError(f"There are results in '{folder}' already; add --overwrite or choose another --output.")
