"""The fast gradient sign method, from the clean jet or from a random point."""

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks.base import Attack, Objective, RandomAttack
from kerastag.attacks.threat_model import Box

# Step from a random start in units of the box's half-width; arXiv:2001.03994, section 4.1.
_STEP_FROM_RANDOM_START = 1.25


@keras.saving.register_keras_serializable("kerastag")
class FGSM(Attack):
    """One step to the corner of the box that the gradient points to: x' = x + budget·sign(∂J/∂x).

    Where the gradient is exactly 0 a cell stays.

    Reference: Goodfellow, Shlens and Szegedy, arXiv:1412.6572, section 4; for jets arXiv:2203.13890.
    """

    @override
    def perturb(self, box: Box, objective: Objective) -> tf.Tensor:
        _, direction = objective.ascend(box.x)
        return box.corner(direction)


@keras.saving.register_keras_serializable("kerastag")
class RandomStartFGSM(RandomAttack):
    """A random point of the box, then one step of 1.25 budgets from it, back into the box. Takes FGSM's place in training.

    Reference: Wong, Rice and Kolter, arXiv:2001.03994, algorithm 3.
    """

    @override
    def perturb(self, box: Box, objective: Objective) -> tf.Tensor:
        start = self.random_point(box)
        _, direction = objective.ascend(start)
        return box.project(start + _STEP_FROM_RANDOM_START * box.budget * direction)
