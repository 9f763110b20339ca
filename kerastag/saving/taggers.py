"""Taggers that the user names, of ours or legacy, checked against the jets that they are to see."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from kerastag import legacy, saving
from kerastag import schema as schemas
from kerastag.errors import UserError, nearest
from kerastag.layers import class_logits
from kerastag.layers.class_logits import are_probabilities
from kerastag.layers.precision import check_precision
from kerastag.saving import presets
from kerastag.schema import Schema


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
    """A tagger with its own classes, from NAME=SOURCE or SOURCE.

    A source is a path that `kerastag.load` takes, the name of a tagger that comes along or of a legacy one, or `hf://user/name`.

    Raises:
        UserError: if there is none.
    """
    name, source = name_and_source(argument)
    if not source:
        raise UserError(f"'{argument}' names no tagger; put a path or a legacy name behind it.")
    if (path := presets.locate(source)) is not None:
        return NamedTagger(name, str(path), saving.load(path), saving.description(path))
    if legacy.known(source):
        record = legacy.get(source)
        return NamedTagger(name, source, legacy.load(source), record.schema, record)
    shipped = presets.shipped()
    names = ", ".join([*shipped, *legacy.TAGGERS])
    ours = "" if shipped else "; those of kerastag itself are in saved_models of a clone of the repository"
    raise UserError(f"'{source}' is no tagger: there is no such file or folder, and known by name are {names}{ours}.")


def name_and_source(argument: str) -> tuple[str, str]:
    """What tables call a tagger, and where it is, from NAME=SOURCE or SOURCE; a path that exists may have = in it."""
    splits = (("", argument), argument.split("=", 1), argument.rpartition("=")[::2])
    name, source = next((split for split in splits if len(split) == 2 and Path(split[1]).exists()), splits[-1])
    return name or Path(source).name, source


def from_preset(name: str | os.PathLike[str]) -> keras.Model:
    """A tagger from raw features to logits, differentiable and ready to be attacked.

    Example:
    ```python
    tagger = kerastag.from_preset("jet_flavor_adversarial")
    ```

    Args:
        name: A tagger that comes along, such as "jet_flavor_adversarial"; one of CMS's, such as "DeepCSV"; a run directory, a
            `.keras` file or a SavedModel; or "hf://user/name" with the extra `hub`.

    Raises:
        UserError: if there is none, or it holds code that a tagger does not need.
    """
    path = os.fspath(name)
    return find(path).model


def inputs_of(argument: str) -> Schema | None:
    """The schema of a tagger that `find` would find, as it is known today; None where it is not known."""
    _, source = name_and_source(argument)
    if (path := presets.locate(source)) is not None:
        stored = saving.description(path)
        return schemas.current(stored) if stored else None
    return legacy.get(source).schema if legacy.known(source) else None


def load(argument: str, given: Schema) -> NamedTagger:
    """A tagger as `find` gives it, with a logit for each class of some jets.

    Args:
        argument: As of `find`.
        given: Columns and classes of the jets.

    Raises:
        UserError: as `find` and `for_jets`.
    """
    return for_jets(find(argument), given)


def for_jets(tagger: NamedTagger, given: Schema) -> NamedTagger:
    """A tagger with a logit for each class of some jets, in their order; finer classes are added up.

    A tagger that does not say what its logits are has the classes that it was trained on, or if these are not known, those of
    the jets.

    Raises:
        UserError: if it does not tell the classes apart, or its weights are not finite.
    """
    if not all(np.isfinite(weights).all() for weights in tagger.model.get_weights()):
        raise UserError(f"'{tagger.source}' has weights that are not finite, so its outputs mean nothing; train it anew.")
    trained_on = tagger.schema.class_names if tagger.schema else None
    try:
        model = class_logits.by_flavour(tagger.model, given.class_names, trained_on)
    except UserError as error:
        raise UserError(f"'{tagger.source}' cannot be evaluated here: {error}") from error
    _check_computation(model, tagger.source)
    return dataclasses.replace(tagger, model=model)


def _check_computation(model: keras.Model, source: str) -> None:
    """Refuse probabilities, and features or logits of 16 bits: attacks on such a tagger would be weaker than they look.

    Raises:
        UserError: if it is one.
    """
    features = model.input_shape[-1]
    check_precision(model, features)
    if are_probabilities(model(np.zeros((1, features), np.float32))):
        raise UserError(f"'{source}' gives probabilities; attacks need logits, so export it without its last softmax.")


def load_all(arguments: Sequence[str], given: Schema) -> list[NamedTagger]:
    """Several taggers for the same jets.

    Raises:
        UserError: as `load`, and if two have the same name.
    """
    return [for_jets(tagger, given) for tagger in find_all(arguments)]


def find_all(arguments: Sequence[str]) -> list[NamedTagger]:
    """Several taggers with their own classes.

    Raises:
        UserError: as `find`, and if two have the same name.
    """
    found = [find(argument) for argument in arguments]
    names = [tagger.name for tagger in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"Two taggers are called '{name}'; tell them apart with NAME=PATH.")
    return found


def load_seeds(arguments: Sequence[str], given: Schema) -> dict[str, list[NamedTagger]]:
    """Taggers by name; a name may have several, the seeds of one training, only where the user gave it.

    Args:
        arguments: As of `load`.
        given: Columns and classes of the jets.

    Raises:
        UserError: as `load` and `check_inputs`, and if two have the same name without NAME=.
    """
    taggers: dict[str, list[NamedTagger]] = {}
    for argument in arguments:
        tagger = load(argument, given)
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
