"""What a tagger must be like to be entered: outputs finite and the same each time, and gradients that attacks can follow.

Reference: what RobustBench admits, arXiv:2010.09670.
"""

import numpy as np

from kerastag.attacks import ThreatModel
from kerastag.errors import UserError
from kerastag.evaluation.diagnostics import Losses, zero_gradients
from kerastag.evaluation.taggers import Tagger
from kerastag.jets import Jets

# Jets that are looked at.
_JETS = 2000
# Largest difference between outputs of the same jets that rounding makes, relative to the largest output.
_ROUNDING = 1e-4


def check_conditions(tagger: Tagger, jets: Jets, threat_model: ThreatModel, has_gradient: bool = True) -> str:
    """Make sure that a tagger may be entered. That it optimises nothing in its forward pass is not looked at.

    Args:
        tagger: The tagger.
        jets: The jets; the first of them are looked at.
        threat_model: The box around each.
        has_gradient: Whether it should have gradients.

    Returns:
        A sentence that says what was looked at.

    Raises:
        UserError: if it may not.
    """
    x, y, name = jets.features[:_JETS], jets.y[:_JETS], tagger.name
    first, second = (tagger.logits(x) for _ in range(2))
    if unlike := np.count_nonzero(~np.isfinite(first).all(axis=1)):
        raise UserError(f"'{name}' cannot be entered: its outputs for {unlike:,} of {len(x):,} jets are not finite.")
    if np.abs(first - second).max() > _ROUNDING * np.abs(first).max():
        raise UserError(f"'{name}' cannot be entered: two calls with the same jets give different outputs.")
    if not has_gradient:
        return "Entry conditions: outputs are finite and the same each time. It has no gradient, so attacks may be weak."
    check = zero_gradients(Losses(tagger.attacked, x, y), threat_model)
    if not check.passed:
        raise UserError(
            f"'{name}' cannot be entered: {check.value:.1%} of its jets have no gradient, so no attack means anything."
        )
    return "Entry conditions: outputs are finite and the same each time, and gradients are not zero."
