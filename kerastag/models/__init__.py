"""Taggers: functions `(schema, statistics, ...)` that return a `keras.Model` from raw features to logits."""

import kerastag.backend  # noqa: F401  (before Keras is imported)

# isort: split

import inspect
from collections.abc import Callable, Sequence

import keras
import numpy as np

from kerastag.catalogue import MODELS, imported, own
from kerastag.errors import UserError
from kerastag.layers import SelectFeatures
from kerastag.layers.precision import hidden_layers_in
from kerastag.models.deep_jet import deep_jet
from kerastag.models.deep_sets import deep_sets
from kerastag.models.jetclass import published_tagger
from kerastag.models.lipschitz_mlp import largest_change, lipschitz_mlp
from kerastag.models.mlp import mlp, paper_mlp
from kerastag.models.particle_net import particle_net, particle_net_lite
from kerastag.models.particle_transformer import particle_transformer, particle_transformer_small
from kerastag.models.pfn import pfn
from kerastag.models.published import published
from kerastag.models.raw_features import of_raw_features
from kerastag.schema import Schema
from kerastag.statistics import Statistics


def get(name: str) -> Callable[..., keras.Model]:
    """A model function by name, or the user's own by "module:function".

    Raises:
        UserError: if there is none, or it does not take a schema and statistics by these names.
    """
    if ":" not in name:
        return imported(MODELS.find(name).path)
    function = own(name, "model")
    # By the names of its arguments, so that nothing is called that was not written to be a model.
    if not inspect.isfunction(function) or tuple(inspect.signature(function).parameters)[:2] != ("schema", "statistics"):
        raise UserError(f"The model '{name}' is no function whose first arguments are called 'schema' and 'statistics'.")
    return function


def build(
    name: str, schema: Schema, statistics: Statistics, inputs: Sequence[str] = (), mixed: str | None = None
) -> keras.Model:
    """A model by name, from all raw features, of which it may look at some groups alone.

    Args:
        name: Name of the model, as `get` takes it.
        schema: Schema of the data set.
        statistics: Statistics of its training jets.
        inputs: Groups and slots, as `Schema.restricted` takes them; none for all.
        mixed: "bfloat16" or "float16" for hidden layers, under the policy of Keras of that name; None for the policy as it is.

    Raises:
        UserError: if there is no such model or group, a model of the user's own is none from raw features to logits, or what a
            model promises holds in float32 alone.
    """
    seen = schema.restricted(inputs)
    columns = [schema.index(feature) for feature in seen.names]
    of_seen = statistics if seen.names == schema.names else statistics.take(np.array(columns))
    make = get(name)
    with hidden_layers_in(mixed):
        inner = of_raw_features(make, seen, of_seen, name) if ":" in name else make(seen, of_seen)
    if seen.names == schema.names:
        return inner
    features = keras.Input((len(schema.features),), name="features")
    return keras.Model(features, inner(SelectFeatures(columns, name="seen")(features)), name=inner.name)


__all__ = [
    "build",
    "deep_jet",
    "deep_sets",
    "get",
    "largest_change",
    "lipschitz_mlp",
    "mlp",
    "paper_mlp",
    "particle_net",
    "particle_net_lite",
    "particle_transformer",
    "particle_transformer_small",
    "pfn",
    "published",
    "published_tagger",
]
