"""The fast gradient sign method."""

import keras
import tensorflow as tf

from kerastag.attacks.base import Attack


@keras.saving.register_keras_serializable("kerastag")
class FGSM(Attack):
    """One step to the corner of the box that the gradient points to: x' = x + budget·sign(∂J/∂x).

    Where the gradient is exactly 0 a cell stays.

    Reference: Goodfellow, Shlens and Szegedy, arXiv:1412.6572, section 4; for jets arXiv:2203.13890.
    """

    def __call__(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """As `Attack.__call__`."""
        _, direction = self.ascend(tagger, x, y, training)
        budget = self.threat_model.budget(x)
        # In the box as it stands; `where` keeps frozen cells bit-equal, a negative zero too.
        return tf.where(budget > 0, x + budget * direction, x)
