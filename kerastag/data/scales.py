"""Units of ε, one for each feature, from the training jets that have it."""

import typing

import numpy as np

from kerastag.statistics import core_sigma

if typing.TYPE_CHECKING:
    from kerastag.data.dataset import JetDataset


def sigma(dataset: "JetDataset") -> np.ndarray:
    """Standard deviation, float64 `(features,)`."""
    return dataset.statistics.sigma


def core(dataset: "JetDataset") -> np.ndarray:
    """Standard deviation of the values between the 20 % and 80 % quantiles, float64 `(features,)`.

    CMS takes it for DeepJet. It is σ where all these values are the same.
    """
    core = core_sigma(dataset.arrays("train").features, dataset.schema.defaults)
    return np.where(core > 0, core, dataset.statistics.sigma)
