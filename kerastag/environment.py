"""What Keras needs around it: TensorFlow as its backend, and no lines that TensorFlow prints of itself. Imports neither."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from kerastag.errors import UserError


class WrongBackend(UserError, ImportError):
    """Keras runs, or would run, on another backend."""


def check() -> None:
    """Make sure that Keras runs on TensorFlow.

    Raises:
        WrongBackend: if another backend is asked for, or Keras is imported with another one already.
    """
    name = os.environ["KERAS_BACKEND"]
    if name != "tensorflow":
        raise WrongBackend(f"kerastag needs Keras' TensorFlow backend; set KERAS_BACKEND=tensorflow (it is '{name}').")
    if "keras" in sys.modules and sys.modules["keras"].config.backend() != "tensorflow":
        raise WrongBackend("kerastag needs Keras' TensorFlow backend, but Keras is already imported with another one.")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Where TensorFlow is imported, without the lines that it prints of itself; they are shown if that fails.

    Since 2.19 TensorFlow's C++ logs ignore TF_CPP_MIN_LOG_LEVEL while it is imported (tensorflow issue 100442), so file
    descriptor 2 points elsewhere meanwhile.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            yield
        except BaseException:
            printed.seek(0)
            os.write(stderr, printed.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def silence() -> None:
    """Keep back what a user can do nothing about: TFDS' use of itself, and that a notebook has no widgets for its bars."""
    warnings.filterwarnings("ignore", "IProgress not found")
    of_tfds = ("FeatureConnector.dtype", "Using custom data configuration")
    logging.getLogger("absl").addFilter(lambda record: not any(text in record.getMessage() for text in of_tfds))
