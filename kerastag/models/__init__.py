"""Taggers: functions `(schema, statistics, ...)` that return a `keras.Model` from raw features to logits."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence

import keras
import numpy as np

from kerastag.errors import UserError
from kerastag.layers.preprocessing import SelectFeatures
from kerastag.models.deep_sets import deep_sets
from kerastag.models.mlp import mlp, paper_mlp
from kerastag.schema import Schema
from kerastag.statistics import Statistics

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


def build(name: str, schema: Schema, statistics: Statistics, inputs: Sequence[str] = ()) -> keras.Model:
    """A model by name, from all raw features, of which it may look at some groups alone.

    Args:
        name: As of `get`.
        schema: Of the data set.
        statistics: Of its training jets.
        inputs: Groups and slots, as `Schema.restricted` takes them; none for all.

    Raises:
        UserError: if there is no such model or group.
    """
    seen = schema.restricted(inputs)
    if seen.names == schema.names:
        return get(name)(schema, statistics)
    columns = np.array([schema.index(feature) for feature in seen.names])
    features = keras.Input((len(schema.features),), name="features")
    inner = get(name)(seen, statistics.take(columns))
    return keras.Model(features, inner(SelectFeatures(columns, name="seen")(features)), name=inner.name)


__all__ = ["MODELS", "build", "deep_sets", "get", "mlp", "paper_mlp"]
