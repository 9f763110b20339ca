"""Taggers: functions `(schema, statistics, ...)` that return a `keras.Model` from raw features to logits."""

import importlib
import os
import sys
from collections.abc import Callable

import keras

from kerastag.errors import UserError
from kerastag.models.deep_sets import deep_sets
from kerastag.models.mlp import mlp, paper_mlp

MODELS: dict[str, Callable[..., keras.Model]] = {"deep_sets": deep_sets, "mlp": mlp, "paper_mlp": paper_mlp}


def get(name: str) -> Callable[..., keras.Model]:
    """A model function by name, or the user's own by "module:function".

    Raises:
        UserError: if there is none.
    """
    if name in MODELS:
        return MODELS[name]
    module_name, _, function_name = name.partition(":")
    if not function_name:
        raise UserError(f"There is no model '{name}'; choose one of {', '.join(MODELS)}, or give module:function.")
    if os.getcwd() not in sys.path:  # a script's path starts at its own folder
        sys.path.append(os.getcwd())
    try:
        return getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"The model '{name}' cannot be imported: {error}.") from error


__all__ = ["MODELS", "deep_sets", "get", "mlp", "paper_mlp"]
