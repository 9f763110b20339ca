"""Attacks by the short names that command lines and tables use."""

import re
from collections.abc import Callable

from kerastag.attacks.apgd import APGD
from kerastag.attacks.base import Attack
from kerastag.attacks.distortions import GaussianNoise, SystematicShift
from kerastag.attacks.fgsm import FGSM, RandomStartFGSM
from kerastag.attacks.ngm import NGM
from kerastag.attacks.pgd import PGD
from kerastag.attacks.threat_model import ThreatModel
from kerastag.errors import UserError

_PLAIN: dict[str, Callable[..., Attack]] = {"fgsm": FGSM, "ngm": NGM}
_SHIFTS = {"systematic-up": True, "systematic-down": False}


def named(name: str, threat_model: ThreatModel, objective: str = "cross_entropy", seed: int = 0) -> Attack:
    """An attack or distortion by name.

    "fgsm", "fgsm-rs" (random start), "ngm", "pgd-N" for PGD of N steps, "pgd-NxR" with R starts, "apgd-N"; "noise",
    "systematic-up" and "systematic-down", which move all features alike.

    Args:
        name: As above.
        threat_model: How far each cell may move.
        objective: What an attack increases.
        seed: Of random starts and of noise.

    Raises:
        UserError: if there is none of that name.
    """
    if name == "noise":
        return GaussianNoise(threat_model, seed)
    if name in _SHIFTS:
        return SystematicShift(threat_model, up=_SHIFTS[name])
    if name in _PLAIN:
        return _PLAIN[name](threat_model, objective)
    if name == "fgsm-rs":
        return RandomStartFGSM(threat_model, objective, seed=seed)
    steps = re.fullmatch(r"pgd-([1-9]\d{0,4})(?:x([2-9]|[1-9]\d))?", name)
    if steps:
        return PGD(threat_model, objective, steps=int(steps[1]), restarts=int(steps[2] or 1), seed=seed)
    steps = re.fullmatch(r"apgd-([1-9]\d{0,4})", name)
    if steps:
        return APGD(threat_model, objective, steps=int(steps[1]), seed=seed)
    raise UserError(
        f"There is no attack '{name}'; give fgsm, fgsm-rs, ngm, pgd-N or pgd-NxR for N steps and R starts, apgd-N, noise, "
        "systematic-up or systematic-down."
    )
