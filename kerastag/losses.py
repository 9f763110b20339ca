"""The one loss that Keras does not have: the paper's focal loss on an output that already went through softmax."""

import keras


@keras.saving.register_keras_serializable("kerastag")
class DoubleSoftmaxFocal(keras.losses.CategoricalFocalCrossentropy):
    """Focal loss of arXiv:2203.13890: softmax is applied to the logits twice.

    The second softmax confines the probability of the true class to [0.212, 0.576] for three classes, which is why γ = 25
    is sane there and nowhere else.

    Args:
        gamma: Focusing parameter.
        reduction: As in Keras; the paper's is Σ w·loss / Σ w over each batch, "mean_with_sample_weight".
        name: Name of the loss.
        **kwargs: For the base class.
    """

    def __init__(self, gamma=25.0, reduction="mean_with_sample_weight", name="double_softmax_focal", **kwargs):
        options = {"alpha": 1.0, "from_logits": True} | kwargs
        super().__init__(gamma=gamma, reduction=reduction, name=name, **options)

    def call(self, y_true, y_pred):
        """Loss `(batch,)` of one-hot labels and logits, both `(batch, classes)`."""
        return super().call(y_true, keras.ops.softmax(y_pred))
