"""The loss around a jet, in u = Δx/scale: its surface over two inputs, and how flat it is around many jets.

The surface of a jet proves nothing; gradient, curvature and rise of the loss over many jets do.

Reference: arXiv:2303.14511 for surfaces; Moosavi-Dezfooli et al., arXiv:1811.09716, for curvature; Pearlmutter, Neural
Computation 6 (1994) 147, for products of Hessian and vector, of which the power iteration is made.
"""

import keras
import numpy as np
import tensorflow as tf

from kerastag.attacks import FGSM, ThreatModel
from kerastag.attacks.threat_model import Box
from kerastag.layers.class_logits import flavour_logits
from kerastag.layers.graphs import as_traced
from kerastag.layers.memory import batches

QUANTITIES = ("gradient_norm", "curvature", "rise_random", "rise_adversarial")
_BATCH = 1024
_CORNERS = 10


def surface(
    tagger: keras.Model, x: np.ndarray, y: np.ndarray, columns: tuple[int, int], scale: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """Cross-entropy of one jet over two of its inputs, `(steps, steps)`; the first input along the columns.

    Args:
        tagger: From raw features to logits.
        x: Features of the jet, float32 `(features,)`.
        y: Its flavour, one-hot `(classes,)`.
        columns: Numbers of the two inputs.
        scale: `(features,)`.
        steps: Moves in units of the scale, `(steps,)`.
    """
    moved = np.tile(x, (len(steps), len(steps), 1))
    moved[:, :, columns[0]] += (steps * scale[columns[0]])[None, :].astype(np.float32)
    moved[:, :, columns[1]] += (steps * scale[columns[1]])[:, None].astype(np.float32)
    points = moved.reshape(-1, len(x))
    labels = np.tile(y, (len(points), 1)).astype(np.float32)
    losses = [_losses(tagger, *map(tf.constant, part)).numpy() for part in batches(tagger, points, labels)]
    return np.concatenate(losses).reshape(len(steps), len(steps))


def flatness(
    tagger: keras.Model, x: np.ndarray, y: np.ndarray, threat_model: ThreatModel, iterations: int = 50, seed: int = 0
) -> dict[str, np.ndarray]:
    """How flat the cross-entropy is around each jet, over the cells that may move.

    Args:
        tagger: From raw features to logits.
        x: Clean features, float32 `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        threat_model: Unit of u, frozen cells and size of the steps.
        iterations: Number of steps of each of the two power iterations.
        seed: Seed of their starts and of the random corners.

    Returns:
        `(jets,)` each: `gradient_norm` ‖∂J/∂u‖₂; `curvature`, the largest eigenvalue of ∂²J/∂u²; `rise_random`, mean of ΔJ at
        10 random corners of the box; `rise_adversarial`, ΔJ at FGSM's point.
    """
    fgsm = FGSM(threat_model)

    @tf.function(
        input_signature=[tf.TensorSpec((None, values.shape[1]), tf.float32) for values in (x, y)]
        + [tf.TensorSpec((), tf.int64)]
    )
    def measure(x: tf.Tensor, y: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        box = threat_model.box(x, y)
        free = tf.where(box.budget > 0, box.unit, 0.0)
        loss, gradient = fgsm.bind(tagger, y, box=box).gradient(x)
        draw = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int64), number)
        rise = tf.zeros_like(loss)
        for corner in range(_CORNERS):
            seed_of_corner = tf.random.experimental.stateless_fold_in(draw, corner)
            signs = tf.sign(tf.random.stateless_uniform(tf.shape(x), seed_of_corner, -1, 1))
            rise += _losses(tagger, box.complete(box.project(x + box.budget * signs)), y) - loss
        worst = box.complete(box.project(x + box.budget * tf.sign(gradient)))
        start = tf.random.stateless_normal(tf.shape(x), draw)
        return {
            "gradient_norm": tf.norm(gradient * free, axis=1),
            "curvature": _largest_eigenvalue(tagger, box, y, free, start, iterations),
            "rise_random": rise / _CORNERS,
            "rise_adversarial": _losses(tagger, worst, y) - loss,
        }

    numbers = np.arange(len(x), dtype=np.int64)
    with as_traced(len(x)):
        parts = [measure(*jets, number[0]) for *jets, number in batches(tagger, x, y, numbers, most=_BATCH)]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in QUANTITIES}


def _largest_eigenvalue(
    tagger: keras.Model, box: Box, y: tf.Tensor, free: tf.Tensor, start: tf.Tensor, iterations: int
) -> tf.Tensor:
    """Largest eigenvalue of the Hessian in u of each jet, `(batch,)`; `free` is the scale, 0 where a cell stays.

    The first iteration finds the eigenvalue of largest magnitude λ. The second finds that of H + |λ|, whose eigenvalue of
    largest magnitude is that of the largest eigenvalue of H.
    """
    x, complete = box.x, box.completer()

    def product(vector: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(x)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(x)
                loss = _losses(tagger, complete(x), y)
            along = tf.reduce_sum(inner.gradient(loss, x) * free * vector, axis=1)
        return outer.gradient(along, x, unconnected_gradients=tf.UnconnectedGradients.ZERO) * free

    def iterate(shift: tf.Tensor) -> tf.Tensor:
        vector = tf.math.l2_normalize(start * tf.sign(free), axis=1)
        value = tf.zeros_like(shift)

        def advance(vector: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = product(vector) + shift[:, None] * vector
            return tf.math.l2_normalize(image, axis=1), tf.reduce_sum(image * vector, axis=1)

        # One at a time: TensorFlow would hold what ten iterations need, 17 GB for 100 jets of CMS's RobustParTAK4.
        loop = {"maximum_iterations": iterations, "parallel_iterations": 1}
        return tf.while_loop(lambda *_: True, advance, (vector, value), **loop)[1]

    shift = tf.abs(iterate(tf.zeros_like(x[:, 0])))
    return iterate(shift) - shift


def _losses(tagger: keras.Model, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of each jet, `(batch,)`."""
    return tf.nn.softmax_cross_entropy_with_logits(y, flavour_logits(tagger, x, y))
