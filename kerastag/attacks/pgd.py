"""Projected gradient descent (ascent, of the loss)."""

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks.base import Objective, RandomAttack
from kerastag.attacks.objectives import ObjectiveFunction
from kerastag.attacks.threat_model import Box, ThreatModel
from kerastag.errors import UserError


def better(best: tf.Tensor, best_loss: tf.Tensor, point: tf.Tensor, loss: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """For each jet the point of larger objective, `(batch, features)` and `(batch,)`."""
    improves = loss > best_loss
    return tf.where(improves[:, None], point, best), tf.where(improves, loss, best_loss)


@keras.saving.register_keras_serializable("kerastag")
class PGD(RandomAttack):
    """Sign steps inside the box; of all points visited each jet keeps the one of largest objective.

    Reference: Madry et al., arXiv:1706.06083, section 2.1.

    Args:
        threat_model: How far each cell may move.
        objective: What to increase, as of `Attack`.
        steps: Number of steps.
        step_size: Size of a step in units of the box's half-width; None for 2.5/steps.
        random_start: Whether to start at a random point of the box rather than at the clean jet.
        restarts: How often to start; of several the last starts at FGSM's point, the others need random starts.
        seed: Seed of the random starts.
        labels: "true" or "predicted".
        try_corner: Whether FGSM's point is among those tried, so that PGD is never the weaker attack.

    Raises:
        UserError: if a number is out of range.
    """

    def __init__(
        self,
        threat_model: ThreatModel,
        objective: str | ObjectiveFunction = "cross_entropy",
        steps: int = 10,
        step_size: float | None = None,
        random_start: bool = True,
        restarts: int = 1,
        seed: int = 0,
        labels: str = "true",
        try_corner: bool = True,
    ):
        super().__init__(threat_model, objective, labels, seed)
        if steps < 1 or restarts < 1 or (step_size is not None and step_size <= 0):
            raise UserError(
                "PGD needs `steps` and `restarts` of at least 1 and a positive `step_size`. "
                f"Received: steps={steps}, restarts={restarts}, step_size={step_size}."
            )
        if restarts > 1 and not random_start:
            raise UserError("PGD restarts from the same point without `random_start`; set restarts=1.")
        if restarts > 1 and not try_corner:
            raise UserError("PGD with several starts has one at FGSM's point; set restarts=1 to leave that out.")
        self.steps, self.step_size, self.random_start, self.restarts = steps, step_size, random_start, restarts
        self.try_corner = try_corner

    @override
    def perturb(self, box: Box, objective: Objective) -> tf.Tensor:
        best, corner = box.x, box.x
        best_loss, direction = objective.ascend(box.x)
        if self.try_corner:
            corner = box.corner(direction)
            corner_loss, _ = objective.ascend(corner)
            best, best_loss = better(best, best_loss, corner, corner_loss)
        for number in range(self.restarts):
            start = box.x
            if number and number == self.restarts - 1:
                start = corner
            elif self.random_start:
                start = self.random_point(box)
            point, loss = self.climb(box, objective, start)
            best, best_loss = better(best, best_loss, point, loss)
        return best

    def climb(self, box: Box, objective: Objective, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The best point on the way from a start in the box, `(batch, features)`, and its objective `(batch,)`."""
        step = box.budget * (self.step_size or 2.5 / self.steps)
        loss, direction = objective.ascend(start)

        def advance(point: tf.Tensor, direction: tf.Tensor, best: tf.Tensor, best_loss: tf.Tensor) -> tuple[tf.Tensor, ...]:
            point = box.project(point + step * direction)
            loss, direction = objective.ascend(point)
            return point, direction, *better(best, best_loss, point, loss)

        _, _, best, best_loss = tf.while_loop(
            lambda *_: True, advance, (start, direction, start, loss), maximum_iterations=self.steps
        )
        return best, best_loss

    @override
    def get_config(self) -> dict:
        names = ("steps", "step_size", "random_start", "restarts", "try_corner")
        return super().get_config() | {name: getattr(self, name) for name in names}
