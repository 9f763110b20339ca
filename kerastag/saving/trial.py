"""Whether a network can be stored and read again, found out before it is trained."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from kerastag.errors import UserError
from kerastag.layers.precision import precisions
from kerastag.saving.loading import load
from kerastag.saving.saved_model import export
from kerastag.schema import Schema
from kerastag.statistics import Statistics

# Relative and absolute difference of logits that rounding makes.
_OF_FLOAT32, _OF_16_BITS = 1e-4, 5e-2


def check_storable(tagger: keras.Model, schema: Schema, statistics: Statistics) -> None:
    """Store a tagger as a run does, read it again and compare the outputs.

    Args:
        tagger: From raw features to logits, as it is before its training.
        schema: Schema of the features.
        statistics: Statistics of the training jets.

    Raises:
        UserError: if it cannot be stored or read, or what is read gives something else.
    """
    x = np.stack([statistics.median, statistics.mean]).astype(np.float32)
    expected = np.asarray(tagger(x))
    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder) / "tagger.keras", Path(folder) / "saved_model")
        try:
            tagger.save(files[0])
            again = [load(files[0])]
            export(tagger, schema, statistics, files[1])
            again.append(load(files[1]))
        except Exception as error:  # Keras and TensorFlow raise a dozen kinds
            raise _not_storable(tagger, str(error).replace(folder, "the run's folder")) from error
        # Of 16 bits, a graph rounds fewer intermediate values than the layers one by one.
        in_graph = _OF_16_BITS if precisions(tagger) else _OF_FLOAT32
        for file, model, tolerance in zip(files, again, (_OF_FLOAT32, in_graph), strict=True):
            if not np.allclose(np.asarray(model(x)), expected, rtol=tolerance, atol=tolerance, equal_nan=True):
                raise _not_storable(tagger, f"as {file.name} it gives other outputs.")


def _not_storable(tagger: keras.Model, reason: str) -> UserError:
    (reason, *_) = [*reason.strip().splitlines(), ""]
    return UserError(
        f"'{tagger.name}' could not be read again after its training, so it is not trained: {reason[:300]} Register each class "
        "of its own with keras.saving.register_keras_serializable(), let get_config give what its __init__ takes, and use no "
        "Lambda."
    )
