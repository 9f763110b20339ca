"""Passes through a tagger of which its variables notice nothing, and passes at other weights than its own."""

import contextlib
import threading
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

# A variable, and the value that it seems to have.
Values = Sequence[tuple[keras.Variable, tf.Tensor]]

# Replicas of a distributed training are traced in threads of their own.
_here = threading.local()


@contextlib.contextmanager
def aside(values: Values = ()) -> Iterator[keras.StatelessScope]:
    """What is assigned inside stays inside, such as moving averages and states of dropout: two passes then drop the same cells.

    Args:
        values: What some variables are inside; inside of another such block its values hold as well.
    """
    outer = getattr(_here, "values", ())
    _here.values = [*outer, *values]
    try:
        with keras.StatelessScope(state_mapping=_here.values) as scope:
            yield scope
    finally:
        _here.values = outer


@contextlib.contextmanager
def shifted(shifts: Values, states: Values) -> Iterator[None]:
    """Inside, `at_shifted_weights` has an effect.

    Args:
        shifts: Weights, and how far each is moved.
        states: Values of other variables, as `aside` takes them.
    """
    _here.step = shifts, states
    try:
        yield
    finally:
        _here.step = None


@contextlib.contextmanager
def at_shifted_weights() -> Iterator[None]:
    """Inside of `shifted` weights are moved, and a gradient in them is that at the moved ones; elsewhere nothing happens."""
    if (step := getattr(_here, "step", None)) is None:
        yield
        return
    shifts, states = step
    # Added up here, so that the tape of the step sees it.
    with aside([*((weight, weight.value + tf.stop_gradient(shift)) for weight, shift in shifts), *states]):
        yield
