"""Attacks on taggers, limited by a threat model, in physical units."""

from kerastag.attacks.base import Attack
from kerastag.attacks.fgsm import FGSM
from kerastag.attacks.names import named
from kerastag.attacks.objectives import OBJECTIVES
from kerastag.attacks.pgd import PGD
from kerastag.attacks.threat_model import ThreatModel

__all__ = ["FGSM", "OBJECTIVES", "PGD", "Attack", "ThreatModel", "named"]
