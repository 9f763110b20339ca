"""Training: the adversarial tagger, its defences, callbacks and checkpoints, and what settings are turned into."""

import kerastag.backend  # noqa: F401  (before Keras is imported)
from kerastag.training.adversarial_tagger import AdversarialTagger
from kerastag.training.bounded_loss import BoundedLoss
from kerastag.training.callbacks import AttackedAUC, FiniteWeights
from kerastag.training.curvature import CURE
from kerastag.training.defenses import TRADES, AttackedBatches, Defense, InputGradientPenalty, Ramp
from kerastag.training.free import FreeBatches
from kerastag.training.unlabelled import Consistency, DomainAdversarial
from kerastag.training.weight_shifts import ASAM, AWP, SAM

__all__ = [
    "ASAM",
    "AWP",
    "CURE",
    "SAM",
    "TRADES",
    "AdversarialTagger",
    "AttackedAUC",
    "AttackedBatches",
    "BoundedLoss",
    "Consistency",
    "Defense",
    "DomainAdversarial",
    "FiniteWeights",
    "FreeBatches",
    "InputGradientPenalty",
    "Ramp",
]
