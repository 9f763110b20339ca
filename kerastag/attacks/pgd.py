"""Projected gradient descent (ascent, of the loss)."""

import keras
import tensorflow as tf

from kerastag.attacks.base import RandomAttack
from kerastag.attacks.threat_model import Box, ThreatModel
from kerastag.errors import UserError


def better(best: tf.Tensor, best_loss: tf.Tensor, point: tf.Tensor, loss: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """For each jet the point of larger objective, `(batch, features)` and `(batch,)`."""
    improves = loss > best_loss
    return tf.where(improves[:, None], point, best), tf.where(improves, loss, best_loss)


@keras.saving.register_keras_serializable("kerastag")
class PGD(RandomAttack):
    """Sign steps inside the box; of all points visited, FGSM's among them, each jet keeps the one of largest objective.

    Reference: Madry et al., arXiv:1706.06083, section 2.1.

    Args:
        threat_model: How far each cell may move.
        objective: What to increase, a name in `OBJECTIVES`.
        steps: Number of steps.
        step_size: Size of a step in units of the box's half-width; None for 2.5/steps.
        random_start: Whether to start at a random point of the box rather than at the clean jet.
        restarts: How often to start; of several the last starts at FGSM's point, the others need random starts.
        seed: Of the random starts.
        labels: "true" or "predicted".

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
        labels: str = "true",
    ):
        super().__init__(threat_model, objective, labels, seed)
        if steps < 1 or restarts < 1 or (step_size is not None and step_size <= 0):
            raise UserError(
                "PGD needs `steps` and `restarts` of at least 1 and a positive `step_size`. "
                f"Received: steps={steps}, restarts={restarts}, step_size={step_size}."
            )
        if restarts > 1 and not random_start:
            raise UserError("PGD restarts from the same point without `random_start`; set restarts=1.")
        self.steps, self.step_size, self.random_start, self.restarts = steps, step_size, random_start, restarts

    def perturb(self, tagger: keras.Model, box: Box, y: tf.Tensor, training: bool) -> tf.Tensor:
        """As `Attack.perturb`."""
        step = box.budget * (self.step_size or 2.5 / self.steps)
        clean_loss, direction = self.ascend(tagger, box.x, y, training)
        corner = box.project(box.x + box.budget * direction)
        corner_loss, corner_direction = self.ascend(tagger, corner, y, training)
        best, best_loss = better(box.x, clean_loss, corner, corner_loss)

        def advance(point, direction, best, best_loss):
            point = box.project(point + step * direction)
            loss, direction = self.ascend(tagger, point, y, training)
            return point, direction, *better(best, best_loss, point, loss)

        for number in range(self.restarts):
            point, start_direction = box.x, direction
            if number and number == self.restarts - 1:
                point, start_direction = corner, corner_direction
            elif self.random_start:
                point = box.project(box.x + box.budget * self._uniform(box.x))
                start_loss, start_direction = self.ascend(tagger, point, y, training)
                best, best_loss = better(best, best_loss, point, start_loss)
            _, _, best, best_loss = tf.while_loop(
                lambda *_: True,
                advance,
                (point, start_direction, best, best_loss),
                maximum_iterations=self.steps,
            )
        return best

    def get_config(self) -> dict:
        """Everything that `__init__` takes."""
        names = ("steps", "step_size", "random_start", "restarts")
        return super().get_config() | {name: getattr(self, name) for name in names}
