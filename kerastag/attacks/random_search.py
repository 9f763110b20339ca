"""An attack that asks a tagger for its outputs alone, for those without gradients, and for gradients that mislead."""

import keras
import tensorflow as tf
from typing_extensions import override

from kerastag.attacks.base import Objective, RandomAttack
from kerastag.attacks.objectives import ObjectiveFunction
from kerastag.attacks.pgd import better
from kerastag.attacks.threat_model import Box, ThreatModel
from kerastag.errors import UserError

# Share of the cells that the first query may move, and halvings of it until the last.
_FIRST_SHARE, _HALVINGS = 0.5, 4


@keras.saving.register_keras_serializable("kerastag")
class RandomSearch(RandomAttack):
    """Moves some cells to ends of their range at random, and keeps for each jet what raises the objective.

    It starts at the clean jet. The share of cells that a query may move falls, as in the reference; its schedule here is
    geometric.

    Reference: Andriushchenko et al., arXiv:1912.00049, section 3.1, on features instead of squares of an image.

    Args:
        threat_model: How far each cell may move.
        objective: What to increase, as of `Attack`.
        queries: How often the tagger is asked.
        seed: Seed of the draws.
        labels: "true" or "predicted".

    Raises:
        UserError: if `queries` is below 1.
    """

    follows_gradient = False

    def __init__(
        self,
        threat_model: ThreatModel,
        objective: str | ObjectiveFunction = "cross_entropy",
        queries: int = 100,
        seed: int = 0,
        labels: str = "true",
    ):
        super().__init__(threat_model, objective, labels, seed)
        if queries < 1:
            raise UserError(f"RandomSearch needs `queries` of at least 1. Received: queries={queries}.")
        self.queries = queries

    @override
    def perturb(self, box: Box, objective: Objective) -> tf.Tensor:
        seed, shape = self.seed_generator.next(), tf.concat([[2], tf.shape(box.x)], axis=0)

        def ask(query: tf.Tensor, best: tf.Tensor, best_value: tf.Tensor) -> tuple[tf.Tensor, ...]:
            draws = tf.random.stateless_uniform(shape, tf.random.experimental.stateless_fold_in(seed, query))
            chance, direction = tf.unstack(draws)
            share = _FIRST_SHARE * 2.0 ** (-_HALVINGS * tf.cast(query, tf.float32) / self.queries)
            ends = box.corner(tf.sign(direction - 0.5))
            point = tf.where(chance < share, ends, best)
            return query + 1, *better(best, best_value, point, objective.value(box.complete(point)))

        start = tf.constant(0), box.x, objective.value(box.complete(box.x))
        return tf.while_loop(lambda *_: True, ask, start, maximum_iterations=self.queries)[1]

    @override
    def get_config(self) -> dict:
        return super().get_config() | {"queries": self.queries}
