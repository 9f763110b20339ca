"""Logits of a whole sample, clean or attacked."""

import weakref

import keras
import numpy as np
import tensorflow as tf

from kerastag.attacks import Attack
from kerastag.class_logits import matching

# A graph per tagger and attack, kept as long as both live.
_graphs: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def attacked_logits(
    tagger: keras.Model, x: np.ndarray, y: np.ndarray, attack: Attack | None, batch_size: int = 8192
) -> np.ndarray:
    """Logits float32 `(jets, classes)`, by flavour, of attacked jets, or of clean ones if `attack` is None.

    Args:
        tagger: From raw features to logits; called in inference mode.
        x: Clean features, float32 `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        attack: White-box attack on this tagger; its random draws start over, so the same call gives the same result.
        batch_size: Jets in memory at once.
    """
    graph = _graph(tagger, attack, x, y)
    if attack is not None:
        attack.restart()
    batches = range(0, len(x), batch_size)
    return np.concatenate(
        [graph(tf.constant(x[i : i + batch_size]), tf.constant(y[i : i + batch_size])).numpy() for i in batches]
    )


def _graph(tagger: keras.Model, attack: Attack | None, x: np.ndarray, y: np.ndarray):
    of_tagger = _graphs.setdefault(tagger, {})
    if attack not in of_tagger:
        # The graph must not keep its own key alive.
        weak = weakref.ref(tagger)

        def logits(x, y):
            model = weak()
            return matching(model(x if attack is None else attack(model, x, y), training=False), y, model)

        # Traced once for batches of any size.
        batches = [tf.TensorSpec((None, values.shape[1]), tf.float32) for values in (x, y)]
        of_tagger[attack] = tf.function(logits).get_concrete_function(*batches)
    return of_tagger[attack]
