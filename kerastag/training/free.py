"""Adversarial training at about twice the price of nominal training: one gradient moves the weights and the jets."""

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks import ThreatModel
from kerastag.attacks.base import ReplicaSeeds
from kerastag.attacks.inputs import as_features, as_one_hot
from kerastag.attacks.threat_model import Box
from kerastag.errors import UserError
from kerastag.training.defenses import Defense, Ramp


@keras.saving.register_keras_serializable("kerastag")
class FreeBatches(Defense):
    """Each batch makes several updates, and each moves its jets a full step of FGSM on, with the gradient of that same update.

    The first update of a batch is at a random point of the box; in the paper it is where the last batch ended, whose jets are
    others. A training should see as many fewer batches as each is used, as `train` does. A jet of weight 0 does not move.

    Reference: Shafahi et al., arXiv:1904.12843, algorithm 1.

    Args:
        threat_model: The box.
        replays: How often each batch is used.
        ramp: Strength of the box by step; None for full strength.
        seed: Seed of the first points.

    Raises:
        UserError: if there is less than one replay.
    """

    def __init__(self, threat_model: ThreatModel, replays: int = 4, ramp: Ramp | None = None, seed: int = 0):
        if replays < 1:
            raise UserError(f"Invalid value for `replays`: it must be at least 1. Received: {replays}.")
        self.threat_model, self.replays, self.ramp, self.seed = threat_model, int(replays), ramp, seed
        self.seed_generator = ReplicaSeeds(seed)

    @property
    @override
    def random_states(self) -> list[keras.random.SeedGenerator]:
        return [self.seed_generator, *super().random_states]

    @override
    def begin(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, step: tf.Tensor) -> tuple[Box, tf.Tensor]:
        x = as_features(x, self.threat_model.features)
        box = self.threat_model.box(x, as_one_hot(y, x, lambda: tagger(x).shape[-1]), self._strength(step))
        return box, keras.random.uniform(tf.shape(x), -1.0, 1.0, dtype="float32", seed=self.seed_generator)

    @override
    def get_config(self) -> dict:
        return {
            "threat_model": keras.saving.serialize_keras_object(self.threat_model),
            "replays": self.replays,
            "ramp": keras.saving.serialize_keras_object(self.ramp) if self.ramp else None,
            "seed": self.seed,
        }
