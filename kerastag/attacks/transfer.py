"""Attacks made on one tagger and shown to another."""

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks.base import Attack


@keras.saving.register_keras_serializable("kerastag")
class Transfer(Attack):
    """An attack on another tagger than the one that it is called with: what an attacker can do who does not have the latter.

    Reference: Papernot, McDaniel and Goodfellow, arXiv:1605.07277.

    Args:
        attack: How the source is attacked.
        source: The tagger that is attacked, from the same raw features to logits.
    """

    def __init__(self, attack: Attack, source: keras.Model):
        super().__init__(attack.threat_model, attack.objective, attack.labels)
        self.attack, self.source = attack, source
        self.nonfinite_gradients = attack.nonfinite_gradients

    @override
    def __call__(
        self,
        tagger: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        training: bool = False,
        strength: float | tf.Tensor = 1.0,
    ) -> tf.Tensor:
        """Attack the source, always in inference mode; `tagger` is not looked at."""
        return self.attack(self.source, x, y, training=False, strength=strength)

    @override
    def restart(self) -> None:
        self.attack.restart()

    @override
    def fingerprint(self) -> str:
        return self.attack.fingerprint()

    @override
    def __reduce__(self) -> tuple:
        """Unlike a config, a pickle holds the weights of the source."""
        return type(self), (self.attack, self.source)

    @override
    def get_config(self) -> dict:
        return {
            "attack": keras.saving.serialize_keras_object(self.attack),
            "source": keras.saving.serialize_keras_object(self.source),
        }

    @classmethod
    def from_config(cls, config: dict) -> "Transfer":
        """The inverse of `get_config`; weights of the source are not part of a config."""
        return cls(*(keras.saving.deserialize_keras_object(config[name]) for name in ("attack", "source")))
