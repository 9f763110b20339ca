"""Nominal and adversarial training of any tagger, as a `keras.Model` that composes with compile and fit."""

import keras
import tensorflow as tf

from kerastag.attacks import Attack
from kerastag.callbacks import warn_of_order
from kerastag.errors import UserError

MIXES = ("adversarial", "mean")


@keras.saving.register_keras_serializable("kerastag")
class AdversarialTagger(keras.Model):
    """Trains a tagger on attacked inputs.

    Each training step perturbs the batch against the tagger as it stands, then makes an ordinary Keras step on the result.
    Evaluation and prediction see the inputs as they come. What it does not promise: robustness outside the attack's threat
    model, or against stronger attacks than it was evaluated with.

    Example:
    ```python
    model = AdversarialTagger(tagger, FGSM(ThreatModel.from_schema(schema, statistics.sigma)))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(batches, epochs=10, steps_per_epoch=steps)
    model.tagger.save("tagger.keras")
    ```

    Args:
        tagger: From raw features `(batch, features)` to logits `(batch, classes)`.
        attack: Applied to each batch before the update; None for nominal training.
        attack_in_training_mode: Whether the attack sees the tagger with dropout and the like switched on.
        mix: "adversarial" updates on attacked jets alone; "mean" on the mean of the clean and the attacked loss.

    Raises:
        UserError: if the tagger does not compute in float32, or `mix` is unknown.
    """

    def __init__(
        self,
        tagger: keras.Model,
        attack: Attack | None = None,
        attack_in_training_mode: bool = False,
        mix: str = "adversarial",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if mix not in MIXES:
            raise UserError(f"There is no mix '{mix}'; choose one of {', '.join(MIXES)}.")
        for layer in [self, tagger, *tagger.layers]:
            if layer.compute_dtype != "float32":
                raise UserError(
                    f"Attacks need float32, but layer '{layer.name}' computes in {layer.compute_dtype}; "
                    "build the tagger under keras.config.set_dtype_policy('float32')."
                )
        self.tagger = tagger
        self.attack = attack
        # Makes Keras count the attack's random state among this model's variables.
        self.attack_seed_generator = getattr(attack, "seed_generator", None)
        self.attack_in_training_mode = attack_in_training_mode
        self.mix = mix
        self.built = tagger.built

    def call(self, inputs, training=None):
        """Logits of the tagger."""
        return self.tagger(inputs, training=training)

    def train_step(self, data):
        """Attack the batch, then update on it."""
        if self.attack is None:
            return super().train_step(data)
        x, y, w = keras.utils.unpack_x_y_sample_weight(data)
        attacked = tf.stop_gradient(self.attack(self.tagger, x, y, training=self.attack_in_training_mode))
        if self.mix == "mean":
            attacked, y = tf.concat([x, attacked], axis=0), tf.concat([y, y], axis=0)
            w = None if w is None else tf.concat([w, w], axis=0)
        return super().train_step((attacked, y, w))

    def fit(self, *args, callbacks=None, **kwargs):
        """As in Keras; warns where a callback that reads attacked metrics stands before the one that makes them."""
        warn_of_order(callbacks)
        return super().fit(*args, callbacks=callbacks, **kwargs)

    def get_config(self):
        """Everything that `__init__` takes."""
        return super().get_config() | {
            "tagger": keras.saving.serialize_keras_object(self.tagger),
            "attack": keras.saving.serialize_keras_object(self.attack) if self.attack else None,
            "attack_in_training_mode": self.attack_in_training_mode,
            "mix": self.mix,
        }

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        parts = {name: keras.saving.deserialize_keras_object(config.pop(name)) for name in ("tagger", "attack")}
        return cls(**parts, **config)
