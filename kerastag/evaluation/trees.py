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
        probabilities = np.zeros((len(features), train.classes))
        with threadpoolctl.threadpool_limits(1):
            # Trees know no class that has no training jets.
            probabilities[:, trees.classes_] = trees.predict_proba(features)
        return np.log(np.maximum(probabilities, 1e-12))

    return logits
