"""Published networks of JetClass as taggers, from raw features of the schema `jetclass`."""

from pathlib import Path

import keras

from kerastag.errors import UserError
from kerastag.layers import ClassLogits, JetClassInputs, Mend, PresenceFlags
from kerastag.models.published import published
from kerastag.schema import Schema


def published_tagger(path: str | Path, schema: Schema, neighbours: int = 16) -> keras.Model:
    """A network with weights that were trained on JetClass, behind a layer that makes its inputs of raw features.

    The authors give their networks 128 particles, the schema `jetclass` has the 32 of largest momentum: with a schema of more
    slots the network sees more of a jet.

    Example:
    ```python
    schema = kerastag.schema.get("jetclass")
    models.published_tagger("ParticleNet_full.npz", schema).save("particle_net.keras")
    ```

    Args:
        path: `.npz` file as `published` takes it.
        schema: Schema with the names and classes of `jetclass`, in its order.
        neighbours: Of each particle in ParticleNet.

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`.

    Raises:
        UserError: if the file is none of these networks, or the schema lacks a feature or has other classes.
    """
    slots = next((group.slots for group in schema.groups if group.name == "particle"), None)
    network = published(path, slots or 1, neighbours)
    make_inputs = JetClassInputs.from_schema(schema, network.input["features"].shape[-1], name="inputs")
    classes = network.output_shape[-1]
    if classes != len(schema.classes):
        raise UserError(f"'{path}' has {classes} logits, but {schema.name} has {len(schema.classes)} classes.")
    inputs = keras.Input((len(schema.features),), name="features")
    features = Mend.from_schema(schema, name="mended")(inputs)
    parts = make_inputs(features, PresenceFlags(_particles(schema), schema.defaults, name="present")(features))
    logits = network({name: parts[name] for name in network.input})
    return keras.Model(inputs, ClassLogits(schema.class_names, name="logits")(logits), name=network.name)


def _particles(schema: Schema) -> list[tuple[int, ...]]:
    """Columns of each particle."""
    return [objects for objects in schema.optional_objects if schema.features[objects[0]].group == "particle"]
