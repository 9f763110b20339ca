"""One harness for every model: what any tagger must do, whoever made it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerastag.attacks import ThreatModel
from kerastag.request import Physics
from kerastag.saving.onnx import export_onnx, parity
from kerastag.saving.saved_model import export
from kerastag.schema import JET_FLAVOR, Group, Schema, Variable
from kerastag.schema.structure import Kinematics
from kerastag.statistics import Statistics

Build = Callable[[Schema, Statistics], keras.Model]


def particles(slots: int = 6, further: int = 1, momentum: bool = True) -> Schema:
    """Jets of one group of particles, with directions and momenta, and `further` variables."""
    names = ["delta_eta", "delta_phi", "pt", *(f"more{number}" for number in range(further))]
    variables = tuple(Variable(f"particle_{{slot}}_{name}", name) for name in names)
    where = Kinematics(
        "particle", "particle_{slot}_delta_eta", "particle_{slot}_delta_phi", ("particle_{slot}_pt",) if momentum else ()
    )
    group = Group("particle", variables, slots=slots)
    return Schema(name="particles", groups=(group,), classes=JET_FLAVOR.classes, kinematics=(where,))


def made_up(schema: Schema, jets: int = 120, seed: int = 0) -> np.ndarray:
    """Features `(jets, features)`, filled slots first; whole or positive numbers where others mean nothing."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(jets, len(schema.features))).astype(np.float32)
    for column, feature in enumerate(schema.features):
        if feature.integer:
            x[:, column] = np.rint(abs(2 * x[:, column]))
        if feature.valid_min == 0 or feature.variable.endswith("_pt"):
            x[:, column] = abs(x[:, column]) + 0.1
    filled = {group.name: generator.integers(0, (group.slots or 0) + 1, jets) for group in schema.groups}
    for column, feature in enumerate(schema.features):
        if feature.slot is not None:
            x[:, column] = np.where(feature.slot < filled[feature.group], x[:, column], feature.default)
    return x


def flat_statistics(schema: Schema) -> Statistics:
    return Statistics(*(np.full(len(schema.features), value) for value in (0.0, 1.0, 0.0, 1.0, 0.0)))


def labels(jets: int, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[np.arange(jets) % classes]


def check_model(build: Build, schema: Schema, folder: Path, trained: bool = True) -> None:
    """Everything but symmetries.

    Args:
        build: Makes the model.
        schema: Schema of its inputs, with classes as many as its logits.
        folder: For files.
        trained: Whether it can be trained; legacy taggers are frozen.
    """
    keras.utils.set_random_seed(3)
    model = build(schema, flat_statistics(schema))
    x = made_up(schema)
    check_logits(model, x, schema)
    check_gradients(model, x, schema)
    check_stored(model, x, schema, folder)
    if trained:
        check_step(model, x)


def check_logits(model: keras.Model, x: np.ndarray, schema: Schema) -> None:
    """A finite logit for each class, also far out, for empty jets and for what files may hold."""
    classes = model(x).shape[-1]
    assert model(x[:1]).shape == (1, classes)
    far = np.concatenate([x * 1e6, x * -1e6, 0 * x, np.broadcast_to(schema.defaults, x.shape)])
    assert np.isfinite(model(far)).all()
    assert probabilities(model, x).std(axis=0).max() > 1e-4, "the model does not look at its inputs"
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6, atol=1e-6)


def check_gradients(model: keras.Model, x: np.ndarray, schema: Schema) -> None:
    """Finite everywhere, and not 0 for any continuous input."""
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(tf.math.log_softmax(model(inputs, training=False))[:, 0])
    gradient = tape.gradient(loss, inputs).numpy()
    assert np.isfinite(gradient).all()
    dead = [name for name, moves in zip(schema.names, (gradient != 0).any(axis=0), strict=True) if not moves]
    continuous = {feature.name for feature in schema.features if not feature.integer}
    assert not continuous & set(dead)


def check_stored(model: keras.Model, x: np.ndarray, schema: Schema, folder: Path) -> None:
    """The same from `.keras`, SavedModel and ONNX."""
    model.save(folder / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(folder / "model.keras")(x), model(x))
    export(model, schema, flat_statistics(schema), folder / "saved_model")
    export_onnx(model, schema, folder / "model.onnx")
    assert max(parity(model, folder / "saved_model", folder / "model.onnx", x).values()) < 1e-5


def check_step(model: keras.Model, x: np.ndarray) -> None:
    """One step of training moves every weight."""
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.CategoricalCrossentropy(from_logits=True))
    before = [weight.numpy() for weight in model.trainable_weights]
    model.train_on_batch(x, labels(len(x), model.output_shape[-1]))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert (weight.numpy() != old).any(), f"{weight.path} is dead"
    assert np.isfinite(model(x)).all()


def check_order(model: keras.Model, schema: Schema) -> None:
    """The order of the slots does not matter."""
    x = made_up(schema)
    expected = probabilities(model, x)
    generator = np.random.default_rng(1)
    for _ in range(3):
        x = permuted(x, schema, generator)
        np.testing.assert_allclose(probabilities(model, x), expected, rtol=0, atol=1e-6)


def permuted(x: np.ndarray, schema: Schema, generator: np.random.Generator) -> np.ndarray:
    """The same jets with the slots of each group in another order."""
    x, first = x.copy(), 0
    for group in schema.groups:
        width = len(group.variables) * (group.slots or 1)
        if group.slots:
            part = x[:, first : first + width].reshape(len(x), -1, group.slots)
            x[:, first : first + width] = part[:, :, generator.permutation(group.slots)].reshape(len(x), width)
        first += width
    return x


def check_empty_slots(build: Build, schema: Schema, more: int = 3) -> None:
    """Slots without objects at the end do not matter."""
    longer = with_more_slots(schema, more)
    model, other = build(schema, flat_statistics(schema)), build(longer, flat_statistics(longer))
    other.set_weights(model.get_weights())
    x = made_up(schema)
    np.testing.assert_allclose(probabilities(other, appended(x, schema, longer)), probabilities(model, x), rtol=0, atol=1e-6)


def with_more_slots(schema: Schema, more: int = 3) -> Schema:
    """The schema with `more` slots in each group that has some."""
    groups = tuple(dataclasses.replace(group, slots=group.slots and group.slots + more) for group in schema.groups)
    return dataclasses.replace(schema, groups=groups)


def appended(x: np.ndarray, schema: Schema, longer: Schema) -> np.ndarray:
    """Jets of a schema as one with more slots holds them, which are empty."""
    full = np.tile(longer.defaults, (len(x), 1)).astype(np.float32)
    for column, name in enumerate(schema.names):
        full[:, longer.index(name)] = x[:, column]
    return full


def probabilities(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return tf.nn.softmax(model(x)).numpy()


def threat_model(schema: Schema, epsilon: float = 0.1) -> ThreatModel:
    return ThreatModel.from_schema(schema, np.ones(len(schema.features)), epsilon, physics=Physics(bounds=False))
