"""What no attack can go below: areas under bounds on how far logits can move."""

import numpy as np

from kerastag.jets import Jets
from kerastag.metrics import RankedPair
from kerastag.results import NotDefined
from kerastag.schema import Separation


def certified_auc(jets: Jets, logits: np.ndarray, largest_change: np.ndarray, separation: Separation) -> float | NotDefined:
    """Area of a discriminator if every jet moved against it as far as its bound allows.

    The logarithm of the ratio of a discriminator's sides moves by twice the bound at most, since that is what both logsumexp
    can part by.

    Args:
        jets: The jets, with labels and weights.
        logits: Their clean logits `(jets, classes)`.
        largest_change: Bound on the change of each logit, `(jets,)`.
        separation: The discriminator.
    """
    over, against = separation.columns
    sign = np.isin(jets.label, over).astype(np.int8) - np.isin(jets.label, against)
    moved = logits.astype(np.float64)
    for columns, direction in ((over, -1), (against, 1)):
        moved[:, columns] += (direction * sign * largest_change)[:, None]
    return RankedPair(jets.label, moved, separation).auc(jets.weights)
