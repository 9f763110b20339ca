"""Defences that also look at jets without a label, such as a real experiment's, and the loss of the labelled ones among them.

In a batch such jets have a row of zeros for a label; `JetDataset.batches(…, unlabelled=features)` puts as many of them behind
the labelled ones.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.errors import UserError
from kerastag.training.defenses import TRADES, ComputeLoss, Ramp, RampedLoss, weighted_mean


def is_labelled(y: tf.Tensor) -> tf.Tensor:
    """1 for each jet that has a label and 0 for the others, float32 `(batch,)`, of one-hot labels `(batch, classes)`."""
    return tf.cast(tf.reduce_any(y > 0, axis=-1), tf.float32)


def loss_of_labelled(compute: ComputeLoss, y: tf.Tensor, y_pred: tf.Tensor, w: tf.Tensor | None) -> tf.Tensor:
    """The compiled loss of the labelled jets of a batch alone, a scalar; its mean is over them."""
    labelled = is_labelled(y)
    share = tf.reduce_mean(labelled)
    replicas = tf.distribute.get_replica_context()
    if replicas is not None and replicas.num_replicas_in_sync > 1:  # one of them may hold all labelled jets
        share = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, share)
    return tf.math.divide_no_nan(compute(y, y_pred, labelled if w is None else labelled * w), share)


@keras.saving.register_keras_serializable("kerastag")
class Consistency(TRADES):
    """TRADES whose second term needs no label: outputs shall not change under attack, of labelled and of unlabelled jets.

    Its arguments are those of `TRADES`.

    Reference: Miyato et al., arXiv:1704.03976; Carmon et al., arXiv:1905.13736.
    """

    @override
    def clean_loss(self, compute: ComputeLoss, y: tf.Tensor, y_pred: tf.Tensor, w: tf.Tensor | None) -> tf.Tensor:
        return loss_of_labelled(compute, y, y_pred, w)


@keras.saving.register_keras_serializable("kerastag")
class DomainAdversarial(RampedLoss):
    """A small network tries to tell from the outputs which jets have a label; the tagger learns to leave it no clue.

    Labelled jets are those of the nominal simulation, the others those of varied simulations or of data. Both should have the
    same mixture of flavours and the same spectrum, or the tagger unlearns these; weights that change the spectrum of labelled
    jets alone spoil it. No attack is made.

    Reference: Ganin et al., arXiv:1505.07818, for the gradient that is reversed; Louppe et al., arXiv:1611.01046, for a network
    that sees the outputs.

    Args:
        weight: Factor on the reversed gradient.
        widths: Hidden units of the small network, layer by layer.
        ramp: Strength of the reversed gradient by step; None for full strength.

    Raises:
        UserError: if the weight is negative.
    """

    network: keras.Model

    def __init__(self, weight: float = 1.0, widths: Sequence[int] = (32, 32), ramp: Ramp | None = None):
        if not weight >= 0:
            raise UserError(f"Invalid value for `weight`: it must be at least 0. Received: {weight}.")
        self.weight, self.widths, self.ramp = float(weight), tuple(widths), ramp
        # In float32 like the logits that it sees, whatever the policy of Keras is.
        hidden = [keras.layers.Dense(width, "relu", dtype="float32") for width in self.widths]
        self.network = keras.Sequential([*hidden, keras.layers.Dense(1, dtype="float32")], name="domain")

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
        outputs = reversed_gradient(tf.nn.log_softmax(y_pred), self.weight * self._now)
        logits = tf.squeeze(self.network(outputs), axis=-1)
        told = tf.nn.sigmoid_cross_entropy_with_logits(is_labelled(y), logits)
        return loss_of_labelled(compute, y, y_pred, w) + weighted_mean(told, w)

    @override
    def get_config(self) -> dict:
        return {
            "weight": self.weight,
            "widths": list(self.widths),
            "ramp": keras.saving.serialize_keras_object(self.ramp) if self.ramp else None,
        }


@tf.function(autograph=False, reduce_retracing=True)
def reversed_gradient(values: tf.Tensor, factor: float | tf.Tensor) -> tf.Tensor:
    """The values themselves, whose gradient comes back times -factor; Ganin et al., arXiv:1505.07818, equations 16 and 17.

    A function of its own for the reason that `symlog` is one.
    """

    @tf.custom_gradient
    def identity(x: tf.Tensor) -> tuple:
        return tf.identity(x), lambda upstream: -factor * upstream

    return identity(values)
