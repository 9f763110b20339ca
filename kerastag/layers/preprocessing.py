"""Layers that turn raw features into what a network likes; they sit inside the tagger, so attacks see raw features."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.schema import Schema
from kerastag.statistics import Statistics


@tf.custom_gradient
def symlog(z: tf.Tensor):
    """sign(z)·log(1 + |z|), linear in the core and logarithmic in the tails.

    Its slope is 1/(1 + |z|) everywhere. Automatic differentiation would find 0 at exactly z = 0, where many cells lie, and
    an attack would leave those alone. asinh does the same job but is not vectorised on CPUs: ten times slower.

    Reference: Hafner et al., arXiv:2301.04104.
    """
    magnitude = tf.abs(z)
    return tf.sign(z) * tf.math.log1p(magnitude), lambda upstream: upstream / (1 + magnitude)


@keras.saving.register_keras_serializable("kerastag")
class SelectFeatures(keras.layers.Layer):
    """Some of the features, so that a tagger may look at few of those that a data set has.

    Args:
        columns: Which ones.
    """

    def __init__(self, columns: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.columns = tuple(int(column) for column in columns)

    def call(self, inputs):
        """Features `(batch, columns)` of `(batch, features)`."""
        return keras.ops.take(inputs, np.array(self.columns), axis=1)

    def compute_output_shape(self, input_shape):
        """`(batch, columns)`."""
        return (*input_shape[:-1], len(self.columns))

    def get_config(self):
        """Everything that `__init__` takes."""
        return super().get_config() | {"columns": list(self.columns)}


@keras.saving.register_keras_serializable("kerastag")
class Standardize(keras.layers.Layer):
    """Shift and scale each feature, `(x - center) / scale`, and send absent cells to 0.

    `keras.layers.Normalization` does not serve here: it floors σ at 1e-7, and 31 of the 184 inputs of `JET_FLAVOR` have a
    smaller one.

    Args:
        center: `(features,)`, for instance the means.
        scale: `(features,)`, for instance the standard deviations; positive.
        default: `(features,)`, cells that equal it exactly become 0 after scaling. None scales them like any other.
        names: `(features,)`, for the error message.
        compress: Whether to apply `symlog` afterwards, which keeps the core linear and makes tails logarithmic.

    Raises:
        UserError: if a scale is 0; the message names the features.
    """

    def __init__(
        self,
        center: Sequence[float],
        scale: Sequence[float],
        default: Sequence[float] | None = None,
        names: Sequence[str] | None = None,
        compress: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.center = np.asarray(center, np.float64)
        self.scale = np.asarray(scale, np.float64)
        self.default = None if default is None else np.asarray(default, np.float32)
        self.names = None if names is None else tuple(names)
        self.compress = compress
        bad = np.flatnonzero(~(np.isfinite(self.scale) & (self.scale > 0)))
        if len(bad):
            labels = [self.names[column] if self.names else f"column {column}" for column in bad]
            raise UserError(
                f"These features do not vary in the training jets, so they cannot be scaled: {', '.join(labels)}; "
                "leave them out or train on more jets."
            )

    @classmethod
    def from_statistics(cls, schema: Schema, statistics: Statistics, **options) -> "Standardize":
        """Mean and σ of the training jets; absent cells become 0."""
        return cls(statistics.mean, statistics.sigma, schema.defaults, schema.names, **options)

    @classmethod
    def robust(cls, schema: Schema, statistics: Statistics, **options) -> "Standardize":
        """`symlog((x - median)/IQR)`, for inputs with heavy tails; σ where the IQR is 0. Absent cells become 0."""
        scale = np.where(statistics.iqr > 0, statistics.iqr, statistics.sigma)
        return cls(statistics.median, scale, schema.defaults, schema.names, compress=True, **options)

    def call(self, inputs):
        """Scale `(batch, features)`."""
        center, inverse = (keras.ops.convert_to_tensor(a, inputs.dtype) for a in (self.center, 1 / self.scale))
        scaled = (inputs - center) * inverse
        if self.default is not None:
            scaled = keras.ops.where(keras.ops.equal(inputs, self.default), keras.ops.zeros_like(scaled), scaled)
        return symlog(scaled) if self.compress else scaled

    def compute_output_shape(self, input_shape):
        """Shape of the input."""
        return input_shape

    def get_config(self):
        """Everything that `__init__` takes, in full precision."""
        return super().get_config() | {
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
            "default": None if self.default is None else self.default.astype(np.float64).tolist(),
            "names": self.names,
            "compress": self.compress,
        }


@keras.saving.register_keras_serializable("kerastag")
class PresenceFlags(keras.layers.Layer):
    """One flag per object that a jet may lack: 1 if any of the object's cells differs from its default, else 0.

    Args:
        objects: For each object the columns of its features, as in `Schema.optional_objects`.
        default: `(features,)`.
    """

    def __init__(self, objects: Sequence[Sequence[int]], default: Sequence[float], **kwargs):
        super().__init__(**kwargs)
        self.objects = tuple(tuple(columns) for columns in objects)
        self.default = np.asarray(default, np.float32)
        self._belongs = np.zeros((len(self.default), len(self.objects)), np.float32)
        for number, columns in enumerate(self.objects):
            self._belongs[list(columns), number] = 1

    def call(self, inputs):
        """Flags `(batch, objects)` of features `(batch, features)`."""
        present = keras.ops.cast(keras.ops.not_equal(inputs, self.default), inputs.dtype)
        return keras.ops.cast(keras.ops.matmul(present, self._belongs) > 0, inputs.dtype)

    def compute_output_shape(self, input_shape):
        """`(batch, objects)`."""
        return (*input_shape[:-1], len(self.objects))

    def get_config(self):
        """Everything that `__init__` takes."""
        return super().get_config() | {
            "objects": [list(columns) for columns in self.objects],
            "default": self.default.astype(np.float64).tolist(),
        }
