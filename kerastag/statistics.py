"""Location and scale of each feature over the training jets that have it; defaults are left out everywhere."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What a model and a threat model must know of a training split; float64 `(features,)` each.

    Attributes:
        mean: Mean.
        sigma: Standard deviation; 0 where a feature is constant or always absent.
        median: Median.
        iqr: Interquartile range.
        default_fraction: Share of jets in which the feature is its default.
    """

    mean: np.ndarray
    sigma: np.ndarray
    median: np.ndarray
    iqr: np.ndarray
    default_fraction: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, defaults: np.ndarray) -> "Statistics":
        """Statistics of jets in memory.

        Args:
            features: float32 `(jets, features)`, physical units.
            defaults: float32 `(features,)`.
        """
        moments = Moments(defaults)
        moments.update(features)
        median, iqr = quartiles(features, defaults)
        return cls(moments.mean, moments.sigma, median, iqr, moments.default_fraction)

    def take(self, columns: np.ndarray) -> "Statistics":
        """Those of some features."""
        return Statistics(**{name: values[columns] for name, values in dataclasses.asdict(self).items()})

    def to_dict(self) -> dict[str, list[float]]:
        """Plain lists, for JSON."""
        return {name: values.tolist() for name, values in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, list[float]]) -> "Statistics":
        """The inverse of `to_dict`."""
        return cls(**{name: np.array(values, np.float64) for name, values in content.items()})


class Moments:
    """Running mean and standard deviation, in one pass and float64.

    Chunks are merged by the pairwise update of Chan, Golub and LeVeque (1979), which keeps its precision where the mean
    is large against σ.
    """

    def __init__(self, defaults: np.ndarray):
        """Args: defaults: float32 `(features,)`."""
        self._defaults = defaults
        self._present = np.zeros(len(defaults), np.int64)
        self._jets = 0
        self._squares = np.zeros(len(defaults))
        self.mean = np.zeros(len(defaults))

    def update(self, features: np.ndarray) -> None:
        """Add jets, float32 `(jets, features)`."""
        here = features != self._defaults
        present = here.sum(axis=0)
        values = np.where(here, features, 0).astype(np.float64)
        mean = values.sum(axis=0) / np.maximum(present, 1)
        squares = (np.where(here, values - mean, 0) ** 2).sum(axis=0)
        total = np.maximum(self._present + present, 1)
        shift = mean - self.mean
        self._squares += squares + shift**2 * self._present * present / total
        self.mean += shift * present / total
        self._present += present
        self._jets += len(features)

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviation, float64 `(features,)`; 0 where a feature is always its default."""
        return np.sqrt(self._squares / np.maximum(self._present, 1))

    @property
    def default_fraction(self) -> np.ndarray:
        """Share of jets in which a feature is its default, float64 `(features,)`."""
        return 1 - self._present / max(self._jets, 1)


def quartiles(features: np.ndarray, defaults: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and interquartile range of each feature; 0 where it is always its default.

    Args:
        features: float32 `(jets, features)`.
        defaults: float32 `(features,)`.

    Returns:
        Two float64 arrays `(features,)`.
    """
    found = np.zeros((3, len(defaults)))
    for column, default in enumerate(defaults):
        values = features[:, column]
        values = values[values != default]
        if len(values):
            found[:, column] = np.quantile(values.astype(np.float64), [0.25, 0.5, 0.75])
    return found[1], found[2] - found[0]


def core_sigma(features: np.ndarray, defaults: np.ndarray) -> np.ndarray:
    """Standard deviation of the values between the 20 % and 80 % quantiles of each feature, float64 `(features,)`.

    Args:
        features: float32 `(jets, features)`.
        defaults: float32 `(features,)`, left out.
    """
    found = np.zeros(len(defaults))
    for column, default in enumerate(defaults):
        values = features[:, column]
        values = values[values != default].astype(np.float64)
        if len(values):
            low, high = np.quantile(values, [0.2, 0.8])
            found[column] = values[(values >= low) & (values <= high)].std()
    return found


def correlations(features: np.ndarray, defaults: np.ndarray) -> np.ndarray:
    """Linear correlations, float64 `(features, features)`; absent cells count as the mean of the others.

    Args:
        features: float32 `(jets, features)`.
        defaults: float32 `(features,)`.
    """
    here = features != defaults
    mean = np.where(here, features, 0).sum(axis=0, dtype=np.float64) / np.maximum(here.sum(axis=0), 1)
    centred = np.where(here, features - mean, 0)
    sigma = np.sqrt((centred**2).mean(axis=0))
    unit = centred / np.where(sigma > 0, sigma, 1)
    return unit.T @ unit / len(features)
