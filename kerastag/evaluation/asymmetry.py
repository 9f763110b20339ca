"""Does an attack push flavours in a direction? Mean signed shift over mean absolute shift, by flavour and feature.

On a nominal tagger FGSM is reported to invert physics (light jets towards positive d0, b jets the other way), on an
adversarially trained one to be symmetric: arXiv:2203.13890, section 5.
"""

import dataclasses

import numpy as np

from kerastag.flavours import FLAVOURS
from kerastag.metrics import Bootstrap, Interval

# Fewer moved cells of a flavour than this, and its asymmetry is left out: half of it would be chance.
_FEWEST = 100


@dataclasses.dataclass(frozen=True)
class Asymmetry:
    """How directed the shifts are.

    Attributes:
        by_feature: Mean signed over mean absolute shift, `(flavours, features)`; NaN where hardly anything moves.
        against_physics: The same of b and light jets, signed so that 1 means every cell moves towards the other flavour's mean,
            `(features,)`.
        magnitude: Mean over features of the absolute asymmetry, of each flavour that moves; 0 is symmetric, 1 all one way.
        inversion: Mean over features of `against_physics`.
    """

    by_feature: np.ndarray
    against_physics: np.ndarray
    magnitude: dict[str, Interval]
    inversion: Interval


def asymmetry(x: np.ndarray, attacked: np.ndarray, label: np.ndarray, default: np.ndarray, bootstrap: Bootstrap) -> Asymmetry:
    """Measure the direction of an attack.

    Args:
        x: Clean features, `(jets, features)`.
        attacked: Attacked ones.
        label: Class indices b, c, light, `(jets,)`.
        default: `(features,)`, values of absent cells.
        bootstrap: Resamples for the intervals, and the weights.
    """
    shift = attacked.astype(np.float64) - x
    size = np.abs(shift).max(axis=0)
    shift /= np.where(size > 0, size, 1)  # ratios do not care, sums over features would
    magnitude = np.abs(shift)
    belongs = np.stack([label == number for number in range(len(FLAVOURS))]).astype(np.float64)
    enough = belongs @ (shift != 0) >= _FEWEST
    towards_b = _direction(x, label, default, bootstrap.weights)

    def of(weights: np.ndarray) -> np.ndarray:
        share = belongs * weights
        total = share @ magnitude
        return np.where(enough & (total > 0), share @ shift / np.where(total > 0, total, 1), np.nan)

    def against(found: np.ndarray) -> np.ndarray:
        return towards_b * (found[2] - found[0]) / 2

    found = of(bootstrap.weights)
    resampled = bootstrap.values(of)
    return Asymmetry(
        found,
        against(found),
        {
            name: Interval.of(_mean(np.abs(found[row])), np.array([_mean(np.abs(one[row])) for one in resampled]))
            for row, name in enumerate(FLAVOURS)
            if np.isfinite(found[row]).any()
        },
        Interval.of(_mean(against(found)), np.array([_mean(against(one)) for one in resampled])),
    )


def _direction(x: np.ndarray, label: np.ndarray, default: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sign of the difference of the means of b and of light jets, `(features,)`, over the cells that are present."""
    here = x != default
    means = []
    for number in (FLAVOURS.index("b"), FLAVOURS.index("light")):
        own = here * (weights * (label == number))[:, None]
        means.append((own * x).sum(axis=0) / np.maximum(own.sum(axis=0), 1e-30))
    return np.sign(means[0] - means[1])


def _mean(values: np.ndarray) -> float:
    """Mean without NaN; NaN if nothing else is there."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
