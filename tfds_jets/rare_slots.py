"""Units of what hardly varies: slots that few jets fill take that of the slots before them, whole numbers one of their own."""

import dataclasses

import numpy as np

from kerastag.schema import Schema
from kerastag.statistics import Statistics


def slots_of_lists(schema: Schema) -> list[list[int]]:
    """Columns of the features that are read from one branch: all slots of a list in their order, or a single feature."""
    columns: dict[tuple[str, str], list[int]] = {}
    for number, feature in enumerate(schema.features):
        columns.setdefault((feature.variable, feature.branch), []).append(number)
    return list(columns.values())


def with_units(statistics: Statistics, schema: Schema) -> Statistics:
    """Statistics in which every slot of a list, every whole number and every tabulated value has a unit.

    Of a slot that is empty or the same in all jets, mean, σ, median and interquartile range become those of the slot before it.
    If that holds for all slots of a variable, its σ becomes 1, likewise that of other whole numbers and tabulated values.

    Args:
        statistics: Statistics of the training jets.
        schema: Schema of the jets.
    """
    source, single = np.arange(len(schema.features)), []
    for columns in slots_of_lists(schema):
        varies = statistics.sigma[columns] > 0
        if not varies.any():
            first = schema.features[columns[0]]
            single += columns if len(columns) > 1 or first.integer or first.tabulated else []
            continue
        last = np.maximum.accumulate(np.where(varies, np.arange(len(columns)), -1))
        source[columns] = np.array(columns)[np.where(last < 0, varies.argmax(), last)]
    taken = statistics.take(source)
    taken.sigma[single] = 1.0
    return dataclasses.replace(taken, default_fraction=statistics.default_fraction)
