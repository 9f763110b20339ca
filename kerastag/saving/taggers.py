"""Taggers that the user names, of ours or legacy, checked against the jets that they are to see."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kerastag import legacy, saving
from kerastag.errors import UserError
from kerastag.flavours import FLAVOURS
from kerastag.layers import class_logits
from kerastag.layers.class_logits import are_probabilities
from kerastag.layers.precision import check_single
from kerastag.schema import Schema
from kerastag.schema.structure import nearest


@dataclasses.dataclass(frozen=True)
class NamedTagger:
    """A tagger ready for evaluation.

    Attributes:
        name: For tables.
        source: Path or legacy name that it came from.
        model: From raw features to logits.
        schema: Its inputs; None where they are not known, as for a bare `.keras` file.
        record: What is known of it if an experiment ran it.
    """

    name: str
    source: str
    model: keras.Model
    schema: Schema | None
    record: legacy.LegacyTagger | None = None


def find(argument: str) -> NamedTagger:
    """A tagger with its own classes, from NAME=SOURCE or SOURCE: a path that `kerastag.load` takes, or a legacy name.

    Raises:
        UserError: if there is none.
    """
    name, _, source = argument.rpartition("=")
    if not source:
        raise UserError(f"'{argument}' names no tagger; put a path or a legacy name behind it.")
    name = name or Path(source).name
    if Path(source).exists():
        return NamedTagger(name, source, saving.load(source), saving.description(source))
    if source in legacy.TAGGERS:
        record = legacy.get(source)
        return NamedTagger(name, source, legacy.load(source), record.schema, record)
    names = ", ".join(legacy.TAGGERS)
    raise UserError(f"'{source}' is no tagger: there is no such file or folder, and legacy taggers are {names}.")


def load(argument: str) -> NamedTagger:
    """A tagger as `find` gives it, with one logit per flavour.

    Raises:
        UserError: if there is none, it does not tell flavours apart, or its weights are not finite.
    """
    tagger = find(argument)
    if not all(np.isfinite(weights).all() for weights in tagger.model.get_weights()):
        raise UserError(f"'{tagger.source}' has weights that are not finite, so its outputs mean nothing; train it anew.")
    try:
        model = class_logits.by_flavour(tagger.model)
    except UserError as error:
        raise UserError(f"'{tagger.source}' cannot be evaluated here: {error}") from error
    _check_computation(model, tagger.source)
    if model.output_shape[-1] != len(FLAVOURS):
        raise UserError(f"'{tagger.source}' gives {model.output_shape[-1]} logits, but there are {len(FLAVOURS)} flavours.")
    return dataclasses.replace(tagger, model=model)


def _check_computation(model: keras.Model, source: str) -> None:
    """Refuse a tagger of probabilities, or of half precision: attacks on it would be weaker than they look.

    Raises:
        UserError: if it is one.
    """
    features = model.input_shape[-1]
    check_single(model, features)
    if are_probabilities(model(np.zeros((1, features), np.float32))):
        raise UserError(f"'{source}' gives probabilities; attacks need logits, so export it without its last softmax.")


def load_all(arguments: Sequence[str]) -> list[NamedTagger]:
    """Several taggers.

    Raises:
        UserError: as `load`, and if two have the same name.
    """
    loaded = [load(argument) for argument in arguments]
    names = [tagger.name for tagger in loaded]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"Two taggers are called '{name}'; tell them apart with NAME=PATH.")
    return loaded


def load_seeds(arguments: Sequence[str], given: Schema) -> dict[str, list[NamedTagger]]:
    """Taggers by name; a name may have several, the seeds of one training, only where the user gave it.

    Args:
        arguments: As of `load`.
        given: Columns of the jets.

    Raises:
        UserError: as `load` and `check_inputs`, and if two have the same name without NAME=.
    """
    taggers: dict[str, list[NamedTagger]] = {}
    for argument in arguments:
        tagger = load(argument)
        check_inputs(tagger, given)
        if tagger.name in taggers and "=" not in argument:
            raise UserError(f"Two taggers are called '{tagger.name}'; tell them apart with NAME=PATH.")
        taggers.setdefault(tagger.name, []).append(tagger)
    return taggers


def check_inputs(tagger: NamedTagger, given: Schema) -> None:
    """Raise a `UserError` unless the columns of `given` are what the tagger takes: names, units, order and special values."""
    wanted = tagger.schema
    if wanted is None:
        width = tagger.model.input_shape[-1]
        if width != len(given.features):
            raise UserError(f"'{tagger.source}' takes {width} features, but {given.name} has {len(given.features)}.")
        return
    for name in wanted.names:
        if name not in given.names:
            raise UserError(
                f"'{tagger.source}' needs the feature '{name}' of {wanted.name}, which {given.name} does not have; "
                f"the nearest there are {nearest(name, given.names)}."
            )
    for number, (theirs, ours) in enumerate(zip(wanted.features, given.features, strict=False)):
        if theirs.name != ours.name:
            raise UserError(
                f"'{tagger.source}' takes the features of {given.name} in another order: "
                f"number {number} is '{theirs.name}' there and '{ours.name}' here."
            )
        for what in ("unit", "default", "integer"):
            if getattr(theirs, what) != getattr(ours, what):
                raise UserError(
                    f"'{tagger.source}' takes '{ours.name}' with {what} '{getattr(theirs, what)}', "
                    f"but in {given.name} it is '{getattr(ours, what)}'."
                )
    if len(wanted.features) != len(given.features):
        raise UserError(f"'{tagger.source}' takes {len(wanted.features)} features, but {given.name} has {len(given.features)}.")
