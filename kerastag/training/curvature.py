"""A defence that straightens the loss around each jet."""

from collections.abc import Callable

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks import ThreatModel
from kerastag.attacks.threat_model import Box
from kerastag.errors import UserError
from kerastag.training.aside import aside
from kerastag.training.defenses import GradientPenalty


@keras.saving.register_keras_serializable("kerastag")
class CURE(GradientPenalty):
    """Adds how much the gradient changes on the way to FGSM's point: ‖budget·(∇J(x + h·budget·sign ∇J) − ∇J(x))‖².

    Lengths are in units of the budget, and cells that do not move do not count. Both gradients see the same dropout. Moving
    averages do not count them.

    Reference: Moosavi-Dezfooli et al., arXiv:1811.09716, where h is a length in units of the inputs.

    Args:
        threat_model: The box.
        weight: Factor on the penalty; of 1, 30, 300 and 3,000 the one of least attacked cross-entropy on validation jets.
        step: h, as a part of the way to FGSM's point, above 0 and at most 1.

    Raises:
        UserError: if the weight is negative or the step leaves the box.
    """

    def __init__(self, threat_model: ThreatModel, weight: float = 300.0, step: float = 1.0):
        super().__init__(threat_model, weight)
        if not 0 < step <= 1:
            raise UserError(f"Invalid value for `step`: it must be above 0 and at most 1. Received: {step}.")
        self.step = float(step)

    @override
    def penalty(self, box: Box, gradient: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        with aside():
            here = gradient(box.x)
        there = tf.stop_gradient(box.corner(self.step * tf.sign(here)))
        with aside():
            change = gradient(there) - here
        return tf.reduce_sum(tf.square(change), axis=-1)

    @override
    def get_config(self) -> dict:
        return super().get_config() | {"step": self.step}
