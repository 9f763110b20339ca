"""What Keras' own step lacks where several devices make it."""

import keras
import tensorflow as tf

from kerastag.attacks.base import ReplicaSeeds


def for_mean(logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Logs of a step, of shape `(1,)` where several processes make it: Keras takes their mean along the first axis."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or not strategy.cluster_resolver.cluster_spec():
        return logs
    return {name: tf.expand_dims(value, 0) for name, value in logs.items()}


def make_ready(model: keras.Model) -> None:
    """What must be there before several devices train.

    Dropout and the like draw other numbers on each device, where all would drop the same cells of different jets. Variables of
    the optimizer are made, which a step of several devices cannot do.
    """
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return
    if not model.optimizer.built:
        with strategy.scope():
            model.optimizer.build(model.trainable_variables)
    for layer in model._flatten_layers():
        generator = getattr(layer, "seed_generator", None)
        if type(generator) is keras.random.SeedGenerator:
            # A layer that is built takes no other generator; this one has the same state and differs in `next` alone.
            generator.__class__ = ReplicaSeeds
