"""What is measured: a network, or boosted trees, which have no gradient and meet jets that were attacked on a network."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from kerastag.attacks import attacked_logits
from kerastag.evaluation.stored_scores import ScoredJets
from kerastag.evaluation.trees import boosted_trees
from kerastag.jets import Jets
from kerastag.schema import Schema

TREES = "boosted trees"


@dataclasses.dataclass(frozen=True)
class Tagger:
    """A tagger on features in memory.

    Attributes:
        name: For tables.
        training: Name that it shares with the other seeds of its training.
        logits: From features `(jets, features)` to logits `(jets, classes)`.
        attacked: The network on which its jets are attacked: itself, or another if it has no gradient.
    """

    name: str
    training: str
    logits: Callable[[np.ndarray], np.ndarray]
    attacked: keras.Model

    @classmethod
    def network(cls, model: keras.Model, training: str, seed: int = 1) -> "Tagger":
        """A network from raw features to logits, the `seed`-th of its training."""

        def logits(features: np.ndarray) -> np.ndarray:
            return attacked_logits(model, features, np.zeros((len(features), model.output_shape[-1]), np.float32), None)

        return cls(training if seed == 1 else f"{training}, seed {seed}", training, logits, model)

    @classmethod
    def trees(cls, train: Jets, attacked: keras.Model) -> "Tagger":
        """Boosted trees, trained here, on jets that are attacked on a network."""
        return cls(TREES, TREES, boosted_trees(train), attacked)

    def of(self, jets: Jets, schema: Schema) -> ScoredJets:
        """Logits of jets in the form of stored scores: the same for every discriminator, and of all jets."""
        logits = self.logits(jets.features)
        return ScoredJets(dict.fromkeys(schema.discriminators, logits), np.ones(len(jets), bool), complete=True)
