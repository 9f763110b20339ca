"""What all gradient attacks share: the objective, its gradient in raw features, and the configuration."""

import keras
import tensorflow as tf

from kerastag.attacks.objectives import OBJECTIVES
from kerastag.attacks.threat_model import ThreatModel
from kerastag.class_logits import matching
from kerastag.errors import UserError


class Attack:
    """Base of attacks: `attack(tagger, x, y) -> attacked x`, inside the box of a threat model.

    Args:
        threat_model: How far each cell may move.
        objective: What to increase, a name in `OBJECTIVES`; "cross_entropy" by default.

    Attributes:
        nonfinite_gradients: Variable that counts gradient cells that were NaN or infinite and taken as 0.
    """

    def __init__(self, threat_model: ThreatModel, objective: str = "cross_entropy"):
        if objective not in OBJECTIVES:
            raise UserError(f"There is no attack objective '{objective}'; choose one of {', '.join(OBJECTIVES)}.")
        self.threat_model = threat_model
        self.objective = objective
        self.nonfinite_gradients = keras.Variable(0, dtype="int64", trainable=False, name="nonfinite_gradients")

    def __call__(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """Attack a batch.

        Args:
            tagger: From raw features to logits.
            x: Clean features, float32 `(batch, features)`.
            y: True flavours, one-hot `(batch, classes)`; a tagger of finer classes is then attacked in its logits by flavour.
            training: Mode in which the tagger is called.

        Returns:
            Attacked features, as x.
        """
        raise NotImplementedError

    def ascend(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Objective `(batch,)` and the sign of its gradient `(batch, features)` at x.

        The tape watches the inputs alone, so no gradient of a weight is ever computed.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            loss = OBJECTIVES[self.objective](y, matching(tagger(x, training=training), y, tagger))
        gradient = tape.gradient(loss, x)
        return loss, tf.sign(self._finite(gradient))

    def _finite(self, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient with cells that are not finite set to 0 and counted; the usual case costs one look."""
        finite = tf.math.is_finite(gradient)

        def mend() -> tf.Tensor:
            self.nonfinite_gradients.assign_add(tf.math.count_nonzero(~finite))
            return tf.where(finite, gradient, tf.zeros_like(gradient))

        return tf.cond(tf.reduce_all(finite), lambda: gradient, mend)

    def restart(self) -> None:
        """Start random draws over, so that the next call repeats the first. Nothing to do where none are made."""

    def get_config(self) -> dict:
        """Everything that `__init__` takes."""
        return {"threat_model": keras.saving.serialize_keras_object(self.threat_model), "objective": self.objective}

    @classmethod
    def from_config(cls, config: dict) -> "Attack":
        """The inverse of `get_config`."""
        return cls(**{**config, "threat_model": keras.saving.deserialize_keras_object(config["threat_model"])})
