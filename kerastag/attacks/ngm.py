"""The normed gradient method."""

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks.base import Attack, Objective
from kerastag.attacks.threat_model import Box

# Norms below this count as this; those of CMS's training.
_SMALLEST_NORM = 1e-6


@keras.saving.register_keras_serializable("kerastag")
class NGM(Attack):
    """One step along the gradient in u = Δx/scale, of length ε for each jet and group of inputs: Δu = ε·g/‖g‖₂.

    Here g = scale·∂J/∂x. Cells move by what they matter, so most move far less than in FGSM; frozen cells do not count in the
    norm. Groups are those of the threat model.

    Reference: Miyato, Dai and Goodfellow, arXiv:1605.07725, equation 3; CMS trains ParticleTransformer with it.
    """

    @override
    def perturb(self, box: Box, objective: Objective) -> tf.Tensor:
        _, gradient = objective.gradient(box.x)
        scaled = tf.where(box.budget > 0, gradient * box.unit, tf.zeros_like(gradient))
        # Squares of gradients over- and underflow in float32, so they are taken in units of each jet's largest.
        largest = tf.maximum(tf.reduce_max(tf.abs(scaled), axis=1, keepdims=True), 1e-30)
        members = np.eye(self.threat_model.group.max() + 1, dtype=np.float32)[self.threat_model.group]
        norms = largest * tf.sqrt(tf.matmul((scaled / largest) ** 2, members))
        unit = scaled / tf.maximum(tf.matmul(norms, members, transpose_b=True), _SMALLEST_NORM)
        return box.project(box.x + box.reach * unit)
