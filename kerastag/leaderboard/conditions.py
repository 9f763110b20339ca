"""What a tagger must be like to be entered: outputs finite and the same each time, and gradients that attacks can follow.

Reference: what RobustBench admits, arXiv:2010.09670.
"""

import keras
import numpy as np

from kerastag.attacks import ThreatModel, attacked_logits
from kerastag.errors import UserError
from kerastag.evaluation.diagnostics import Losses, zero_gradients
from kerastag.jets import Jets

# Jets that are looked at.
_JETS = 2000
# Largest difference between outputs of the same jets that rounding makes, relative to the largest output.
_ROUNDING = 1e-4
MET = "Entry conditions: outputs are finite and the same each time, and gradients are not zero."


def check_conditions(name: str, tagger: keras.Model, jets: Jets, threat_model: ThreatModel) -> None:
    """Make sure that a tagger may be entered. That it optimises nothing in its forward pass is not looked at.

    Args:
        name: Name of the tagger.
        tagger: From raw features to logits.
        jets: The jets; the first of them are looked at.
        threat_model: The box around each.

    Raises:
        UserError: if it may not.
    """
    x, y = jets.features[:_JETS], jets.y[:_JETS]
    first, second = (attacked_logits(tagger, x, y, None) for _ in range(2))
    if unlike := np.count_nonzero(~np.isfinite(first).all(axis=1)):
        raise UserError(f"'{name}' cannot be entered: its outputs for {unlike:,} of {len(x):,} jets are not finite.")
    if np.abs(first - second).max() > _ROUNDING * np.abs(first).max():
        raise UserError(f"'{name}' cannot be entered: two calls with the same jets give different outputs.")
    check = zero_gradients(Losses(tagger, x, y), threat_model)
    if not check.passed:
        raise UserError(
            f"'{name}' cannot be entered: {check.value:.1%} of its jets have no gradient, so no attack means anything."
        )
