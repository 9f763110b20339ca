"""Does an attack push flavours in a direction? Mean signed shift over mean absolute shift, by flavour and feature.

On a nominal tagger FGSM is reported to invert physics (light jets towards positive d0, b jets the other way), on an
adversarially trained one to be symmetric: arXiv:2203.13890, section 5.
"""

import dataclasses

import numpy as np

from kerastag.metrics import Bootstrap
from kerastag.results import Interval, NotDefined, Resampled
from kerastag.schema import Separation

# Fewer moved cells of a flavour than this, and its asymmetry is left out: half of it would be chance.
_FEWEST = 100


@dataclasses.dataclass(frozen=True)
class Asymmetry:
    """How directed the shifts are.

    Attributes:
        by_feature: Mean signed over mean absolute shift, `(flavours, features)`; NaN where hardly anything moves.
        against_physics: The same of the jets to find and to reject, b and light ones, signed so that 1 means every cell moves
            towards the mean of the other side, `(features,)`.
        magnitude: Mean over features of the absolute asymmetry, of each flavour that moves; 0 is symmetric, 1 all one way.
        inversion: Mean over features of `against_physics`.
    """

    by_feature: np.ndarray
    against_physics: np.ndarray
    magnitude: dict[str, Interval]
    inversion: Resampled | NotDefined


def asymmetry(
    x: np.ndarray, attacked: np.ndarray, label: np.ndarray, default: np.ndarray, bootstrap: Bootstrap, separation: Separation
) -> Asymmetry:
    """Measure the direction of an attack.

    Args:
        x: Clean features, `(jets, features)`.
        attacked: Attacked features, `(jets, features)`.
        label: Class indices, `(jets,)`.
        default: `(features,)`, values of absent cells.
        bootstrap: Resamples for the intervals, and the weights.
        separation: The discriminator whose sides are pushed, usually the main one of the schema.
    """
    shift = attacked.astype(np.float64) - x
    largest = np.abs(shift).max(axis=0)
    shift /= np.where(largest > 0, largest, 1)  # ratios do not care, sums over features would
    size = np.abs(shift)
    classes = [label == number for number in range(len(separation.class_names))]
    # Behind the classes the two sides, which may be several of them together.
    of_flavour = np.stack([*classes, *(np.isin(label, side) for side in separation.columns)]).astype(np.float64)
    enough = of_flavour @ (shift != 0) >= _FEWEST
    towards_b = _direction(x, of_flavour[-2:], default, bootstrap.weights)

    def by_feature(weights: np.ndarray) -> np.ndarray:
        weights_of_flavour = of_flavour * weights
        total = weights_of_flavour @ size
        return np.where(enough & (total > 0), weights_of_flavour @ shift / np.where(total > 0, total, 1), np.nan)

    asymmetries, resampled = by_feature(bootstrap.weights), bootstrap.values(by_feature)
    against, resampled_against = (_against_physics(values, towards_b) for values in (asymmetries, resampled))
    magnitude = {
        flavour: _over_features(np.abs(asymmetries[number]), np.abs(resampled[:, number])).interval
        for number, flavour in enumerate(separation.class_names)
        if np.isfinite(asymmetries[number]).any()
    }
    if not np.isfinite(against).any():
        inversion: Resampled | NotDefined = NotDefined(f"fewer than {_FEWEST} cells of a side move in every input")
    else:
        inversion = _over_features(against, resampled_against)
    return Asymmetry(asymmetries[: len(classes)], against, magnitude, inversion)


def _direction(x: np.ndarray, sides: np.ndarray, default: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sign of the difference of the means of both sides `(2, jets)`, `(features,)`, over the cells that are present."""
    present = x != default
    means = []
    for side in sides:
        cell_weights = present * (weights * side)[:, None]
        means.append((cell_weights * x).sum(axis=0) / np.maximum(cell_weights.sum(axis=0), 1e-30))
    return np.sign(means[0] - means[1])


def _against_physics(asymmetries: np.ndarray, towards_b: np.ndarray) -> np.ndarray:
    """How far both sides, the last two rows of `(…, flavours, features)`, are pushed towards each other, `(…, features)`."""
    found, rejected = asymmetries[..., -2, :], asymmetries[..., -1, :]
    return towards_b * (rejected - found) / 2


def _over_features(values: np.ndarray, resampled: np.ndarray) -> Resampled:
    """Mean of values `(features,)` and of each resample `(replicates, features)`."""
    return Resampled(_mean(values), np.array([_mean(replicate) for replicate in resampled]))


def _mean(values: np.ndarray) -> float:
    """Mean of the finite values; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
