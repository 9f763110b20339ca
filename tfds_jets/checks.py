"""What a build refuses, and what it warns of."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from kerastag.errors import UserError
from kerastag.jets import Jets
from kerastag.schema import Schema
from kerastag.statistics import Moments
from tfds_jets import splitting, suspicion
from tfds_jets.cleaning import Cleaning
from tfds_jets.rare_slots import slots_of_lists
from tfds_jets.reading import RootFile, simulation_of

# Share of values that became their default above which this is said.
_MANY = 0.01
# Training jets in which every feature has different values; of fewer, some may be all alike.
_ENOUGH_TO_VARY = 1_000


def refuse_versions(files: list[RootFile]) -> None:
    """Refuse a simulated file beside its variations: a jet would be there several times, each time measured otherwise.

    Raises:
        UserError: if there are such files.
    """
    found: dict[str, Path] = {}
    for file in files:
        if simulation := simulation_of(file.path):
            events = {name: value for name, value in simulation["settings"].items() if name not in ("variations", "candidates")}
            first = found.setdefault(json.dumps(events, sort_keys=True), file.path)
            if first != file.path:
                raise UserError(
                    f"'{first}' and '{file.path}' are of the same sample, varied or not; give a folder of one of them."
                )


def check_counts(schema: Schema, counts: np.ndarray, cleaning: Cleaning, directory: Path, selection: str) -> None:
    """Refuse a data set without jets; warn of empty splits, empty classes, straying flavour fractions and what was left out.

    Args:
        schema: Schema of the jets.
        counts: int64 `(splits, classes)`, jets.
        cleaning: Counts of the reading.
        directory: Folder of the files.
        selection: Expression that jets had to fulfil.

    Raises:
        UserError: if there are no jets.
    """
    if not counts.sum():
        raise UserError(
            f"None of the {cleaning.read} jets in '{directory}' is left: {cleaning.not_selected} do not pass "
            f"the selection '{selection}', {cleaning.unknown_flavour} have no known flavour."
        )
    splits = list(splitting.FRACTIONS)
    for number in np.flatnonzero(counts.sum(axis=1) == 0):
        logging.warning("Split '%s' is left out: none of the %d jets falls into it.", splits[number], counts.sum())
    for number in np.flatnonzero(counts.sum(axis=0) == 0):
        logging.warning("There are no %s.", schema.classes[number].label)
    for split, label in splitting.straying_fractions(counts):
        logging.warning(
            "The share of %s in '%s' is off by more than 4 binomial sigma.", schema.class_names[label], splits[split]
        )


def warn_of_cleaning(schema: Schema, cleaning: Cleaning) -> None:
    """Warn of jets that are left out, copies or badly weighted, and of values that the schema does not allow."""
    for number, what in (
        (cleaning.unknown_flavour, "of unknown flavour were left out"),
        (cleaning.copies, "are copies of others; each is in the split of the first"),
        (cleaning.bad_weights, "have a generator weight that is negative or not finite"),
    ):
        if number:
            logging.warning("%d jets %s.", number, what)
    # What is not finite stands for "absent" in many files.
    for name, number in zip(schema.names, cleaning.out_of_range, strict=True):
        if number > _MANY * cleaning.read:
            share = number / cleaning.read
            logging.warning("%.2g of the values of '%s' lie outside its valid range; they became the default.", share, name)


def refuse_constants(schema: Schema, moments: Moments) -> None:
    """Refuse features that say nothing: no attack has a unit for them.

    The slots of a list count together, since few jets fill the last ones. What attacks leave alone anyway, whole numbers and
    tabulated values, may be the same in all jets; that is said.

    Raises:
        UserError: if a feature is absent from, or the same in, all of many training jets.
    """
    absent = moments.default_fraction == 1
    constant = []
    for columns in slots_of_lists(schema):
        first = schema.features[columns[0]]
        if not (moments.sigma[columns] == 0).all():
            continue
        if absent[columns].all() or not (first.integer or first.tabulated):
            constant += columns
        else:
            logging.warning("'%s' is the same in all training jets.", first.variable)
    if constant and moments.jets >= _ENOUGH_TO_VARY:
        names = ", ".join(f"'{schema.names[number]}'" for number in constant[:3])
        are_absent = "absent from" if absent[constant[0]] else "the same in"
        more = f" and {len(constant) - 3} more" if len(constant) > 3 else ""
        raise UserError(f"{names}{more}: {are_absent} all training jets; look at its branch, or take a schema without it.")


def look_for_nonsense(schema: Schema, features: np.ndarray, cleaning: Cleaning, jets: int, strict: bool) -> list[str]:
    """Warn of what looks wrong, and return it, a sentence each.

    Args:
        schema: Schema of the jets.
        features: float32 `(jets, features)`, some training jets.
        cleaning: Counts of the reading.
        jets: Number of all jets that are left.
        strict: Whether to refuse it.

    Raises:
        UserError: if anything does, and the build is strict.
    """
    found = suspicion.sentences(features, schema) + suspicion.of_weights(cleaning.zero_weights, jets, schema)
    if strict:
        refuse_nonsense(found)
    for sentence in found:
        logging.warning("%s", sentence)
    return found


def refuse_nonsense(found: Sequence[str]) -> None:
    """Refuse a data set in which something looks wrong.

    Raises:
        UserError: if there is anything.
    """
    if found:
        raise UserError(f"{found[0]} --strict refuses it, and {len(found) - 1} more such findings.")


def bad_weights(jets: Jets) -> int:
    """Number of jets whose weight is not finite or negative."""
    return int(np.count_nonzero(~(jets.weights >= 0) | np.isinf(jets.weights)))
