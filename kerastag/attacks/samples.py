"""Attacked features and logits of a whole sample."""

import weakref
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from kerastag.attacks.base import Attack
from kerastag.layers.class_logits import flavour_logits
from kerastag.layers.graphs import as_traced
from kerastag.layers.memory import jets_at_once
from kerastag.layers.mending import beyond_ranges

# Graphs of a tagger by attack and result, kept as long as the tagger lives.
_graphs: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def attacked_logits(
    tagger: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    attack: Attack | None,
    batch_size: int | None = None,
    strength: float = 1.0,
) -> np.ndarray:
    """Logits float32 `(jets, classes)`, by flavour, of attacked jets, or of clean ones if `attack` is None.

    Args:
        tagger: From raw features to logits; called in inference mode.
        x: Features of a data set, float32 `(jets, features)`; those beyond valid ranges are not mended.
        y: True flavours, one-hot `(jets, classes)`.
        attack: White-box attack on this tagger; its random draws start over, so the same call gives the same result.
        batch_size: Jets in memory at once; None for as many as the tagger can take.
        strength: Factor on ε. An attack of ε = 1 gives with it the numbers of one of that ε, and its graph, which takes as long
            to make as an attack on thousands of jets, serves all sizes.
    """

    def logits(model: keras.Model, x: tf.Tensor, y: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        attacked = x if attack is None else attack(model, x, y, strength=strength)
        with beyond_ranges():  # the jets may have been attacked before as well
            return flavour_logits(model, attacked, y)

    return _by_batches(tagger, x, y, attack, "logits", logits, batch_size, strength)


def attacked_features(
    tagger: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    attack: Attack | None,
    batch_size: int | None = None,
    strength: float = 1.0,
) -> np.ndarray:
    """Attacked features, float32 `(jets, features)`; `x` itself if `attack` is None. Arguments as of `attacked_logits`."""
    if attack is None:
        return x

    def features(model: keras.Model, x: tf.Tensor, y: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        return attack(model, x, y, strength=strength)

    return _by_batches(tagger, x, y, attack, "features", features, batch_size, strength)


def _by_batches(
    tagger: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    attack: Attack | None,
    kind: str,
    function: Callable,
    batch_size: int | None,
    strength: float,
) -> np.ndarray:
    """`function(tagger, x, y, strength)` of all jets; its graph is made once for a tagger, an attack and a kind of result."""
    of_tagger = _graphs.setdefault(tagger, {})
    # An attack may have got another threat model since.
    key = attack, kind, attack.fingerprint() if attack else ""
    if key not in of_tagger:
        # The graph must not keep its own key alive.
        weak = weakref.ref(tagger)
        # Traced once for batches of any size and attacks of any strength.
        specs = [tf.TensorSpec((None, values.shape[1]), tf.float32) for values in (x, y)]
        graph = tf.function(lambda x, y, strength: function(weak(), x, y, strength))
        of_tagger[key] = graph.get_concrete_function(*specs, tf.TensorSpec((), tf.float32))
    graph = of_tagger[key]
    if attack is not None:
        attack.restart()
    jets = batch_size or jets_at_once(tagger)
    batches = ([tf.constant(part[i : i + jets]) for part in (x, y)] for i in range(0, len(x), jets))
    with as_traced(len(x)):
        return np.concatenate([graph(*batch, tf.constant(strength, tf.float32)).numpy() for batch in batches])
