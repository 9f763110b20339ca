"""Projected gradient descent (ascent, of the loss)."""

import keras
import tensorflow as tf

from kerastag.attacks.base import Attack
from kerastag.attacks.threat_model import ThreatModel
from kerastag.errors import UserError


@keras.saving.register_keras_serializable("kerastag")
class PGD(Attack):
    """Sign steps inside the box; of all points visited, FGSM's among them, each jet keeps the one of largest objective.

    Reference: Madry et al., arXiv:1706.06083, section 2.1.

    Args:
        threat_model: How far each cell may move.
        objective: What to increase, a name in `OBJECTIVES`.
        steps: Number of steps.
        step_size: Size of a step in units of the box's half-width; None for 2.5/steps.
        random_start: Whether to start at a random point of the box rather than at the clean jet.
        restarts: How often to start; more than once needs random starts.
        seed: Of the random starts.

    Raises:
        UserError: if a number is out of range.
    """

    def __init__(
        self,
        threat_model: ThreatModel,
        objective: str = "cross_entropy",
        steps: int = 10,
        step_size: float | None = None,
        random_start: bool = True,
        restarts: int = 1,
        seed: int = 0,
    ):
        super().__init__(threat_model, objective)
        if steps < 1 or restarts < 1 or (step_size is not None and step_size <= 0):
            raise UserError(
                "PGD needs `steps` and `restarts` of at least 1 and a positive `step_size`. "
                f"Received: steps={steps}, restarts={restarts}, step_size={step_size}."
            )
        if restarts > 1 and not random_start:
            raise UserError("PGD restarts from the same point without `random_start`; set restarts=1.")
        self.steps, self.step_size, self.random_start, self.restarts = steps, step_size, random_start, restarts
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._first_state = self.seed_generator.state.numpy()

    def __call__(self, tagger: keras.Model, x: tf.Tensor, y: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """As `Attack.__call__`."""
        budget = self.threat_model.budget(x)
        step = budget * (self.step_size or 2.5 / self.steps)
        clean_loss, direction = self.ascend(tagger, x, y, training)
        corner = self.threat_model.project(x, x + budget * direction)

        def better(best, best_loss, point, loss):
            improves = loss > best_loss
            return tf.where(improves[:, None], point, best), tf.where(improves, loss, best_loss)

        def advance(point, direction, best, best_loss):
            point = self.threat_model.project(x, point + step * direction)
            loss, direction = self.ascend(tagger, point, y, training)
            return point, direction, *better(best, best_loss, point, loss)

        corner_loss, _ = self.ascend(tagger, corner, y, training)
        best, best_loss = better(x, clean_loss, corner, corner_loss)
        for _ in range(self.restarts):
            point, start_direction = x, direction
            if self.random_start:
                point = self.threat_model.project(x, x + budget * self._uniform(x))
                start_loss, start_direction = self.ascend(tagger, point, y, training)
                best, best_loss = better(best, best_loss, point, start_loss)
            _, _, best, best_loss = tf.while_loop(
                lambda *_: True,
                advance,
                (point, start_direction, best, best_loss),
                maximum_iterations=self.steps,
            )
        return best

    def restart(self) -> None:
        """As `Attack.restart`."""
        self.seed_generator.state.assign(self._first_state)

    def _uniform(self, x: tf.Tensor) -> tf.Tensor:
        return keras.random.uniform(tf.shape(x), -1.0, 1.0, dtype="float32", seed=self.seed_generator)

    def get_config(self) -> dict:
        """Everything that `__init__` takes."""
        names = ("steps", "step_size", "random_start", "restarts", "seed")
        return super().get_config() | {name: getattr(self, name) for name in names}
