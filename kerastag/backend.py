"""Keras on TensorFlow, loaded without a wall of lines: whoever needs Keras imports this module first."""

import importlib

from kerastag import environment

environment.check()
with environment.quiet():
    for name in ("tensorflow", "keras"):
        importlib.import_module(name)
environment.silence()
