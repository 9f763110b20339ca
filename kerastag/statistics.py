"""Location and scale of each feature over the jets that have it; cells at their default are left out."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Statistics of a training split, for models and threat models; float64 `(features,)` each.

    Attributes:
        mean: Mean.
        sigma: Standard deviation; 0 where a feature is constant or always absent.
        median: Median.
        iqr: Interquartile range.
        default_fraction: Share of jets in which the feature is at its default.
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
        """Statistics of some features.

        Args:
            columns: Numbers or a mask of the features.
        """
        return Statistics(**{name: values[columns] for name, values in dataclasses.asdict(self).items()})

    def to_dict(self) -> dict[str, list[float]]:
        """Statistics as lists, for JSON."""
        return {name: values.tolist() for name, values in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, list[float]]) -> "Statistics":
        """The inverse of `to_dict`."""
        return cls(**{name: np.array(values, np.float64) for name, values in content.items()})


class Moments:
    """Running mean and standard deviation, in one pass and float64.

    Chunks are merged by the pairwise update of Chan, Golub and LeVeque (1979), which stays precise where the mean is much
    larger than σ.

    Args:
        defaults: float32 `(features,)`; cells that equal them are left out.

    Attributes:
        mean: Mean, float64 `(features,)`; 0 where a feature is always at its default.
    """

    def __init__(self, defaults: np.ndarray):
        self._defaults = defaults
        self._count = np.zeros(len(defaults), np.int64)
        self._jets = 0
        self._squares = np.zeros(len(defaults))
        self.mean = np.zeros(len(defaults))

    def update(self, features: np.ndarray) -> None:
        """Add jets, float32 `(jets, features)`."""
        present = features != self._defaults
        count = present.sum(axis=0)
        values = np.where(present, features, 0).astype(np.float64)
        mean = values.sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(present, values - mean, 0) ** 2).sum(axis=0)
        self._merge(len(features), count, mean, squares)

    def merge(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Add the jets of other moments, as `arrays` gives them."""
        jets, count, mean, squares = int(arrays["jets"]), arrays["count"], arrays["mean"], arrays["squares"]
        if self._jets:
            self._merge(jets, count, mean, squares)
        else:  # to the bit
            self._jets, self._count, self.mean, self._squares = jets, count.copy(), mean.copy(), squares.copy()

    def arrays(self) -> dict[str, np.ndarray]:
        """What `merge` takes: the number of jets, and by feature those that have it, mean and sum of squared deviations."""
        return {"jets": np.array(self._jets), "count": self._count, "mean": self.mean, "squares": self._squares}

    def _merge(self, jets: int, count: np.ndarray, mean: np.ndarray, squares: np.ndarray) -> None:
        total = np.maximum(self._count + count, 1)
        shift = mean - self.mean
        self._squares += squares + shift**2 * self._count * count / total
        self.mean += shift * count / total
        self._count += count
        self._jets += jets

    @property
    def jets(self) -> int:
        """Number of jets so far."""
        return self._jets

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviation, float64 `(features,)`; 0 where a feature is always at its default."""
        return np.sqrt(self._squares / np.maximum(self._count, 1))

    @property
    def default_fraction(self) -> np.ndarray:
        """Share of jets in which a feature is at its default, float64 `(features,)`."""
        return 1 - self._count / max(self._jets, 1)


def quartiles(features: np.ndarray, defaults: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and interquartile range of each feature; 0 where it is always at its default.

    Args:
        features: float32 `(jets, features)`.
        defaults: float32 `(features,)`.

    Returns:
        Two float64 arrays `(features,)`.
    """
    first, median, third = np.zeros((3, len(defaults)))
    for column, values in _present_values(features, defaults):
        first[column], median[column], third[column] = np.quantile(values, [0.25, 0.5, 0.75])
    return median, third - first


def core_sigma(features: np.ndarray, defaults: np.ndarray) -> np.ndarray:
    """Standard deviation of the values between the 20 % and 80 % quantiles of each feature, float64 `(features,)`; 0 for none.

    Args:
        features: float32 `(jets, features)`.
        defaults: float32 `(features,)`.
    """
    sigma = np.zeros(len(defaults))
    for column, values in _present_values(features, defaults):
        low, high = np.quantile(values, [0.2, 0.8])
        inside = values[(values >= low) & (values <= high)]
        sigma[column] = inside.std() if len(inside) else 0.0  # two values have none between
    return sigma


def _present_values(features: np.ndarray, defaults: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Column and values, float64 `(jets that have it,)`, of each feature that some jet has."""
    for column, default in enumerate(defaults):
        values = features[:, column]
        values = values[values != default].astype(np.float64)
        if len(values):
            yield column, values


def correlations(features: np.ndarray, defaults: np.ndarray) -> np.ndarray:
    """Linear correlations, float64 `(features, features)`; an absent cell counts as the feature's mean.

    Args:
        features: float32 `(jets, features)`.
        defaults: float32 `(features,)`.
    """
    present = features != defaults
    mean = np.where(present, features, 0).sum(axis=0, dtype=np.float64) / np.maximum(present.sum(axis=0), 1)
    centred = np.where(present, features - mean, 0)
    sigma = np.sqrt((centred**2).mean(axis=0))
    unit = centred / np.where(sigma > 0, sigma, 1)
    return unit.T @ unit / len(features)
