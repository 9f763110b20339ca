"""Attacks and distortions of jets, limited by a threat model, in physical units."""

from kerastag.attacks.apgd import APGD
from kerastag.attacks.base import Attack
from kerastag.attacks.description import describe
from kerastag.attacks.distortions import CorrelatedShift, Distortion, GaussianNoise, SystematicShift
from kerastag.attacks.fgsm import FGSM, RandomStartFGSM
from kerastag.attacks.marginals import compare_marginals, marginal_preserving
from kerastag.attacks.names import named
from kerastag.attacks.ngm import NGM
from kerastag.attacks.objectives import OBJECTIVES
from kerastag.attacks.pgd import PGD
from kerastag.attacks.threat_model import ThreatModel
from kerastag.attacks.transfer import Transfer

__all__ = [
    "APGD",
    "FGSM",
    "NGM",
    "OBJECTIVES",
    "PGD",
    "Attack",
    "CorrelatedShift",
    "Distortion",
    "GaussianNoise",
    "RandomStartFGSM",
    "SystematicShift",
    "ThreatModel",
    "Transfer",
    "compare_marginals",
    "describe",
    "marginal_preserving",
    "named",
]
