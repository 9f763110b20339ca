"""What is done with values that cannot be right; all of it is counted."""

import dataclasses
from typing import Any

import numpy as np

from kerastag.schema import Schema


@dataclasses.dataclass
class Cleaning:
    """Counts of what reading changes or leaves out; nothing is dropped in silence.

    Attributes:
        read: Jets seen.
        not_selected: Jets that the selection rejects.
        unknown_flavour: Jets that belong to no class, or to several.
        not_finite: int64 `(features,)`, NaN or infinite cells, which become the default.
        out_of_range: int64 `(features,)`, cells outside the valid range, which become the default.
        copies: Jets with the features of an earlier one, up to the rounding of stored numbers; they are kept, in the split of
            that one.
        bad_weights: Jets whose generator weight is not finite or negative; they are kept.
        zero_weights: Jets whose generator weight is 0; they are kept, and count nowhere.
        empty_files: Files without entries.
    """

    read: int
    not_selected: int
    unknown_flavour: int
    not_finite: np.ndarray
    out_of_range: np.ndarray
    copies: int = 0
    bad_weights: int = 0
    zero_weights: int = 0
    empty_files: int = 0

    @classmethod
    def none(cls, schema: Schema) -> "Cleaning":
        """Counts of zero."""
        return cls(0, 0, 0, np.zeros(len(schema.features), np.int64), np.zeros(len(schema.features), np.int64))

    def add(self, other: "Cleaning") -> None:
        """Add the counts of other files."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def to_dict(self) -> dict[str, Any]:
        """Counts as plain JSON, those of features as lists."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Cleaning":
        """The inverse of `to_dict`."""
        values: dict[str, Any] = {name: np.array(of) if isinstance(of, list) else of for name, of in content.items()}
        return cls(**values)


def clean(features: np.ndarray, absent: np.ndarray, schema: Schema, cleaning: Cleaning) -> None:
    """Replace absent, non-finite and impossible values by the default and count the latter two.

    Args:
        features: float32 `(features, jets)`, changed in place.
        absent: bool `(features, jets)`, cells whose object does not exist; those that a sentinel marks are added to it.
        schema: Features.
        cleaning: Counts to add to.
    """
    for row, feature in enumerate(schema.features):
        values = features[row]
        if feature.sentinel is not None:
            absent[row] |= values == np.float32(feature.sentinel)
        not_finite = ~np.isfinite(values) & ~absent[row]
        outside = np.zeros_like(not_finite)
        if feature.valid_min is not None:
            outside |= values < feature.valid_min
        if feature.valid_max is not None:
            outside |= values > feature.valid_max
        outside &= ~absent[row] & ~not_finite & (values != np.float32(feature.default))
        cleaning.not_finite[row] += int(not_finite.sum())
        cleaning.out_of_range[row] += int(outside.sum())
        values[absent[row] | not_finite | outside] = feature.default
