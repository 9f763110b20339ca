"""Attacks and distortions of jets, limited by a threat model, in physical units."""

import kerastag.backend  # noqa: F401  (before Keras is imported)
from kerastag.attacks.apgd import APGD
from kerastag.attacks.base import Attack, Objective
from kerastag.attacks.conditions import CLEAN, Condition, conditions
from kerastag.attacks.description import describe, untied
from kerastag.attacks.distortions import CorrelatedShift, Distortion, GaussianNoise, SystematicShift
from kerastag.attacks.exchange import Exchange
from kerastag.attacks.fgsm import FGSM, RandomStartFGSM
from kerastag.attacks.lost_and_fake import FakeTracks, TrackDropout
from kerastag.attacks.marginals import compare_marginals, marginal_preserving
from kerastag.attacks.ngm import NGM
from kerastag.attacks.objectives import OBJECTIVES
from kerastag.attacks.pgd import PGD
from kerastag.attacks.random_search import RandomSearch
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.attacks.shuffled import RDSA
from kerastag.attacks.threat_model import ThreatModel
from kerastag.attacks.transfer import Transfer
from kerastag.request import PAPER, PHYSICS, Physics

__all__ = [
    "APGD",
    "CLEAN",
    "FGSM",
    "NGM",
    "OBJECTIVES",
    "PAPER",
    "PGD",
    "PHYSICS",
    "RDSA",
    "Attack",
    "Condition",
    "CorrelatedShift",
    "Distortion",
    "Exchange",
    "FakeTracks",
    "GaussianNoise",
    "Objective",
    "Physics",
    "RandomSearch",
    "RandomStartFGSM",
    "SystematicShift",
    "ThreatModel",
    "TrackDropout",
    "Transfer",
    "attacked_features",
    "attacked_logits",
    "compare_marginals",
    "conditions",
    "describe",
    "marginal_preserving",
    "untied",
]
