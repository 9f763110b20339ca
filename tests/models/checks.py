"""One harness for every model: what any tagger must do, whoever made it."""

import dataclasses
from collections.abc import Callable, Iterator
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


def made_up(schema: Schema, jets: int = 120, seed: int = 0, filled: bool = False) -> np.ndarray:
    """Features `(jets, features)`, some slots filled or all; whole or positive numbers where others mean nothing."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(jets, len(schema.features))).astype(np.float32)
    for column, feature in enumerate(schema.features):
        if feature.integer:
            x[:, column] = np.rint(abs(2 * x[:, column]))
        if feature.valid_min == 0 or feature.variable.endswith("_pt"):
            x[:, column] = abs(x[:, column]) + 0.1
    objects = {group.name: generator.integers(0, (group.slots or 0) + 1, jets) for group in schema.groups}
    for column, feature in enumerate(schema.features):
        if feature.slot is not None and not filled:
            x[:, column] = np.where(feature.slot < objects[feature.group], x[:, column], feature.default)
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
    differences = parity(model, folder / "saved_model", folder / "model.onnx", x)
    print(f"{model.name}: " + ", ".join(f"{name} is {value:.1e} from Keras" for name, value in differences.items()))
    assert max(differences.values()) < 1e-5


def check_step(model: keras.Model, x: np.ndarray) -> None:
    """One step of training moves every weight."""
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.CategoricalCrossentropy(from_logits=True))
    before = [weight.numpy() for weight in model.trainable_weights]
    model.train_on_batch(x, labels(len(x), model.output_shape[-1]))
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert (weight.numpy() != old).any(), f"{weight.path} is dead"
    assert np.isfinite(model(x)).all()


@dataclasses.dataclass(frozen=True)
class Change:
    """How far the logits of a model moved, `largest`, and how large they are, `of`."""

    largest: float
    of: float

    def __str__(self) -> str:
        return f"{self.largest:.1e} of {self.of:.2g}"


def check_order(build: Build, schema: Schema, x: np.ndarray | None = None) -> None:
    """The order of the slots does not matter to logits; see `check_change` for what that means in float32.

    Args:
        build: Makes the model.
        schema: Schema of its inputs.
        x: Jets `(jets, features)`; None for made-up ones.
    """
    x = made_up(schema) if x is None else x
    for model in in_both_precisions(build, schema):
        check_change(change_by_order(model, schema, x), model, "slots in another order")


def check_empty_slots(build: Build, schema: Schema, more: int = 3) -> None:
    """Slots without objects at the end of each group do not matter to logits; see `check_change`."""
    longer, x = with_more_slots(schema, more), made_up(schema)
    for model, other in zip(in_both_precisions(build, schema), in_both_precisions(build, longer), strict=True):
        other.set_weights(model.get_weights())
        check_change(change_by_empty_slots(model, other, schema, longer, x), model, f"{more} more empty slots")


def check_change(change: Change, model: keras.Model, what: str) -> None:
    """Logits change by less than 1e-6 where hidden layers compute in float64, and by less than 4e-6 of the largest in float32.

    The first is the symmetry itself. In float32 sums in another order, or of more terms, are rounded otherwise: neighbours of a
    logit of 24 are 2e-6 from it, so 1e-6 cannot hold there. The largest that was seen is 2e-6 of the largest logit.
    """
    exact = model.dtype_policy.compute_dtype == "float64"
    print(f"{model.name}, hidden layers in {model.dtype_policy.name}: {what} change logits by {change}")
    assert change.largest < (1e-6 if exact else 4e-6 * change.of)


def in_both_precisions(build: Build, schema: Schema) -> Iterator[keras.Model]:
    """The model with hidden layers in float32 and in float64, with the same weights, biases and moments among them not 0."""
    model = build(schema, flat_statistics(schema))
    stir(model)
    yield model
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        exact = build(schema, flat_statistics(schema))
    finally:
        keras.config.set_dtype_policy(before)
    exact.set_weights(model.get_weights())
    yield exact


def stir(model: keras.Model, seed: int = 0) -> None:
    """Move every weight a little: where biases are 0, as before training, so are codes of empty slots, masked or not."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        moved = weight.numpy() + 0.1 * generator.normal(size=weight.shape)
        weight.assign(abs(moved) + 0.1 if weight.name == "moving_variance" else moved)


def change_by_order(model: keras.Model, schema: Schema, x: np.ndarray) -> Change:
    """Largest change of logits when the slots of each group are in other orders, three times."""
    expected, generator, largest = np.asarray(model(x)), np.random.default_rng(1), 0.0
    for _ in range(3):
        x = permuted(x, schema, generator)
        largest = max(largest, float(abs(np.asarray(model(x)) - expected).max()))
    return Change(largest, float(abs(expected).max()))


def change_by_empty_slots(model: keras.Model, other: keras.Model, schema: Schema, longer: Schema, x: np.ndarray) -> Change:
    """Largest change of logits from a model to the same on the `longer` schema, with empty slots at the end of each group."""
    expected = np.asarray(model(x))
    difference = np.asarray(other(appended(x, schema, longer))) - expected
    return Change(float(abs(difference).max()), float(abs(expected).max()))


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
