"""Nominal and adversarial training of any tagger, as a `keras.Model` that composes with compile and fit."""

import json
from typing import Any

import keras
import tensorflow as tf

from kerastag.attacks import Attack
from kerastag.errors import UserError
from kerastag.layers import class_logits
from kerastag.layers.mending import beyond_ranges
from kerastag.layers.precision import check_precision, precisions
from kerastag.training.aside import Values, aside, at_shifted_weights, shifted
from kerastag.training.callbacks import warn_of_order
from kerastag.training.checks import alone, check_shapes, check_training
from kerastag.training.defenses import AttackedBatches, Batch, Defense
from kerastag.training.replicas import for_mean, make_ready


@keras.saving.register_keras_serializable("kerastag")
class AdversarialTagger(keras.Model):
    """Trains a tagger to withstand attacks.

    Each training step lets a defence prepare the batch against the tagger as it stands, usually by attacking it, then makes an
    ordinary Keras step on the result. Evaluation and prediction see the inputs as they come. What it does not promise:
    robustness outside the attack's threat model, or against stronger attacks than it was evaluated with.

    Example:
    ```python
    model = AdversarialTagger(tagger, FGSM(ThreatModel.from_schema(schema, statistics.sigma)))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(batches, epochs=10, steps_per_epoch=steps)
    model.tagger.save("tagger.keras")
    ```

    Args:
        tagger: From raw features `(batch, features)` to logits `(batch, classes)`.
        attack: With which every batch is attacked; short for the defence `AttackedBatches(attack)`.
        defense: A defence of `kerastag.defenses`. With neither the training is nominal.

    Raises:
        UserError: if the tagger rounds features or logits to 16 bits or has one logit, or both `attack` and `defense` are
            given.
    """

    def __init__(self, tagger: keras.Model, attack: Attack | None = None, defense: Defense | None = None, **kwargs: Any):
        super().__init__(**{"dtype": "float32"} | kwargs)  # else it would round what the tagger gets
        if attack is not None and defense is not None:
            raise UserError("AdversarialTagger takes an `attack` or a `defense`, not both; give the attack to the defence.")
        shape = getattr(tagger, "input_shape", None)
        if precisions(tagger) and isinstance(shape, tuple):
            check_precision(tagger, shape[-1])
        if class_logits.width(tagger) == 1:
            raise UserError(class_logits.one_logit(tagger))
        self.tagger = tagger
        self.defense = AttackedBatches(attack) if attack else defense
        self._traced_defense: str | None = None
        # Makes Keras count them among this model's variables.
        self.random_states = self.defense.random_states if self.defense else []
        # Trained and saved with the trainer, not with the tagger.
        self.beside = self.defense.network if self.defense else None
        if self.beside is not None and not self.beside.built and (width := class_logits.width(tagger)):
            self.beside.build((None, width))
        self.built = tagger.built

    @property
    def attack(self) -> Attack | None:
        """What batches are attacked with, if the defence attacks any."""
        return self.defense.attack if self.defense else None

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Logits of the tagger."""
        with at_shifted_weights():
            return self.tagger(inputs, training=training)

    def compile(self, optimizer: Any = "rmsprop", *args: Any, auto_scale_loss: bool = True, **kwargs: Any) -> None:
        """As in Keras; the loss is scaled where layers of the tagger compute in float16, whose smallest number is 6e-8."""
        optimizer = keras.optimizers.get(optimizer)
        scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if auto_scale_loss and not scales and "float16" in precisions(self.tagger).values():
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        super().compile(optimizer, *args, auto_scale_loss=auto_scale_loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As in Keras, which leaves a model out whose `compile` is its own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force: bool = False) -> Any:
        """As in Keras; made anew where the defence, its attack or its threat model is another than in the last training."""
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer) and self.tagger.built and not self.optimizer.built:
            # Before it is built it scales by a constant, which a graph would keep.
            self.optimizer.build(self.trainable_variables)
        defense = json.dumps(keras.saving.serialize_keras_object(self.defense), default=repr) if self.defense else None
        train = super().make_train_function(force or defense != self._traced_defense)
        self._traced_defense = defense
        return train

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Let the defence prepare the batch, then update on it."""
        return for_mean(self._defended_step(data))

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """As in Keras."""
        return for_mean(super().test_step(data))

    def _defended_step(self, data: Any) -> dict[str, tf.Tensor]:
        if self.defense is None:
            return super().train_step(data)
        x, y, w = keras.utils.unpack_x_y_sample_weight(data)
        if self.defense.replays > 1:
            return self._replayed(self.defense, x, y, w)
        batch = self.defense.batch(self.tagger, x, y, w, self.optimizer.iterations)
        with beyond_ranges():
            if not self.defense.moves_weights:
                return super().train_step(batch)
            with shifted(*self._shifts(self.defense, batch)):
                return super().train_step(batch)

    def _replayed(self, defense: Defense, x: tf.Tensor, y: tf.Tensor, w: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Several updates on a batch. The gradient of each moves the weights, and the jets for the next one."""
        box, direction = defense.begin(self.tagger, x, y, self.optimizer.iterations)
        logs: dict[str, tf.Tensor] = {}
        for _ in range(defense.replays):
            with tf.GradientTape() as tape, beyond_ranges():
                point = box.corner(direction)
                tape.watch(point)
                moved = box.complete(point)
                y_pred = self(moved, training=True)
                loss = self.compute_loss(moved, y, y_pred, w)
                scaled = self.optimizer.scale_loss(loss)
            *gradients, slope = tape.gradient(scaled, [*self.trainable_weights, point])
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            # 0 in place of what is not finite, as in attacks; a jet of negative weight is attacked like any other.
            slope = tf.where(tf.math.is_finite(slope), slope, tf.zeros_like(slope))
            slope = slope if w is None else slope * tf.sign(w)[:, None]
            direction = tf.clip_by_value(direction + tf.sign(slope), -1.0, 1.0)
            self._loss_tracker.update_state(loss * self.distribute_strategy.num_replicas_in_sync)
            logs = self.compute_metrics(moved, y, y_pred, sample_weight=w)
        return logs

    def _shifts(self, defense: Defense, batch: Batch) -> tuple[Values, Values]:
        """How far the defence moves each weight, and the other variables of the tagger as they were before it looked.

        What its pass leaves behind counts; the pass at moved weights, which starts at the same, leaves nothing.
        """
        weights = self.tagger.trainable_variables
        states = [(state, tf.identity(state.value)) for state in self.tagger.non_trainable_variables]
        gradients, scope = self._gradients(batch)
        for state, _ in states:
            if (value := scope.get_current_value(state)) is not None:
                state.assign(value)
        return list(zip(weights, defense.shift([weight.value for weight in weights], gradients), strict=True)), states

    def _gradients(self, batch: Batch) -> tuple[list[tf.Tensor], keras.StatelessScope]:
        """Gradients of the loss in the weights as they stand, over all replicas, and what the pass would leave behind."""
        x, y, w = batch
        weights = [weight.value for weight in self.tagger.trainable_variables]
        with tf.GradientTape() as tape:
            with aside() as scope:
                y_pred = self.tagger(x, training=True)
            with aside():
                loss = self.optimizer.scale_loss(self.compute_loss(x, y, y_pred, w))
        gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        scale = self.optimizer.scale_loss(tf.ones(()))
        gradients = [tf.convert_to_tensor(gradient) / scale for gradient in gradients]
        replicas = tf.distribute.get_replica_context()
        return gradients if replicas.num_replicas_in_sync == 1 else replicas.all_reduce("sum", gradients), scope

    def compute_loss(
        self,
        x: tf.Tensor | None = None,
        y: tf.Tensor | None = None,
        y_pred: tf.Tensor | None = None,
        sample_weight: tf.Tensor | None = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The compiled loss, and in training what the defence adds to it."""
        compiled = super().compute_loss

        def compute(y: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
            return compiled(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)

        if self.defense is None or not training:
            return compute(y, y_pred, sample_weight)
        with at_shifted_weights():
            return self.defense.loss(self.tagger, compute, x, y, y_pred, sample_weight)

    def fit(self, x: Any = None, y: Any = None, *args: Any, callbacks: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """As in Keras; warns where a callback that reads attacked metrics stands before the one that makes them.

        Raises:
            UserError: if the tagger gives probabilities, rounds features or logits to 16 bits, or keeps weights in them; or
                features or labels have another shape than it takes.
        """
        warn_of_order(callbacks)
        x, y = alone(x), alone(y)
        check_training(self, x, y)
        make_ready(self)
        return super().fit(x, y, *args, callbacks=callbacks, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in Keras.

        Raises:
            UserError: if features or labels have another shape than the tagger takes.
        """
        x, y = alone(x), alone(y)
        check_shapes(self, x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As in Keras.

        Raises:
            UserError: if features have another shape than the tagger takes.
        """
        x = alone(x)
        check_shapes(self, x, with_labels=False)
        return super().predict(x, *args, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.export`, of the tagger."""
        self.tagger.export(filepath, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Everything that `__init__` takes."""
        return super().get_config() | {
            "tagger": keras.saving.serialize_keras_object(self.tagger),
            "defense": keras.saving.serialize_keras_object(self.defense) if self.defense else None,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AdversarialTagger":
        """The inverse of `get_config`."""
        parts = {name: keras.saving.deserialize_keras_object(config.pop(name)) for name in ("tagger", "defense")}
        return cls(**parts, **config)
