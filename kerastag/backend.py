"""Keras' backend: kerastag needs TensorFlow's."""

import os
import sys

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


check()  # whoever needs Keras imports this module first
