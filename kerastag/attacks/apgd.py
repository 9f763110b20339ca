"""Auto-PGD: PGD whose step size needs no choice."""

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks.base import Objective, RandomAttack
from kerastag.attacks.objectives import ObjectiveFunction
from kerastag.attacks.pgd import better
from kerastag.attacks.threat_model import Box, ThreatModel
from kerastag.errors import UserError

# As published, section 3 and appendix A.
_MOMENTUM = 0.75
_ENOUGH = 0.75
_FIRST_CHECKPOINT, _SHORTER_BY, _SHORTEST = 0.22, 0.03, 0.06


def checkpoints(steps: int) -> np.ndarray:
    """Steps after which the step size may be halved, strictly rising from 0, the first step; equation (3)."""
    shares = [0.0, _FIRST_CHECKPOINT]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - _SHORTER_BY, _SHORTEST))
    return np.unique(np.ceil(np.round(np.array(shares) * steps, 6)).astype(int))  # 0.57 * 100 is a little above 57


@keras.saving.register_keras_serializable("kerastag")
class APGD(RandomAttack):
    """Sign steps with momentum; each jet halves its step and goes back to its best point where the loss no longer rises.

    The strong attack for tables. FGSM's point is among those tried.

    Reference: Croce and Hein, arXiv:2003.01690, algorithm 1.

    Args:
        threat_model: How far each cell may move.
        objective: What to increase, as of `Attack`.
        steps: Number of steps.
        restarts: How often to start from a random point.
        seed: Seed of the starts.
        labels: "true" or "predicted".

    Raises:
        UserError: if a number is out of range.
    """

    def __init__(
        self,
        threat_model: ThreatModel,
        objective: str | ObjectiveFunction = "cross_entropy",
        steps: int = 50,
        restarts: int = 1,
        seed: int = 0,
        labels: str = "true",
    ):
        super().__init__(threat_model, objective, labels, seed)
        if steps < 2 or restarts < 1:
            raise UserError(f"APGD needs `steps` of at least 2 and `restarts` of at least 1. Received: {steps}, {restarts}.")
        self.steps, self.restarts = steps, restarts

    @override
    def perturb(self, box: Box, objective: Objective) -> tf.Tensor:
        clean_loss, direction = objective.ascend(box.x)
        corner = box.corner(direction)
        corner_loss, _ = objective.ascend(corner)
        best, best_loss = better(box.x, clean_loss, corner, corner_loss)
        for _ in range(self.restarts):
            point, loss = self._climb(box, objective, self.random_point(box))
            best, best_loss = better(best, best_loss, point, loss)
        return best

    def _climb(self, box: Box, objective: Objective, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The best point from a start, `(batch, features)`, and its objective `(batch,)`."""
        at = checkpoints(self.steps)
        is_checkpoint = tf.constant(np.isin(np.arange(self.steps + 1), at[1:]))
        before = np.maximum.accumulate(np.where(np.isin(np.arange(self.steps + 1), at), np.arange(self.steps + 1), 0))
        length = tf.constant(np.arange(self.steps + 1) - np.append(0, before[:-1]), tf.float32)
        loss, direction = objective.ascend(start)
        none = tf.zeros_like(loss)
        state = {
            "number": tf.constant(0),
            "point": start,
            "last": start,
            "loss": loss,
            "direction": direction,
            "best": start,
            "best_direction": direction,
            "best_loss": loss,
            "size": none + 2.0,  # of a step, in budgets
            "rises": none,
            "size_then": none + 2.0,
            "best_then": loss,
        }

        def advance(state: dict) -> tuple[dict]:
            moved = self._moved(box, state)
            loss, direction = objective.ascend(moved)
            improves = loss > state["best_loss"]
            state = state | {
                "number": state["number"] + 1,
                "last": state["point"],
                "point": moved,
                "rises": state["rises"] + tf.cast(loss > state["loss"], tf.float32),
                "loss": loss,
                "direction": direction,
                "best": tf.where(improves[:, None], moved, state["best"]),
                "best_direction": tf.where(improves[:, None], direction, state["best_direction"]),
                "best_loss": tf.where(improves, loss, state["best_loss"]),
            }
            number = state["number"]
            return (_adapted(state, is_checkpoint[number], length[number]),)

        (state,) = tf.while_loop(lambda _: True, advance, (state,), maximum_iterations=self.steps)
        return state["best"], state["best_loss"]

    def _moved(self, box: Box, state: dict) -> tf.Tensor:
        """The next point: a sign step, and from the second on a share of the last move."""
        step = state["size"][:, None] * box.budget * state["direction"]
        stepped = box.project(state["point"] + step)
        share = tf.where(state["number"] == 0, 1.0, _MOMENTUM)
        return box.project(state["point"] + share * (stepped - state["point"]) + (1 - share) * (state["point"] - state["last"]))

    @override
    def get_config(self) -> dict:
        return super().get_config() | {"steps": self.steps, "restarts": self.restarts}


def _adapted(state: dict, at_checkpoint: tf.Tensor, length: tf.Tensor) -> dict:
    """The state after a step: at a checkpoint the jets that stopped rising halve their step and start again from their best.

    Args:
        state: As in `APGD._climb`.
        at_checkpoint: Whether this step is a checkpoint.
        length: Steps since the last one.
    """
    too_few = state["rises"] < _ENOUGH * length
    stuck = (state["size_then"] == state["size"]) & (state["best_then"] == state["best_loss"])
    halve = at_checkpoint & (too_few | stuck)
    size = tf.where(halve, state["size"] / 2, state["size"])
    return state | {
        "size_then": tf.where(at_checkpoint, state["size"], state["size_then"]),
        "best_then": tf.where(at_checkpoint, state["best_loss"], state["best_then"]),
        "size": size,
        "rises": tf.where(at_checkpoint, tf.zeros_like(state["rises"]), state["rises"]),
        "point": tf.where(halve[:, None], state["best"], state["point"]),
        "last": tf.where(halve[:, None], state["best"], state["last"]),
        "loss": tf.where(halve, state["best_loss"], state["loss"]),
        "direction": tf.where(halve[:, None], state["best_direction"], state["direction"]),
    }
