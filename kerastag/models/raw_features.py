"""Networks of the user's own: fed with the parts of a jet that they ask for, and looked at before they are trained."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from kerastag.errors import UserError
from kerastag.layers import Mend, SplitGroups
from kerastag.layers.class_logits import are_probabilities
from kerastag.layers.precision import check_precision
from kerastag.schema import Schema
from kerastag.statistics import Statistics


def of_raw_features(make: Callable[..., Any], schema: Schema, statistics: Statistics, name: str) -> keras.Model:
    """A network as a tagger, from raw features `(batch, features)` to logits `(batch, classes)`.

    One whose inputs have names of the schema's groups gets these, as `SplitGroups` makes them: `(batch, variables)`, or
    `(batch, slots, variables)`. It is called once, on jets of median features, so one that was not built is built here.

    Args:
        make: The user's function of a schema and statistics, which returns the network.
        schema: Schema of its features.
        statistics: Statistics of the training jets.
        name: Its "module:function", for messages.

    Raises:
        UserError: if it is no model, takes other inputs, gives something else than a logit per class, or rounds features
            or logits to 16 bits.
    """
    network = _called(make, name, schema, statistics)
    if not isinstance(network, keras.Model):
        raise UserError(f"The model '{name}' gives a {type(network).__name__}, not a keras.Model.")
    x = np.repeat(statistics.median[None].astype(np.float32), 2, axis=0)
    if _wants_groups(network, schema):
        tagger = _called(_of_groups, name, network, schema, name)
    else:
        tagger = _called(_of_features, name, network, schema)
    logits = _called(tagger, name, x)
    shape = tuple(getattr(logits, "shape", ()))
    if shape != (2, len(schema.classes)):
        raise UserError(
            f"The model '{name}' gives an output of shape {('batch', *shape[1:])}; it must give a logit for each of "
            f"{', '.join(schema.class_names)}."
        )
    if are_probabilities(logits):
        raise UserError(f"The model '{name}' gives probabilities; it must give logits, so leave its last softmax out.")
    check_precision(tagger, x.shape[1])
    return tagger


def _called(function: Callable[..., Any], name: str, *arguments: Any) -> Any:
    """What code of the user's own gives; what it raises is theirs to mend, and said in a sentence."""
    try:
        return function(*arguments)
    except UserError:
        raise
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise UserError(f"The model '{name}' fails on raw features: {type(error).__name__}: {reason}") from error


def _of_features(network: keras.Model, schema: Schema) -> keras.Model:
    """The network behind a layer that mends raw features."""
    features = keras.Input((len(schema.features),), name="features")
    return keras.Model(features, network(Mend.from_schema(schema, name="mended")(features)), name=network.name)


def functional(network: keras.Model, features: int) -> keras.Model:
    """A network that Keras knows input and output of: itself, or around one that is a class of its own."""
    if _inputs(network) is not None:
        return network
    inputs = keras.Input((features,), name="features")
    return keras.Model(inputs, network(inputs), name=network.name)


def _wants_groups(network: keras.Model, schema: Schema) -> bool:
    """Whether the inputs of a network are groups of the schema; those of one that was not built are not known."""
    structure = _inputs(network)
    if isinstance(structure, Mapping | list | tuple):
        return True
    return getattr(structure, "name", None) in {group.name for group in schema.groups}


def _inputs(network: keras.Model) -> Any:
    """The inputs of a network as it takes them; None where Keras does not know them."""
    try:
        return network.input
    except (AttributeError, ValueError):
        return None


def _of_groups(network: keras.Model, schema: Schema, name: str) -> keras.Model:
    """The network behind layers that mend raw features and make its inputs of them."""
    features = keras.Input((len(schema.features),), name="features")
    parts = SplitGroups.from_schema(schema, name="groups")(Mend.from_schema(schema, name="mended")(features))

    def part(group: str, wanted: keras.KerasTensor) -> keras.KerasTensor:
        if group not in parts:
            raise UserError(
                f"The model '{name}' has an input '{group}', but the groups of {schema.name} are {', '.join(parts)}."
            )
        sizes = wanted.shape[1:]
        if len(sizes) != len(parts[group].shape) - 1 or any(
            size not in (None, given) for size, given in zip(sizes, parts[group].shape[1:], strict=True)
        ):
            raise UserError(
                f"The model '{name}' takes '{group}' of shape {('batch', *sizes)}, but in {schema.name} it has shape "
                f"{('batch', *parts[group].shape[1:])}."
            )
        return parts[group]

    structure = network.input
    if isinstance(structure, Mapping):
        inputs: Any = {group: part(group, wanted) for group, wanted in structure.items()}
    elif isinstance(structure, list | tuple):
        inputs = [part(wanted.name, wanted) for wanted in structure]
    else:
        inputs = part(structure.name, structure)
    return keras.Model(features, network(inputs), name=network.name)
