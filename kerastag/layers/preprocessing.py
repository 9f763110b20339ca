"""Layers that scale and select raw features. They are part of the tagger, so attacks work on raw features."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from typing_extensions import override

from kerastag.errors import UserError
from kerastag.layers.precision import Float32Layer
from kerastag.schema import Schema
from kerastag.statistics import Statistics


@tf.function(autograph=False, reduce_retracing=True)
def symlog(z: tf.Tensor) -> tf.Tensor:
    """sign(z)·log(1 + |z|), linear in the core and logarithmic in the tails.

    Its slope is 1/(1 + |z|) everywhere. Automatic differentiation would give 0 at z = 0, where many cells lie, and attacks
    would leave these alone. asinh would serve as well, but it is not vectorised on CPUs and ten times slower.

    It is a function of its own in every graph, because TensorFlow never forgets a graph with a gradient like this one: each
    training would leave 0.1 GB or more.

    Reference: Hafner et al., arXiv:2301.04104.
    """
    return _symlog(z)


@tf.custom_gradient
def _symlog(z: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    magnitude = tf.abs(z)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return upstream / (1 + magnitude)

    return tf.sign(z) * tf.math.log1p(magnitude), gradient


@keras.saving.register_keras_serializable("kerastag")
class SelectFeatures(Float32Layer):
    """Some of the features, for a tagger that does not use all features of its data set.

    Args:
        columns: Columns of the features.
    """

    def __init__(self, columns: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.columns = tuple(int(column) for column in columns)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Features `(batch, columns)` of `(batch, features)`."""
        return keras.ops.take(inputs, np.array(self.columns), axis=1)

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], len(self.columns))

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"columns": list(self.columns)}


@keras.saving.register_keras_serializable("kerastag")
class Standardize(Float32Layer):
    """Shifts and scales each feature, `(x - center) / scale`; absent cells become 0.

    `keras.layers.Normalization` would not do, because it takes at least 1e-7 for σ: 31 of the 184 inputs of `JET_FLAVOR` have a
    smaller one.

    Args:
        center: `(features,)`, for instance the means.
        scale: `(features,)`, for instance the standard deviations; positive.
        default: `(features,)`; cells that equal it exactly become 0 after scaling. None scales them like any other.
        names: Names of the features, for the error message.
        compress: Whether to apply `symlog` afterwards.

    Raises:
        UserError: if a scale is 0; the message names the features.
    """

    def __init__(
        self,
        center: ArrayLike,
        scale: ArrayLike,
        default: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        compress: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.center = np.asarray(center, np.float64)
        self.scale = np.asarray(scale, np.float64)
        self.default = None if default is None else np.asarray(default, np.float32)
        self.names = None if names is None else tuple(names)
        self.compress = compress
        constant = np.flatnonzero(~(np.isfinite(self.scale) & (self.scale > 0)))
        if len(constant):
            labels = [self.names[column] if self.names else f"column {column}" for column in constant]
            raise UserError(
                f"These features do not vary in the training jets, so they cannot be scaled: {', '.join(labels)}; "
                "leave them out or train on more jets."
            )

    @classmethod
    def robust(cls, schema: Schema, statistics: Statistics, **options: Any) -> "Standardize":
        """`symlog((x - median)/IQR)`, for inputs with heavy tails, or σ where the IQR is 0; absent cells become 0.

        Args:
            schema: Schema of the inputs.
            statistics: Statistics of the training jets.
            **options: Further arguments of the layer, or others than these.
        """
        scale = np.where(statistics.iqr > 0, statistics.iqr, statistics.sigma)
        given: dict[str, Any] = {"default": schema.defaults, "names": schema.names, "compress": True}
        return cls(statistics.median, scale, **given | options)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Scaled features, `(batch, features)` like the input."""
        center, inverse = (keras.ops.convert_to_tensor(array, inputs.dtype) for array in (self.center, 1 / self.scale))
        scaled = (inputs - center) * inverse
        if self.default is not None:
            scaled = keras.ops.where(keras.ops.equal(inputs, self.default), keras.ops.zeros_like(scaled), scaled)
        return symlog(scaled) if self.compress else scaled

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
            "default": None if self.default is None else self.default.astype(np.float64).tolist(),
            "names": self.names,
            "compress": self.compress,
        }


@keras.saving.register_keras_serializable("kerastag")
class PresenceFlags(Float32Layer):
    """A flag for each object that a jet may lack: 1 if any of its cells differs from the default, else 0.

    Args:
        objects: Columns of the features of each object, as in `Schema.optional_objects`.
        default: `(features,)`.

    Attributes:
        belongs: 1 where a feature is one of an object, float32 `(features, objects)`.
    """

    def __init__(self, objects: Sequence[Sequence[int]], default: ArrayLike, **kwargs: Any):
        super().__init__(**kwargs)
        self.objects = tuple(tuple(columns) for columns in objects)
        self.default = np.asarray(default, np.float32)
        self.belongs = np.zeros((len(self.default), len(self.objects)), np.float32)
        for number, columns in enumerate(self.objects):
            self.belongs[list(columns), number] = 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Flags `(batch, objects)` of features `(batch, features)`."""
        present = keras.ops.cast(keras.ops.not_equal(inputs, self.default), inputs.dtype)
        return keras.ops.cast(keras.ops.matmul(present, self.belongs) > 0, inputs.dtype)

    @override
    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], len(self.objects))

    @override
    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "objects": [list(columns) for columns in self.objects],
            "default": self.default.astype(np.float64).tolist(),
        }
