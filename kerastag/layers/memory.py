"""How many jets a tagger can take at once."""

import math
from collections.abc import Iterator

import keras
import numpy as np

# What gradients, temporary values and parts of layers need beside each layer's output, found by measuring.
_BESIDE = 6
_BYTES = 4
_MEMORY, _MOST = 2 * 2**30, 8192


def jets_at_once(tagger: keras.Model) -> int:
    """Jets in a batch such that their gradient needs about 2 GiB, 8,192 at most.

    Args:
        tagger: From raw features to logits; one that Keras knows no layers' outputs of counts as small.
    """
    return max(1, min(_MOST, _MEMORY // max(1, _numbers(tagger) * _BYTES * _BESIDE)))


def batches(tagger: keras.Model, *arrays: np.ndarray, most: int = _MOST) -> Iterator[tuple[np.ndarray, ...]]:
    """The same jets of arrays `(jets, …)`, as many at once as the tagger can take, `most` at most."""
    jets = min(most, jets_at_once(tagger))
    return (tuple(values[start : start + jets] for values in arrays) for start in range(0, len(arrays[0]), jets))


def _numbers(tagger: keras.Model) -> int:
    """Numbers in the outputs of all layers, for one jet."""
    total = 0
    for operation in getattr(tagger, "operations", ()):
        try:
            outputs = keras.tree.flatten(operation.output)
        except ValueError:  # it is used several times, or was not called
            continue
        # Sizes that are not known are those of the batch, or few.
        total += sum(math.prod(size or 1 for size in output.shape[1:]) for output in outputs)
        total += _numbers(operation) if isinstance(operation, keras.Model) else 0
    return total
