"""Defences: what a training step of `AdversarialTagger` does for robustness, around Keras' own step.

A defence may change the batch before the step, add to the loss inside of it, or take its gradient at other weights. Each is an
object with a config.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks import OBJECTIVES, Attack, ThreatModel
from kerastag.attacks.base import RandomDraws, ReplicaSeeds
from kerastag.attacks.gradients import gradient_in
from kerastag.attacks.inputs import as_one_hot
from kerastag.attacks.threat_model import Box
from kerastag.errors import UserError
from kerastag.layers.class_logits import flavour_logits

# A batch: features `(batch, features)`, one-hot labels `(batch, classes)`, and sample weights `(batch,)` or None.
Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]
# The compiled loss of a step: (y, y_pred, sample_weight) -> scalar.
ComputeLoss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]


@keras.saving.register_keras_serializable("kerastag")
class Ramp:
    """Strength of the attack during a training: 0 in a warm-up, then rising to 1, and optionally random for each batch.

    Args:
        warmup: Steps without an attack.
        rise: Steps of a linear rise behind them.
        random: Whether each batch draws its strength between 0 and that of the ramp.
        seed: Seed of the draws.

    Raises:
        UserError: if a number of steps is negative.
    """

    def __init__(self, warmup: int = 0, rise: int = 0, random: bool = False, seed: int = 0):
        if warmup < 0 or rise < 0:
            raise UserError(f"A ramp needs a `warmup` and `rise` of at least 0 steps. Received: {warmup}, {rise}.")
        self.warmup, self.rise, self.random, self.seed = int(warmup), int(rise), random, seed
        self.seed_generator = ReplicaSeeds(seed)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Strength in a step, a scalar between 0 and 1."""
        since = tf.cast(step, tf.float32) - self.warmup
        strength = tf.clip_by_value((since + 1) / max(self.rise, 1), 0.0, 1.0)
        return strength * keras.random.uniform((), seed=self.seed_generator) if self.random else strength

    def get_config(self) -> dict:
        """Everything that `__init__` takes."""
        return {"warmup": self.warmup, "rise": self.rise, "random": self.random, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict) -> "Ramp":
        """The inverse of `get_config`."""
        return cls(**config)


class Defense:
    """Base of defences: leaves batch and loss as they are.

    Attributes:
        attack: What batches are attacked with; None for a defence that attacks none.
        ramp: Strength of the attack by step; None for full strength.
        moves_weights: Whether the gradient of the update is taken at other weights, by `shift`.
        replays: How many updates a batch makes; with more than one it starts with `begin`, and `batch` is not called.
        network: What is trained beside the tagger; None for nothing.
    """

    attack: Attack | None = None
    ramp: Ramp | None = None
    moves_weights = False
    replays = 1
    network: keras.Model | None = None

    @property
    def random_states(self) -> list[keras.random.SeedGenerator]:
        """Generators of random numbers, so that a checkpoint can hold them."""
        parts = (self.attack, self.ramp)
        return [part.seed_generator for part in parts if isinstance(part, RandomDraws | Ramp)]

    def batch(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, w: tf.Tensor | None, step: tf.Tensor) -> Batch:
        """The batch on which the step is made, from the one that came.

        Args:
            tagger: As it stands before the step.
            x: Clean features `(batch, features)`.
            y: One-hot labels `(batch, classes)`.
            w: Sample weights `(batch,)`, or None.
            step: Number of the step.
        """
        return x, y, w

    def loss(
        self,
        tagger: keras.Model,
        compute: ComputeLoss,
        x: tf.Tensor,
        y: tf.Tensor,
        y_pred: tf.Tensor,
        w: tf.Tensor | None,
    ) -> tf.Tensor:
        """The loss of the step, a scalar; `compute` is the compiled one. Arguments are those of the changed batch."""
        return compute(y, y_pred, w)

    def shift(self, weights: Sequence[tf.Tensor], gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """How far the weights are moved while the gradient of the update is taken, if `moves_weights`.

        Args:
            weights: Trainable weights of the tagger.
            gradients: Gradient of the loss in each of them.
        """
        raise NotImplementedError

    def begin(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, step: tf.Tensor) -> tuple[Box, tf.Tensor]:
        """The box around a batch, and where in it the first of several updates is made.

        Args:
            tagger: As of `batch`, as are the others.
            x: Clean features `(batch, features)`.
            y: One-hot labels `(batch, classes)`.
            step: Number of the step.

        Returns:
            The box, and a direction for `Box.corner`, from -1 to 1, `(batch, features)`.
        """
        raise NotImplementedError

    def get_config(self) -> dict:
        """Everything that `__init__` takes."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict) -> "Defense":
        """The inverse of `get_config`."""
        return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})

    def _strength(self, step: tf.Tensor) -> float | tf.Tensor:
        return 1.0 if self.ramp is None else self.ramp(step)


class RampedLoss(Defense):
    """Base of defences that leave the batch as it is, and whose loss has a strength, `_now`, that rises with the ramp."""

    _now: float | tf.Tensor = 1.0

    @override
    def batch(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, w: tf.Tensor | None, step: tf.Tensor) -> Batch:
        self._now = self._strength(step)  # a batch is followed by its loss
        return x, y, w


def _both(clean: tf.Tensor, moved: tf.Tensor, y: tf.Tensor, w: tf.Tensor | None) -> Batch:
    """A batch of clean jets and, behind them, the attacked ones."""
    return tf.concat([clean, moved], axis=0), tf.concat([y, y], axis=0), None if w is None else tf.concat([w, w], axis=0)


MIXES = ("adversarial", "mean")


@keras.saving.register_keras_serializable("kerastag")
class AttackedBatches(Defense):
    """The step is made on attacked jets: adversarial training, and augmentation where the attack is a distortion.

    Reference: Goodfellow, Shlens and Szegedy, arXiv:1412.6572, the mean in section 6; Madry et al., arXiv:1706.06083; for noise
    Bishop, Neural Computation 7 (1995) 108: small noise is a penalty on gradients.

    Args:
        attack: The attack.
        mix: "adversarial" updates on attacked jets alone; "mean" on the mean of the clean and the attacked loss.
        every: Only every so many-th batch is attacked.
        in_training_mode: Whether the attack sees the tagger with dropout and the like switched on.
        ramp: Strength of the attack by step; None for full strength.

    Raises:
        UserError: if an option is out of range.
    """

    def __init__(
        self,
        attack: Attack,
        mix: str = "adversarial",
        every: int = 1,
        in_training_mode: bool = False,
        ramp: Ramp | None = None,
    ):
        if mix not in MIXES:
            raise UserError(f"There is no mix '{mix}'; choose one of {', '.join(MIXES)}.")
        if every < 1:
            raise UserError(f"Invalid value for `every`: it must be at least 1. Received: {every}.")
        self.attack: Attack = attack
        self.mix, self.every, self.in_training_mode, self.ramp = mix, every, in_training_mode, ramp

    @override
    def batch(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, w: tf.Tensor | None, step: tf.Tensor) -> Batch:
        def attacked() -> tf.Tensor:
            return self.attack(tagger, x, y, training=self.in_training_mode, strength=self._strength(step))

        moved = attacked() if self.every == 1 else tf.cond(step % self.every == 0, attacked, lambda: x)
        moved = tf.stop_gradient(moved)
        return _both(x, moved, y, w) if self.mix == "mean" else (moved, y, w)

    @override
    def get_config(self) -> dict:
        return {
            "attack": keras.saving.serialize_keras_object(self.attack),
            "mix": self.mix,
            "every": self.every,
            "in_training_mode": self.in_training_mode,
            "ramp": keras.saving.serialize_keras_object(self.ramp) if self.ramp else None,
        }


@keras.saving.register_keras_serializable("kerastag")
class TRADES(Defense):
    """Loss of clean jets plus β times how much the output changes under attack, KL(f(x) ‖ f(x')), x' chosen for the most.

    The attack should start at random and leave FGSM's point out, `PGD(…, try_corner=False)`: at the clean jet nothing points
    anywhere.

    Reference: Zhang et al., arXiv:1901.08573, equation 5 and algorithm 1.

    Args:
        attack: How x' is searched; its labels are the clean outputs.
        beta: Weight of the second term.
        ramp: Strength of the attack by step; None for full strength.

    Raises:
        UserError: if β is negative.
    """

    def __init__(self, attack: Attack, beta: float = 3.0, ramp: Ramp | None = None):
        if not beta >= 0:
            raise UserError(f"Invalid value for `beta`: it must be at least 0. Received: {beta}.")
        self.attack: Attack = attack
        self.beta, self.ramp = float(beta), ramp

    @override
    def batch(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, w: tf.Tensor | None, step: tf.Tensor) -> Batch:
        logits = flavour_logits(tagger, x, as_one_hot(y, x, lambda: tagger(x).shape[-1]))
        outputs = tf.stop_gradient(tf.nn.softmax(logits))
        moved = tf.stop_gradient(self.attack(tagger, x, outputs, strength=self._strength(step)))
        return _both(x, moved, y, w)

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
        (clean, moved), (y, _) = tf.split(y_pred, 2), tf.split(y, 2)
        w = None if w is None else tf.split(w, 2)[0]
        log_p, log_q = tf.nn.log_softmax(clean), tf.nn.log_softmax(moved)
        divergence = tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)
        return self.clean_loss(compute, y, clean, w) + self.beta * weighted_mean(divergence, w)

    def clean_loss(self, compute: ComputeLoss, y: tf.Tensor, y_pred: tf.Tensor, w: tf.Tensor | None) -> tf.Tensor:
        """The first term, a scalar; arguments are those of the clean jets."""
        return compute(y, y_pred, w)

    @override
    def get_config(self) -> dict:
        return {
            "attack": keras.saving.serialize_keras_object(self.attack),
            "beta": self.beta,
            "ramp": keras.saving.serialize_keras_object(self.ramp) if self.ramp else None,
        }


class GradientPenalty(Defense):
    """Base of penalties on gradients in the inputs, which are differentiated once more. No attack is made.

    Args:
        threat_model: The box.
        weight: Factor on the penalty.

    Raises:
        UserError: if the weight is negative.
    """

    def __init__(self, threat_model: ThreatModel, weight: float = 1.0):
        if not weight >= 0:
            raise UserError(f"Invalid value for `weight`: it must be at least 0. Received: {weight}.")
        self.threat_model, self.weight = threat_model, float(weight)

    def penalty(self, box: Box, gradient: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """The penalty of each jet, `(batch,)`.

        Args:
            box: The box around the jets.
            gradient: Budget times the gradient of the cross-entropy, `(batch, features)`, at a point `(batch, features)`;
                0 where a cell does not move on its own.
        """
        raise NotImplementedError

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
        box = self.threat_model.box(x, y_one_hot)

        def gradient(point: tf.Tensor) -> tf.Tensor:
            def logits(point: tf.Tensor) -> tf.Tensor:
                return flavour_logits(tagger, box.complete(point), y_one_hot, training=True)

            def cross_entropy(outputs: tf.Tensor) -> tf.Tensor:
                return OBJECTIVES["cross_entropy"](y_one_hot, outputs)

            return box.budget * gradient_in(point, tagger, logits, cross_entropy, by_jet=False)[1]

        return compute(y, y_pred, w) + self.weight * weighted_mean(self.penalty(box, gradient), w)

    @override
    def get_config(self) -> dict:
        return {"threat_model": keras.saving.serialize_keras_object(self.threat_model), "weight": self.weight}


@keras.saving.register_keras_serializable("kerastag")
class InputGradientPenalty(GradientPenalty):
    """Adds what the loss would rise to first order in the box: Σ budget·|∂J/∂x|, without a cap ε·‖∂J/∂u‖₁ with u = Δx/scale.

    Reference: Simon-Gabriel et al., arXiv:1802.01421, section 2; Drucker and Le Cun, IEEE Trans. Neural Netw. 3 (1992) 991.
    """

    @override
    def penalty(self, box: Box, gradient: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        return tf.reduce_sum(tf.abs(gradient(box.x)), axis=-1)


def weighted_mean(values: tf.Tensor, w: tf.Tensor | None) -> tf.Tensor:
    """Mean over the batch of values `(batch,)` times their weights; over all replicas, whose gradients are added up."""
    return tf.reduce_mean(values if w is None else w * values) / tf.distribute.get_strategy().num_replicas_in_sync
