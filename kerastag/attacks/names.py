"""Attacks by the short names that command lines and tables use."""

import re

from kerastag.attacks.base import Attack
from kerastag.attacks.fgsm import FGSM
from kerastag.attacks.pgd import PGD
from kerastag.attacks.threat_model import ThreatModel
from kerastag.errors import UserError


def named(name: str, threat_model: ThreatModel) -> Attack:
    """The attack called "fgsm", or "pgd-N" for PGD of N steps.

    Raises:
        UserError: if there is none of that name.
    """
    if name == "fgsm":
        return FGSM(threat_model)
    steps = re.fullmatch(r"pgd-([1-9]\d{0,4})", name)
    if steps is None:
        raise UserError(f"There is no attack '{name}'; give fgsm, or pgd-N for PGD of N steps, such as pgd-20.")
    return PGD(threat_model, steps=int(steps[1]))
