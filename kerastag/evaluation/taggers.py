"""What is measured: a network, or boosted trees, which have no gradient: attacks that need one are made on a network."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from kerastag.attacks import Attack, attacked_features, attacked_logits
from kerastag.evaluation.stored_scores import ScoredJets
from kerastag.evaluation.trees import as_model, boosted_trees
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
        attacked: The network whose gradients attacks follow: itself, or another if it has none.
        asked: The tagger itself, for attacks that need no gradient.
    """

    name: str
    training: str
    logits: Callable[[np.ndarray], np.ndarray]
    attacked: keras.Model
    asked: keras.Model

    @classmethod
    def network(cls, model: keras.Model, training: str, seed: int = 1) -> "Tagger":
        """A network from raw features to logits, the `seed`-th of its training."""

        def logits(features: np.ndarray) -> np.ndarray:
            return attacked_logits(model, features, np.zeros((len(features), model.output_shape[-1]), np.float32), None)

        return cls(training if seed == 1 else f"{training}, seed {seed}", training, logits, model, model)

    @classmethod
    def trees(cls, train: Jets, attacked: keras.Model, seed: int = 0) -> "Tagger":
        """Boosted trees, trained here; attacks that need gradients follow those of a network."""
        logits = boosted_trees(train, seed)
        return cls(TREES, TREES, logits, attacked, as_model(logits, train.features.shape[1], train.classes))

    def under(self, attack: Attack | None, jets: Jets) -> np.ndarray:
        """Attacked features, float32 `(jets, features)`; the clean ones if `attack` is None."""
        source = self.asked if attack is not None and not attack.follows_gradient else self.attacked
        return attacked_features(source, jets.features, jets.y, attack)

    def of(self, jets: Jets, schema: Schema) -> ScoredJets:
        """Logits of jets in the form of stored scores: the same for every discriminator, and of all jets."""
        logits = self.logits(jets.features)
        return ScoredJets(dict.fromkeys(schema.discriminators, logits), np.ones(len(jets), bool), complete=True)
