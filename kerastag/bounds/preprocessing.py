"""Limits of what the first layers of a tagger calculate from raw features, over a box of these."""

import numpy as np
import tensorflow as tf

from kerastag.bounds.nodes import Node, root
from kerastag.layers import Mend, PresenceFlags, Standardize, TrackQuantities, symlog
from kerastag.layers import track_quantities as quantities

# Lower and upper limits.
Ends = tuple[tf.Tensor, tf.Tensor]


def mended(layer: Mend, node: Node) -> Node:
    """Mended features; where some value of a cell's interval may be mended, the default belongs to it as well."""
    passes = layer.right(node.low) & layer.right(node.high) & ~_contains(node, layer.marks)
    low, high = (tf.clip_by_value(end, *layer.valid) for end in (node.low, node.high))
    # A cell of one value is mended or not.
    low, high = tf.where(node.fixed, layer.default, low), tf.where(node.fixed, layer.default, high)
    return root(
        tf.where(passes, node.low, tf.minimum(low, layer.default)),
        tf.where(passes, node.high, tf.maximum(high, layer.default)),
    )


def standardized(layer: Standardize, node: Node) -> Node:
    """Scaled features; the default within a cell's interval belongs to it as 0."""
    low, high = ((end - np.float32(layer.center)) * np.float32(1 / layer.scale) for end in (node.low, node.high))
    if layer.default is not None:
        low, high = _with_zero(low, high, _contains(node, layer.default), _fixed_at(node, layer.default))
    return root(*((symlog(low), symlog(high)) if layer.compress else (low, high)))


def present(layer: PresenceFlags, node: Node) -> Node:
    """Flags, 0 to 1 where all cells of an object may come to their defaults."""
    differs = tf.cast(~_contains(node, layer.default), node.low.dtype)
    may_differ = tf.cast(~_fixed_at(node, layer.default), node.low.dtype)
    return root(*(tf.cast(tf.matmul(cells, layer.belongs) > 0, node.low.dtype) for cells in (differs, may_differ)))


def track_quantities(layer: TrackQuantities, node: Node) -> Node:
    """The five quantities of each track, by the rules of intervals."""
    helix = {
        name: tuple(tf.gather(end, columns, axis=1) for end in (node.low, node.high)) for name, columns in layer.helix.items()
    }
    eta = node.low[:, layer.jet_eta, None], node.high[:, layer.jet_eta, None]
    variance, default = root(*helix["d0_variance"]), np.array(layer.absent, np.float32)
    may_be_absent, absent = _contains(variance, default), _fixed_at(variance, default)
    # What stands in an absent track may be without any meaning, and is not used.
    helix = {name: tuple(tf.where(absent, tf.ones_like(end), end) for end in ends) for name, ends in helix.items()}
    delta_eta, pt = _direction(helix["theta"], helix["q_over_p"], eta)
    d0 = _significance(helix["d0"], helix["d0_variance"], quantities.SMALLEST_D0_VARIANCE)
    z0 = _significance(helix["z0"], helix["z0_variance"], quantities.SMALLEST_Z0_VARIANCE)
    sign = tf.sign(helix["phi"][0]), tf.sign(helix["phi"][1])
    squares = [_square(ends) for ends in (helix["phi"], delta_eta)]
    delta_r = tuple(5 * tf.sqrt(one + other + quantities.SMALLEST_SQUARE) for one, other in zip(*squares, strict=True))
    every = [_product(d0, sign), _absolute(d0), _absolute(z0), (tf.math.log(pt[0]), tf.math.log(pt[1])), delta_r]
    low, high = (tf.concat([ends[number] for ends in every], axis=1) for number in (0, 1))
    return root(*_with_zero(low, high, *(tf.tile(flag, (1, len(every))) for flag in (may_be_absent, absent))))


def _direction(theta: Ends, q_over_p: Ends, eta: Ends) -> tuple[Ends, Ends]:
    """Δη and pT as `kerastag.layers.track_quantities.direction` has them.

    Δη falls with θ. Its slope in η is sin(polar angle of the axis)/sin(polar angle of the track) - 1, near 0, so that it is
    enclosed from the middle of the interval of η.
    """
    eta = tuple(tf.clip_by_value(end, -quantities.LARGEST_ETA, quantities.LARGEST_ETA) for end in eta)
    axis = tuple(2 * tf.math.atan(tf.exp(-end)) for end in (eta[1], eta[0]))
    smallest = quantities.SMALLEST_THETA
    polar = tuple(tf.clip_by_value(one + other, smallest, np.pi - smallest) for one, other in zip(theta, axis, strict=True))
    sine, sine_of_axis = _sine(polar), _sine(axis)
    middle, half = (eta[0] + eta[1]) / 2, (eta[1] - eta[0]) / 2
    slope = tf.maximum(tf.abs(sine_of_axis[0] / sine[1] - 1), tf.abs(sine_of_axis[1] / sine[0] - 1))
    # Where the polar angle is clipped its slope is 0, that of Δη -1.
    clipped = (theta[0] + axis[0] < smallest) | (theta[1] + axis[1] > np.pi - smallest)
    reach = tf.where(clipped, tf.maximum(slope, 1.0), slope) * half
    ends = [quantities.direction(end, tf.ones_like(end), middle)[0] for end in (theta[1], theta[0])]
    curvature = tuple(tf.maximum(end, quantities.SMALLEST_CURVATURE) for end in _absolute(q_over_p))
    return (ends[0] - reach, ends[1] + reach), (sine[0] / curvature[1], sine[1] / curvature[0])


def _sine(angle: Ends) -> Ends:
    """Of angles between 0 and π, where it rises up to π/2 and falls."""
    ends = tf.sin(angle[0]), tf.sin(angle[1])
    across = (angle[0] < np.pi / 2) & (angle[1] > np.pi / 2)
    return tf.minimum(*ends), tf.where(across, tf.ones_like(ends[0]), tf.maximum(*ends))


def _significance(value: Ends, variance: Ends, smallest: float) -> Ends:
    """symlog(value/σ) with a smallest variance."""
    inverse = tuple(1 / tf.sqrt(tf.maximum(end, smallest)) for end in (variance[1], variance[0]))
    return tuple(symlog(end) for end in _product(value, inverse))


def _product(one: Ends, other: Ends) -> Ends:
    ends = tf.stack([a * b for a in one for b in other])
    return tf.reduce_min(ends, axis=0), tf.reduce_max(ends, axis=0)


def _absolute(value: Ends) -> Ends:
    ends = tf.abs(value[0]), tf.abs(value[1])
    across = (value[0] < 0) & (value[1] > 0)
    return tf.where(across, tf.zeros_like(ends[0]), tf.minimum(*ends)), tf.maximum(*ends)


def _square(value: Ends) -> Ends:
    low, high = _absolute(value)
    return low**2, high**2


def _contains(node: Node, value: np.ndarray) -> tf.Tensor:
    """Whether a cell may have a value, bool; never NaN."""
    return (node.low <= value) & (value <= node.high)


def _fixed_at(node: Node, value: np.ndarray) -> tf.Tensor:
    """Whether a cell has no other value, bool."""
    return tf.equal(node.low, value) & tf.equal(node.high, value)


def _with_zero(low: tf.Tensor, high: tf.Tensor, may_be: tf.Tensor, surely: tf.Tensor) -> Ends:
    """Limits that take 0 in where it may be the value, and are 0 where it surely is."""
    zero = tf.zeros_like(low)
    return (
        tf.where(surely, zero, tf.where(may_be, tf.minimum(low, zero), low)),
        tf.where(surely, zero, tf.where(may_be, tf.maximum(high, zero), high)),
    )
