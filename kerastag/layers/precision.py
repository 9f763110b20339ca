"""In which precision a tagger computes."""

import keras
import tensorflow as tf

from kerastag.errors import UserError

_HALF = {tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum}


def check_single(tagger: keras.Model, features: int) -> tf.TensorShape:
    """Refuse a tagger that computes in half precision anywhere, also inside of layers and of SavedModels.

    Attacks follow gradients far smaller than such numbers can be. Keras says the precision of a layer, but not what lies in it;
    the graph does.

    Args:
        tagger: From raw features to logits, built.
        features: Number of its inputs.

    Returns:
        Shape of its outputs.

    Raises:
        UserError: if it does.
    """
    signature = tf.TensorSpec((None, features), tf.float32)
    graph = tf.function(lambda x: tagger(x, training=False)).get_concrete_function(signature).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    for node in nodes:
        if any(value.type in _HALF for value in node.attr.values()):
            raise UserError(
                f"Attacks need float32, but '{tagger.name}' computes in half precision at '{node.name}'; "
                "build it under keras.config.set_dtype_policy('float32')."
            )
    return graph.outputs[0].shape
