"""What all attacks share: the objective that they climb, the box in which they do, and the configuration."""

import json

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks.gradients import gradient_in
from kerastag.attacks.inputs import as_features, as_one_hot
from kerastag.attacks.objectives import ObjectiveFunction, find_objective
from kerastag.attacks.threat_model import Box, ThreatModel
from kerastag.errors import UserError
from kerastag.layers.class_logits import flavour_logits
from kerastag.layers.mending import beyond_ranges

LABELS = ("true", "predicted")
# Far from the seeds that users choose.
_BETWEEN_REPLICAS = 1_000_003


class Objective:
    """What an attack increases, as a function of the features of some jets: tagger, labels and mode are bound.

    Args:
        loss: From one-hot labels `(batch, classes)` and logits `(batch, classes)` to what is increased, `(batch,)`.
        tagger: From raw features to logits.
        y: One-hot labels `(batch, classes)`.
        training: Mode in which the tagger is called.
        nonfinite_gradients: Variable that counts gradient cells that are NaN or infinite and are taken as 0.
        box: Box whose cells that follow others are recomputed at each point; None where points are what the tagger sees.
        bounded: Whether points keep to valid ranges; beyond them the tagger must not mend what it sees.
    """

    def __init__(
        self,
        loss: ObjectiveFunction,
        tagger: keras.Model,
        y: tf.Tensor,
        training: bool,
        nonfinite_gradients: keras.Variable,
        box: Box | None = None,
        bounded: bool = True,
    ):
        self._loss, self._bounded = loss, bounded
        self._tagger, self._y, self._training = tagger, y, training
        self._nonfinite_gradients, self._complete = nonfinite_gradients, None if box is None else box.completer()
        # An attack looks at many points: inside a graph the way to the gradient is traced once for all of them.
        self._traced = tf.function(self._gradient) if tf.inside_function() else self._gradient

    def gradient(self, point: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Objective `(batch,)` and its gradient `(batch, features)` at a point `(batch, features)`.

        The tape watches the inputs alone, so no gradient of a weight is ever computed.
        """
        return self._traced(point)

    def _gradient(self, point: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def logits(point: tf.Tensor) -> tf.Tensor:
            return self._logits(point if self._complete is None else self._complete(point))

        # In training mode logits of a jet may depend on the other jets, by batch normalisation.
        by_jet = not self._training
        loss, gradient = gradient_in(point, self._tagger, logits, lambda outputs: self._loss(self._y, outputs), by_jet)
        return loss, self._finite(gradient)

    def value(self, point: tf.Tensor) -> tf.Tensor:
        """Objective `(batch,)` of features `(batch, features)` as the tagger sees them."""
        return self._loss(self._y, self._logits(point))

    def _logits(self, point: tf.Tensor) -> tf.Tensor:
        with beyond_ranges(not self._bounded):
            return flavour_logits(self._tagger, point, self._y, self._training)

    def ascend(self, point: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Objective `(batch,)` and the sign of its gradient `(batch, features)` at a point `(batch, features)`."""
        loss, gradient = self.gradient(point)
        return loss, tf.sign(gradient)

    def _finite(self, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient with cells that are not finite set to 0 and counted; the usual case costs one look."""
        finite = tf.math.is_finite(gradient)

        def mend() -> tf.Tensor:
            self._nonfinite_gradients.assign_add(tf.math.count_nonzero(~finite))
            return tf.where(finite, gradient, tf.zeros_like(gradient))

        return tf.cond(tf.reduce_all(finite), lambda: gradient, mend)


class Attack:
    """Base of attacks: `attack(tagger, x, y) -> attacked x`, inside the box of a threat model.

    A kind of attack is one method, `perturb`.

    Args:
        threat_model: How far each cell may move.
        objective: What to increase: "cross_entropy", "paper", or a discriminator of the threat model by name; or a function of
            one-hot labels and logits, `(batch, classes)` each, that gives a value for each jet, `(batch,)`.
        labels: "true", or "predicted" for an attacker who does not know the truth and takes the tagger's word on clean jets;
            then nothing of the truth shows in the attacked jets, but where the threat model depends on the flavour.

    Attributes:
        nonfinite_gradients: Variable that counts gradient cells that were NaN or infinite and were taken as 0.
        follows_gradient: Whether it looks at gradients of the tagger; if not, one without them can be attacked as well.

    Raises:
        UserError: if an option is unknown.
    """

    follows_gradient = True

    def __init__(self, threat_model: ThreatModel, objective: str | ObjectiveFunction = "cross_entropy", labels: str = "true"):
        find_objective(objective, threat_model.separations)
        if labels not in LABELS:
            raise UserError(f"'{labels}' is no value for `labels`; choose {' or '.join(LABELS)}.")
        self.threat_model = threat_model
        self.objective = objective
        self.labels = labels
        # Each device counts its own; who reads gets their sum.
        self.nonfinite_gradients = keras.Variable(
            "zeros",
            shape=(),
            dtype="int64",
            trainable=False,
            aggregation="sum",
            synchronization="on_read",
            name="nonfinite_gradients",
        )

    def __call__(
        self,
        tagger: keras.Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        training: bool = False,
        strength: float | tf.Tensor = 1.0,
    ) -> tf.Tensor:
        """Attack a batch.

        Args:
            tagger: From raw features to logits.
            x: Clean features `(batch, features)`, made float32.
            y: True flavours, one-hot `(batch, classes)` or whole numbers `(batch,)`; a tagger of finer classes is then attacked
                in its logits by flavour.
            training: Mode in which the tagger is called.
            strength: Factor on ε of this call, as a schedule gives it.

        Returns:
            Attacked features, float32 `(batch, features)`.

        Raises:
            UserError: if features or labels have another shape.
        """
        x = as_features(x, self.threat_model.features)
        y = as_one_hot(y, x, lambda: tagger(x, training=training).shape[-1])
        box = self.threat_model.box(x, y, strength)
        if self.labels == "predicted":
            y = tf.one_hot(tf.argmax(flavour_logits(tagger, x, y, training), axis=-1), y.shape[-1])
        return self.attacked(box, self.bind(tagger, y, training, box))

    def bind(self, tagger: keras.Model, y: tf.Tensor, training: bool = False, box: Box | None = None) -> Objective:
        """The objective of this attack for a tagger, the labels `(batch, classes)` of some jets and the box around them."""
        loss = find_objective(self.objective, self.threat_model.separations)
        bounded = self.threat_model.lower is not None or self.threat_model.upper is not None
        return Objective(loss, tagger, y, training, self.nonfinite_gradients, box, bounded)

    def attacked(self, box: Box, objective: Objective) -> tf.Tensor:
        """Attacked features `(batch, features)` of the jets in the middle of `box`."""
        return box.complete(self.perturb(box, objective))

    def perturb(self, box: Box, objective: Objective) -> tf.Tensor:
        """A point `(batch, features)` inside `box`, of larger `objective` than the clean one.

        Cells that follow others are recomputed from it, for the objective and at the end.
        """
        raise NotImplementedError

    def restart(self) -> None:
        """Start random draws over, so that the next call repeats the first. Nothing to do where none are made."""

    def get_config(self) -> dict:
        """Everything that `__init__` takes."""
        return {
            "threat_model": keras.saving.serialize_keras_object(self.threat_model),
            "objective": keras.saving.serialize_keras_object(self.objective),
            "labels": self.labels,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Attack":
        """The inverse of `get_config`."""
        stored = {name for name in ("threat_model", "objective") if name in config}  # a distortion has no objective
        return cls(**config | {name: keras.saving.deserialize_keras_object(config[name]) for name in stored})

    def fingerprint(self) -> str:
        """What its config says, to notice that an attack has changed since a graph was made of it."""
        return json.dumps(self.get_config(), default=repr)

    def __reduce__(self) -> tuple:
        """Pickles and copies are made of the config; random draws and the count of gradients start over."""
        return type(self).from_config, (self.get_config(),)


class ReplicaSeeds(keras.random.SeedGenerator):
    """Seeds that differ between the replicas of a distributed training, which all hold the same state."""

    @override
    def next(self, ordered: bool = True) -> tf.Tensor:
        """The next seed, int `(2,)`; with one replica it is that of Keras."""
        seed = super().next(ordered)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        replica = tf.cast(context.replica_id_in_sync_group, seed.dtype)
        return seed + tf.stack([replica * _BETWEEN_REPLICAS, tf.zeros_like(replica)])


class RandomDraws:
    """Random numbers of an attack: two calls differ, the same seed repeats both, and a checkpoint holds the state.

    Args:
        seed: Seed of the draws.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.seed_generator = ReplicaSeeds(seed)
        self._first_state = self.seed_generator.state.numpy()

    def restart(self) -> None:
        """Start the draws over, so that the next call repeats the first."""
        self.seed_generator.state.assign(self._first_state)

    def _uniform(self, x: tf.Tensor) -> tf.Tensor:
        """Numbers in [-1, 1], of the shape of x."""
        return keras.random.uniform(tf.shape(x), -1.0, 1.0, dtype="float32", seed=self.seed_generator)

    def _normal(self, x: tf.Tensor) -> tf.Tensor:
        """Standard normal numbers of the shape of x."""
        return keras.random.normal(tf.shape(x), dtype="float32", seed=self.seed_generator)


class RandomAttack(RandomDraws, Attack):
    """An attack that draws random numbers.

    Args:
        threat_model: How far each cell may move.
        objective: What to increase, as of `Attack`.
        labels: "true" or "predicted".
        seed: Seed of the draws.
    """

    def __init__(
        self,
        threat_model: ThreatModel,
        objective: str | ObjectiveFunction = "cross_entropy",
        labels: str = "true",
        seed: int = 0,
    ):
        Attack.__init__(self, threat_model, objective, labels)
        RandomDraws.__init__(self, seed)

    def random_point(self, box: Box) -> tf.Tensor:
        """A random point of the box for each jet, `(batch, features)`."""
        return box.project(box.x + box.budget * self._uniform(box.x))

    @override
    def get_config(self) -> dict:
        return super().get_config() | {"seed": self.seed}
