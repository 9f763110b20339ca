"""Gradient-boosted trees, as a physicist would try them first."""

from collections.abc import Callable

import numpy as np

from kerastag.jets import Jets


def boosted_trees(train: Jets, seed: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Train scikit-learn's gradient-boosted trees with their default settings.

    Args:
        train: Training jets.
        seed: Seed of the training.

    Returns:
        A function from features `(jets, features)` to logits `(jets, classes)`.
    """
    import threadpoolctl
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Threads wait for each other at every split, so one that shares its core stops all.
    with threadpoolctl.threadpool_limits(1):
        trees = HistGradientBoostingClassifier(random_state=seed).fit(train.features, train.label)

    def logits(features: np.ndarray) -> np.ndarray:
        with threadpoolctl.threadpool_limits(1):
            return np.log(np.maximum(trees.predict_proba(features), 1e-12))

    return logits
