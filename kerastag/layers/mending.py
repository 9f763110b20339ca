"""Raw values as files hold them → the values that a tagger was trained on.

The layer is a part of the tagger, so what is exported takes what files hold.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from typing_extensions import override

from kerastag.layers.precision import Float32Layer
from kerastag.schema import Schema

# Beyond it numbers of single precision are infinite.
_LARGEST = float(np.finfo(np.float32).max)
_mode = threading.local()


@contextlib.contextmanager
def beyond_ranges(switched_on: bool = True) -> Iterator[None]:
    """Taggers that are called inside see values beyond their valid range as they are.

    Jets of a data set were mended when they were read. What lies beyond a range after that an attack without bounds has put
    there, such as that of arXiv:2203.13890, whose networks mend nothing. It does not reach into a SavedModel.

    Args:
        switched_on: False to change nothing.
    """
    before = getattr(_mode, "beyond", False)
    _mode.beyond = before or switched_on
    try:
        yield
    finally:
        _mode.beyond = before


@keras.saving.register_keras_serializable("kerastag")
class Mend(Float32Layer):
    """The default in place of what is not finite, marked as absent, out of range, or in a slot beyond the number of objects.

    That is what reading does to files, see `tfds_jets.cleaning`. All other cells pass bit for bit, with their gradient; mended
    ones have none, so that an attack that follows it leaves them alone.

    Args:
        default: `(features,)`.
        sentinel: `(features,)`, the value that marks a feature as absent in files; None for none.
        low: `(features,)`, least valid value; None for no limit.
        high: `(features,)`, largest valid value; None for no limit.
        count: `(features,)`, column with the number of filled slots; None for none.
        slot: `(features,)`, number of the slot of a feature with a count.
    """

    def __init__(
        self,
        default: ArrayLike,
        sentinel: Sequence[float | None],
        low: Sequence[float | None],
        high: Sequence[float | None],
        count: Sequence[int | None],
        slot: Sequence[int | None],
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.default = np.asarray(default, np.float32)
        self.sentinel, self.low, self.high, self.count, self.slot = (
            tuple(values) for values in (sentinel, low, high, count, slot)
        )

    @classmethod
    def from_schema(cls, schema: Schema, **kwargs: Any) -> "Mend":
        """What a schema says of its features; counts that are no inputs themselves cannot be known."""
        columns = {feature.branch: column for column, feature in enumerate(schema.features) if feature.slot is None}
        counts = {group.name: columns.get(group.count or "") for group in schema.groups}
        return cls(
            schema.defaults,
            [feature.sentinel for feature in schema.features],
            [feature.valid_min for feature in schema.features],
            [feature.valid_max for feature in schema.features],
            [counts[feature.group] for feature in schema.features],
            [feature.slot for feature in schema.features],
            **kwargs,
        )

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Mended features `(batch, features)` of raw ones."""
        return keras.ops.where(self.right(inputs), inputs, self.default)

    @property
    def valid(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest value that passes, float32 `(features,)` each."""
        none = (None,) * len(self.default)
        low, high = (none, none) if getattr(_mode, "beyond", False) else (self.low, self.high)
        return _filled(low, -_LARGEST), _filled(high, _LARGEST)

    @property
    def marks(self) -> np.ndarray:
        """Values that mark features as absent in files, float32 `(features,)`, NaN for none."""
        return _filled(self.sentinel, np.nan)

    def right(self, x: tf.Tensor) -> tf.Tensor:
        """Which cells pass as they are, bool `(batch, features)`."""
        low, high = self.valid
        # A comparison with NaN is false, but ONNX may turn it round.
        right = ~keras.ops.isnan(x) & (x >= low) & (x <= high)
        if any(value is not None for value in self.sentinel):
            right &= keras.ops.not_equal(x, self.marks)
        if any(column is not None for column in self.count):
            counts = keras.ops.take(x, np.array([column or 0 for column in self.count]), axis=1)
            counted = np.array([column is not None for column in self.count])
            right &= (counts > _filled(self.slot, 0.0)) | ~counted
        return right

    @override
    def get_config(self) -> dict[str, Any]:
        names = ("sentinel", "low", "high", "count", "slot")
        values = {name: list(getattr(self, name)) for name in names}
        return super().get_config() | {"default": self.default.astype(np.float64).tolist(), **values}


def _filled(values: Sequence[float | None], otherwise: float) -> np.ndarray:
    """float32 `(features,)` with a number in place of None."""
    return np.array([otherwise if value is None else value for value in values], np.float32)
