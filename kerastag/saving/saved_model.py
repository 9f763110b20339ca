"""Taggers as SavedModels, for experiments."""

import errno
import json
from pathlib import Path

import keras
import tensorflow as tf

from kerastag import checksums
from kerastag.files import replaced
from kerastag.layers.class_logits import class_names
from kerastag.schema import Schema
from kerastag.statistics import Statistics

ASSET = "kerastag.json"


def export(tagger: keras.Model, schema: Schema, statistics: Statistics, path: Path) -> None:
    """Write a SavedModel from raw features, float32 `(batch, features)` in schema order and physical units.

    Endpoints: `logits` and `probabilities`, `(batch, classes)`; `serving_default` is the latter. The asset `kerastag.json`
    holds the schema (defaults, integer flags), the statistics (scale) and the names of the tagger's classes: those of the
    schema, unless the tagger says otherwise by `ClassLogits`.

    Raises:
        UserError: if the tagger has not a logit for each class.
        OSError: if it cannot be written.
    """
    classes = class_names(tagger, schema.class_names)
    signature = [tf.TensorSpec((None, len(schema.features)), tf.float32, name="features")]
    module = tf.Module()
    module.tagger = tagger
    module.logits = tf.function(lambda features: tagger(features, training=False), input_signature=signature)
    module.probabilities = tf.function(
        lambda features: tf.nn.softmax(tagger(features, training=False)), input_signature=signature
    )
    signatures = {
        "serving_default": tf.function(
            lambda features: {"probabilities": module.probabilities(features)}, input_signature=signature
        ),
        "logits": tf.function(lambda features: {"logits": module.logits(features)}, input_signature=signature),
        "probabilities": tf.function(
            lambda features: {"probabilities": module.probabilities(features)}, input_signature=signature
        ),
    }
    with replaced(Path(path)) as new:
        asset = new.parent / ASSET
        content = {"schema": schema.to_dict(), "statistics": statistics.to_dict(), "classes": classes}
        asset.write_text(json.dumps(content))
        module.description = tf.saved_model.Asset(str(asset))
        # Without the gradient of `symlog` an exported tagger could not be attacked.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
        try:
            tf.saved_model.save(module, str(new), signatures=signatures, options=options)
        except tf.errors.OpError as error:  # what the system refused, in TensorFlow's words
            reason = str(error.message).rpartition("; ")[2].partition(" [Op:")[0]
            raise OSError(errno.EIO, reason or "cannot be written", str(path)) from error
        checksums.seal(new)
