"""Changes that know nothing of the tagger: noise and systematic shifts of the inputs, as mismodelling makes them.

They obey the mask, the cap and the bounds of a threat model; ε is their size in units of its scale, and no limit.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from typing_extensions import override

from kerastag.attacks.base import Attack, RandomDraws
from kerastag.attacks.budgets import matching_feature
from kerastag.attacks.inputs import as_features, as_one_hot
from kerastag.attacks.threat_model import Box, ThreatModel
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.schema import Schema
from kerastag.statistics import correlations

# Jets from which correlations are taken.
_CORRELATION_JETS = 20_000


class Distortion(Attack):
    """Base of distortions: called as an attack is, with a tagger that may be None."""

    def __init__(self, threat_model: ThreatModel):
        super().__init__(threat_model)

    @override
    def __call__(
        self,
        tagger: keras.Model | None,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        training: bool = False,
        strength: float | tf.Tensor = 1.0,
    ) -> tf.Tensor:
        """Distort a batch; `y` counts only where the threat model depends on the flavour."""
        x = as_features(x, self.threat_model.features)
        factors = self.threat_model.by_flavour
        box = self.threat_model.loose_box(x, None if factors is None else as_one_hot(y, x, lambda: len(factors)), strength)
        return box.complete(box.project(box.x + box.reach * self.shift(box)))

    def shift(self, box: Box) -> tf.Tensor:
        """Δx in units of ε·scale, `(batch, features)` or `(features,)`."""
        raise NotImplementedError

    @override
    def get_config(self) -> dict:
        return {"threat_model": keras.saving.serialize_keras_object(self.threat_model)}


class RandomDistortion(RandomDraws, Distortion):
    """A distortion that draws random numbers.

    Args:
        threat_model: Mask, cap, scale and size.
        seed: Seed of the draws.
    """

    def __init__(self, threat_model: ThreatModel, seed: int = 0):
        Distortion.__init__(self, threat_model)
        RandomDraws.__init__(self, seed)

    @override
    def get_config(self) -> dict:
        return super().get_config() | {"seed": self.seed}


@keras.saving.register_keras_serializable("kerastag")
class GaussianNoise(RandomDistortion):
    """Independent normal noise of ε·scale in each cell: a resolution that is worse than simulated."""

    @override
    def shift(self, box: Box) -> tf.Tensor:
        return self._normal(box.x)


@keras.saving.register_keras_serializable("kerastag")
class SystematicShift(Distortion):
    """All jets shifted alike: Δx = ±ε·scale·f, with a factor f for each feature. A scale or alignment that is off.

    Args:
        threat_model: Mask, cap, scale and size; factors by flavour stand there.
        factors: `(features,)`, None for 1.
        up: Whether the shift is added or subtracted.
    """

    def __init__(self, threat_model: ThreatModel, factors: ArrayLike | None = None, up: bool = True):
        super().__init__(threat_model)
        self.factors = np.ones_like(threat_model.scale) if factors is None else np.asarray(factors, np.float32)
        self.up = up
        if self.factors.shape != threat_model.scale.shape:
            raise UserError(f"`factors` must have one entry per feature. Received: {self.factors.shape}.")

    @classmethod
    def from_schema(
        cls, threat_model: ThreatModel, schema: Schema, factors: Mapping[str, float], up: bool = True
    ) -> "SystematicShift":
        """Factors by name or pattern, `{"track_*_D0": 1.2}`, the last that matches counting; features that none matches stay.

        Raises:
            UserError: if a name or pattern matches nothing.
        """
        number = matching_feature(schema, tuple(factors))
        return cls(threat_model, np.array([0.0, *factors.values()])[number], up)

    @override
    def shift(self, box: Box) -> tf.Tensor:
        return tf.constant(self.factors if self.up else -self.factors)

    @override
    def get_config(self) -> dict:
        return super().get_config() | {"factors": self.factors.astype(np.float64).tolist(), "up": self.up}


@keras.saving.register_keras_serializable("kerastag")
class CorrelatedShift(RandomDistortion):
    """Shifts that go together, as one wrong number in a simulation makes them: Δu = ε·L·n with n standard normal, L·Lᵀ = C.

    Args:
        threat_model: Mask, cap, scale and size.
        covariance: C in units of the scale, `(features, features)`, symmetric and positive semi-definite.
        leading: How many leading eigenvectors to take; None for all.
        common: Whether one draw serves all jets of a call, rather than one each.
        seed: Seed of the draws.

    Raises:
        UserError: if the covariance is none.
    """

    def __init__(
        self,
        threat_model: ThreatModel,
        covariance: ArrayLike,
        leading: int | None = None,
        common: bool = False,
        seed: int = 0,
    ):
        super().__init__(threat_model, seed)
        self.covariance = np.asarray(covariance, np.float64)
        self.leading, self.common = leading, common
        width = len(threat_model.scale)
        if self.covariance.shape != (width, width) or not np.allclose(self.covariance, self.covariance.T, atol=1e-6):
            raise UserError(f"`covariance` must be symmetric, {width} x {width}. Received: {self.covariance.shape}.")
        values, vectors = np.linalg.eigh(self.covariance)
        if values[0] < -1e-6 * max(values[-1], 1e-30) * width:
            raise UserError(f"`covariance` has the negative eigenvalue {values[0]:.3g}, so it is none.")
        largest = slice(None) if leading is None else slice(-leading, None)
        self._root = (vectors[:, largest] * np.sqrt(np.maximum(values[largest], 0))).astype(np.float32)

    @classmethod
    def of_training_jets(cls, threat_model: ThreatModel, dataset: JetDataset, **options: Any) -> "CorrelatedShift":
        """With the correlations of the first training jets of a data set for a covariance."""
        return cls.of_jets(threat_model, dataset.arrays("train").features[:_CORRELATION_JETS], **options)

    @classmethod
    def of_jets(cls, threat_model: ThreatModel, x: np.ndarray, **options: Any) -> "CorrelatedShift":
        """With the correlations of jets `(jets, features)` for a covariance; absent cells count as the mean of the others."""
        return cls(threat_model, correlations(x, threat_model.default), **options)

    @override
    def shift(self, box: Box) -> tf.Tensor:
        jets = 1 if self.common else tf.shape(box.x)[0]
        draws = keras.random.normal((jets, self._root.shape[1]), dtype="float32", seed=self.seed_generator)
        return tf.matmul(draws, self._root, transpose_b=True)

    @override
    def get_config(self) -> dict:
        content = {"covariance": self.covariance.tolist(), "leading": self.leading, "common": self.common}
        return super().get_config() | content
