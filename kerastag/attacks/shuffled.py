"""A distortion that breaks correlations and keeps distributions: jets exchange some of their values."""

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks.distortions import RandomDistortion
from kerastag.attacks.inputs import as_features
from kerastag.attacks.threat_model import ThreatModel
from kerastag.errors import UserError


@keras.saving.register_keras_serializable("kerastag")
class RDSA(RandomDistortion):
    """Random distribution shuffle: of the jets of a call some are drawn for each feature, and exchange its values.

    All values of a feature stay in the batch, and so does its distribution. Cells that do not move on their own neither give
    nor take. Those that follow others are recomputed and keep their distribution about. ε, its unit and a cap say nothing here.

    Reference: Saala et al., arXiv:2501.05588, which draws until an output flips; here all jets are drawn once.

    Args:
        threat_model: Which cells may move.
        share: Chance of each of these cells to be drawn, above 0 and at most 1; `strength` is a factor on it.
        seed: Seed of the draws.

    Raises:
        UserError: if the share is out of range.
    """

    def __init__(self, threat_model: ThreatModel, share: float = 0.1, seed: int = 0):
        if not 0 < share <= 1:
            raise UserError(f"Invalid value for `share`: it must be above 0 and at most 1. Received: {share}.")
        # A cap would cut values of other jets off.
        super().__init__(threat_model.from_config(threat_model.get_config() | {"relative_cap": None}), seed)
        self.share = float(share)

    @override
    def __call__(
        self,
        tagger: keras.Model | None,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        training: bool = False,
        strength: float | tf.Tensor = 1.0,
    ) -> tf.Tensor:
        """Shuffle a batch `(batch, features)`; `tagger` and `y` do not count."""
        x = as_features(x, self.threat_model.features)
        box = self.threat_model.loose_box(x)
        order = keras.random.uniform(tf.shape(x), seed=self.seed_generator)
        return box.complete(exchanged(x, (box.budget > 0) & (order < self.share * strength), order))

    @override
    def get_config(self) -> dict:
        return super().get_config() | {"share": self.share}


def exchanged(x: tf.Tensor, drawn: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Each drawn cell gets the value of the next drawn one of its feature, the last that of the first.

    Args:
        x: Features `(batch, features)`.
        drawn: Which cells take part, bool `(batch, features)`.
        order: Numbers from 0 to 1 by which jets are put in order, `(batch, features)`.
    """
    rows = tf.transpose(x)
    # Drawn jets come first in the order, `(features, batch)`.
    jets = tf.argsort(tf.transpose(tf.where(drawn, order, 2.0)), axis=-1)
    place = tf.argsort(jets, axis=-1)
    count = tf.reduce_sum(tf.cast(tf.transpose(drawn), tf.int32), axis=-1, keepdims=True)
    following = tf.where(place < count, tf.math.floormod(place + 1, tf.maximum(count, 1)), place)
    donors = tf.gather(jets, following, batch_dims=1)
    return tf.transpose(tf.gather(rows, donors, batch_dims=1))
