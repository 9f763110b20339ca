"""Gradient-boosted trees, as a physicist would try them first."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

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


def as_model(logits: Callable[[np.ndarray], np.ndarray], features: int, classes: int) -> keras.Model:
    """A model from raw features to logits that can be asked, but has no gradient and cannot be saved.

    Args:
        logits: From features `(jets, features)` to logits `(jets, classes)`.
        features: Number of features.
        classes: Number of classes.
    """
    inputs = keras.Input((features,))
    return keras.Model(inputs, _Asked(logits, classes)(inputs))


class _Asked(keras.layers.Layer):
    """A function outside of TensorFlow."""

    def __init__(self, logits: Callable[[np.ndarray], np.ndarray], classes: int):
        super().__init__()
        self._logits, self._classes = logits, classes

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        def asked(features: np.ndarray) -> np.ndarray:
            return self._logits(features).astype(np.float32)

        outputs = tf.numpy_function(asked, [inputs], tf.float32, stateful=False)
        return tf.ensure_shape(outputs, (None, self._classes))

    @override
    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape[0], self._classes
