"""Graphs that are made for few calls."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_OPTION = "disable_meta_optimizer"
# Jets from which on an attack of twenty steps is quicker in a graph that TensorFlow has rewritten.
_MANY = 200_000


@contextlib.contextmanager
def as_traced(jets: int) -> Iterator[None]:
    """Graphs run as they were traced, unless they run on many jets.

    Before its first call TensorFlow rewrites a graph. With the loop of an attack it takes seconds, longer than the attack does
    on thousands of jets, which is then some percent quicker.

    Args:
        jets: How many jets the graph is called for, in all batches together.
    """
    before = tf.config.optimizer.get_experimental_options().get(_OPTION, False)
    tf.config.optimizer.set_experimental_options({_OPTION: before or jets < _MANY})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_OPTION: before})
