"""A defence that trains on what no attack can exceed, so that certificates become narrow."""

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks import ThreatModel
from kerastag.attacks.inputs import as_one_hot
from kerastag.bounds import worst_logits
from kerastag.errors import UserError
from kerastag.request import CERTIFICATES, Method
from kerastag.training.defenses import ComputeLoss, Ramp, RampedLoss, weighted_mean


@keras.saving.register_keras_serializable("kerastag")
class BoundedLoss(RampedLoss):
    """Mean of the loss of clean jets and of the largest cross-entropy anywhere in their boxes, as limits tell it.

    No attack is made. The size of the box should rise slowly, or the tagger learns to look at nothing.

    Reference: Gowal et al., arXiv:1810.12715 (interval bound propagation, IBP); Zhang et al., arXiv:1906.06316 (CROWN-IBP).

    Args:
        threat_model: The box, of which ε limits every cell, as it does without ties, `Physics(untied=True)`.
        method: "interval" for IBP; "crown" for CROWN-IBP, forms that go back from the logits through layers whose limits are
            those of intervals.
        weight: Weight of the second loss, between 0 and 1.
        ramp: Strength of the box by step; None for full strength.

    Raises:
        UserError: if there is no such method, the weight is out of range, or the box has cells without limits.
    """

    def __init__(self, threat_model: ThreatModel, method: Method = "crown", weight: float = 0.5, ramp: Ramp | None = None):
        if method not in CERTIFICATES:
            raise UserError(f"There is no method '{method}'; choose one of {', '.join(CERTIFICATES)}.")
        if not 0 <= weight <= 1:
            raise UserError(f"Invalid value for `weight`: it must lie between 0 and 1. Received: {weight}.")
        if not threat_model.limits_all:
            raise UserError("Limits need a box that ε limits in every cell; give a threat model of `Physics(untied=True)`.")
        self.threat_model, self.method, self.weight, self.ramp = threat_model, method, float(weight), ramp

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
        y_one_hot = as_one_hot(y, x, lambda: y_pred.shape[-1])
        low, high = self.threat_model.box(x, y_one_hot, self._now).ends
        worst = worst_logits(tagger, low, high, y_one_hot, self.method)
        largest = tf.nn.softmax_cross_entropy_with_logits(y_one_hot, worst)
        return (1 - self.weight) * compute(y, y_pred, w) + self.weight * weighted_mean(largest, w)

    @override
    def get_config(self) -> dict:
        return {
            "threat_model": keras.saving.serialize_keras_object(self.threat_model),
            "method": self.method,
            "weight": self.weight,
            "ramp": keras.saving.serialize_keras_object(self.ramp) if self.ramp else None,
        }
