"""Defences that look for flat minima: the gradient of an update is taken at weights that were moved to raise the loss.

The weights themselves stay as they are. A step costs a second pass forwards and backwards. Both passes see the same jets and
drop the same cells; moving averages of batch normalisation count the first one alone. Loss and metrics in the logs are those
at the moved weights.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.errors import UserError
from kerastag.training.defenses import Batch, ComputeLoss, Defense

# Keeps quotients finite where a gradient is 0.
_TINY = 1e-12


class WeightShift(Defense):
    """Base of these defences. How far weights are moved is one method, `shift`.

    Args:
        rho: Size of the move.
        inner: A defence that prepares batch and loss; None for clean jets and the compiled loss.

    Raises:
        UserError: if ρ is negative, or `inner` moves weights as well.
    """

    moves_weights = True

    def __init__(self, rho: float, inner: Defense | None = None):
        if not rho >= 0:
            raise UserError(f"Invalid value for `rho`: it must be at least 0. Received: {rho}.")
        if inner is not None and inner.moves_weights:
            raise UserError(f"{type(inner).__name__} moves weights as well; give `inner` a defence that does not.")
        self.rho, self.inner = float(rho), inner or Defense()
        self.attack, self.ramp = self.inner.attack, self.inner.ramp

    @property
    @override
    def random_states(self) -> list[keras.random.SeedGenerator]:
        return self.inner.random_states

    @override
    def batch(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, w: tf.Tensor | None, step: tf.Tensor) -> Batch:
        return self.inner.batch(tagger, x, y, w, step)

    @override
    def loss(
        self,
        tagger: keras.Model,
        compute: ComputeLoss,
        x: tf.Tensor,
        y: tf.Tensor,
        y_pred: tf.Tensor,
        w: tf.Tensor | None,
    ) -> tf.Tensor:
        return self.inner.loss(tagger, compute, x, y, y_pred, w)

    @override
    def get_config(self) -> dict:
        inner = None if type(self.inner) is Defense else keras.saving.serialize_keras_object(self.inner)
        return {"rho": self.rho, "inner": inner}


@keras.saving.register_keras_serializable("kerastag")
class SAM(WeightShift):
    """Sharpness-aware minimisation: weights move by ρ·g/‖g‖, with g the gradient of the loss in all of them.

    In a distributed training g is that of the whole batch.

    Reference: Foret et al., arXiv:2010.01412, algorithm 1.

    Args:
        rho: Length of the move.
        inner: As of `WeightShift`.
    """

    def __init__(self, rho: float = 0.05, inner: Defense | None = None):
        super().__init__(rho, inner)

    @override
    def shift(self, weights: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        factor = self.rho / (tf.linalg.global_norm(gradients) + _TINY)
        return [factor * g for g in gradients]


@keras.saving.register_keras_serializable("kerastag")
class ASAM(WeightShift):
    """Adaptive SAM: weights move by ρ·T²g/‖T·g‖ with T = |w| + η, so that a change of their scale changes nothing.

    Reference: Kwon et al., arXiv:2102.11600, algorithm 1. Biases are treated like other weights.

    Args:
        rho: Length of the move in units of T.
        eta: η, so that weights of 0 move as well.
        inner: As of `WeightShift`.

    Raises:
        UserError: if ρ or η is negative.
    """

    def __init__(self, rho: float = 0.5, eta: float = 0.01, inner: Defense | None = None):
        super().__init__(rho, inner)
        if not eta >= 0:
            raise UserError(f"Invalid value for `eta`: it must be at least 0. Received: {eta}.")
        self.eta = float(eta)

    @override
    def shift(self, weights: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        units = [tf.abs(weight) + self.eta for weight in weights]
        scaled = [unit * g for unit, g in zip(units, gradients, strict=True)]
        factor = self.rho / (tf.linalg.global_norm(scaled) + _TINY)
        return [factor * unit * g for unit, g in zip(units, scaled, strict=True)]

    @override
    def get_config(self) -> dict:
        return super().get_config() | {"eta": self.eta}


@keras.saving.register_keras_serializable("kerastag")
class AWP(WeightShift):
    """Adversarial weight perturbation: each kernel moves by ρ·‖w‖·g/‖g‖, with g the gradient of the attacked loss in it.

    One step, and ρ is the paper's γ. Biases and other vectors stay, as in its code. AWP of TRADES is `AWP(TRADES(…))`.

    Reference: Wu, Xia and Wang, arXiv:2004.05884.

    Args:
        inner: The adversarial training, such as `AttackedBatches(FGSM(threat_model))`.
        rho: Length of the move relative to each kernel.
    """

    def __init__(self, inner: Defense, rho: float = 0.005):
        super().__init__(rho, inner)

    @override
    def shift(self, weights: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        return [
            self.rho * tf.norm(weight) * g / (tf.norm(g) + _TINY) if len(weight.shape) > 1 else tf.zeros_like(weight)
            for weight, g in zip(weights, gradients, strict=True)
        ]
