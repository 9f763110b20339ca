"""The focal loss of arXiv:2203.13890, which takes softmax of outputs that are already probabilities."""

import kerastag.backend  # noqa: F401  (before Keras is imported)

# isort: split

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("kerastag")
class DoubleSoftmaxFocal(keras.losses.CategoricalFocalCrossentropy):
    """Focal loss of arXiv:2203.13890: softmax is applied to the logits twice.

    The second softmax confines the probability of the true class to [0.212, 0.576] for three classes. That is why γ = 25 works
    here, and only here.

    Args:
        gamma: Focusing parameter.
        reduction: Reduction over the batch, as in Keras. The paper's is Σ w·loss / Σ w, "mean_with_sample_weight".
        name: Name of the loss.
        **kwargs: Further arguments of the base class.
    """

    def __init__(
        self,
        gamma: float = 25.0,
        reduction: str = "mean_with_sample_weight",
        name: str = "double_softmax_focal",
        **kwargs: Any,
    ):
        options = {"alpha": 1.0, "from_logits": True} | kwargs
        super().__init__(gamma=gamma, reduction=reduction, name=name, **options)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Loss of each jet, `(batch,)`.

        Args:
            y_true: One-hot labels, `(batch, classes)`.
            y_pred: Logits, `(batch, classes)`.
        """
        return super().call(y_true, keras.ops.softmax(y_pred))
