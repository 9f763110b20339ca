"""Training on two replicas, which here are two halves of one CPU: the same update as on one device with the whole batch.

In a process of its own, since TensorFlow divides a device before it uses any.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from kerastag.attacks import FGSM, PGD, GaussianNoise
from kerastag.attacks import NGM, ThreatModel
from kerastag.request import Physics
from kerastag.training import (
    ASAM, AWP, CURE, SAM, TRADES, AdversarialTagger, AttackedBatches, BoundedLoss, InputGradientPenalty, Ramp
)
from tests.toy import SCALE, TOY, toy_threat_model

generator = np.random.default_rng(3)
x = (generator.normal(size=(64, 20)) * SCALE).astype(np.float32)
y = np.eye(3, dtype=np.float32)[np.arange(64) % 3]
w = generator.uniform(0.5, 2, 64).astype(np.float32)
still = PGD(toy_threat_model(), steps=2, random_start=False, try_corner=False, objective="+BvL")
DEFENSES = {
    "nominal": lambda: None,
    "fgsm": lambda: AttackedBatches(FGSM(toy_threat_model())),
    "fgsm-mixed": lambda: AttackedBatches(FGSM(toy_threat_model()), "mean"),
    "ngm": lambda: AttackedBatches(NGM(toy_threat_model())),
    "trades": lambda: TRADES(still),
    "input_gradient": lambda: InputGradientPenalty(toy_threat_model(), 2.0),
    "cure": lambda: CURE(toy_threat_model(0.5), 10.0),
    "sam": lambda: SAM(0.5),
    "asam": lambda: ASAM(0.5),
    "crown-ibp": lambda: BoundedLoss(ThreatModel.from_schema(TOY, SCALE, 0.1, physics=Physics(untied=True))),
    "awp": lambda: AWP(AttackedBatches(FGSM(toy_threat_model())), 0.2),
}

def change(defense, strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        tagger = keras.Sequential([keras.Input((20,)), keras.layers.Rescaling(1 / SCALE), keras.layers.Dense(8, "elu")])
        tagger.add(keras.layers.Dense(3))
        model = AdversarialTagger(tagger, defense=DEFENSES[defense]())
        model.compile(keras.optimizers.SGD(1.0), keras.losses.CategoricalCrossentropy(from_logits=True))
    before = tagger.get_weights()
    model.fit(tf.data.Dataset.from_tensor_slices((x, y, w)).batch(64), verbose=0)
    return [new - old for new, old in zip(tagger.get_weights(), before)]

one, two = tf.distribute.OneDeviceStrategy("/cpu:0"), tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
result = {"replicas": two.num_replicas_in_sync}
for defense in DEFENSES:
    pairs = zip(change(defense, one), change(defense, two))
    result[defense] = max(float(abs(b - a).max() / abs(a).max()) for a, b in pairs)

with two.scope():
    noise, ramp = GaussianNoise(toy_threat_model()), Ramp(random=True)
halves = two.run(lambda: noise(None, tf.constant(x), tf.constant(y)))
strengths = two.run(lambda: ramp(tf.constant(0)))
first, second = (part.numpy() for part in two.experimental_local_results(halves))
result["noise"] = [float(abs(first - second).max()), float(abs(np.corrcoef((first - x).ravel(), (second - x).ravel())[0, 1]))]
result["strengths"] = [float(value) for value in two.experimental_local_results(strengths)]

with two.scope():
    attack = AttackedBatches(FGSM(toy_threat_model()))
    inputs = keras.Input((20,))
    dropped = keras.layers.Dropout(0.5, name="dropped")(keras.layers.Rescaling(1.0)(inputs))
    # The gradient of a root is infinite at 0.
    roots = keras.layers.Lambda(lambda x: keras.ops.sqrt(x))(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.Concatenate()([dropped, roots]))
    tagger = keras.Model(inputs, outputs)
model = AdversarialTagger(tagger, defense=attack)
at_zero = np.zeros_like(x)
with two.scope():
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(tf.data.Dataset.from_tensor_slices((at_zero, y)).batch(64), verbose=0)
dropout = tagger.get_layer("dropped")
masks = two.experimental_local_results(two.run(tf.function(lambda: dropout(tf.ones((8, 20)), training=True))))
result["masks"] = [mask.numpy().tolist() for mask in masks]
result["nonfinite"] = int(attack.attack.nonfinite_gradients.numpy())
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def result():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


DETERMINISTIC = ["nominal", "fgsm", "fgsm-mixed", "ngm", "trades", "input_gradient", "cure", "crown-ibp", "sam", "asam", "awp"]


@pytest.mark.slow
@pytest.mark.parametrize("defense", DETERMINISTIC)
def test_two_replicas_make_the_update_of_one_device(defense, result):
    assert result["replicas"] == 2
    assert result[defense] < 1e-4


@pytest.mark.slow
def test_replicas_draw_different_numbers(result):
    difference, correlation = result["noise"]
    assert difference > 0 and correlation < 0.1
    first, second = result["strengths"]
    assert first != second


@pytest.mark.slow
def test_replicas_drop_different_cells(result):
    first, second = result["masks"]
    assert first != second


@pytest.mark.slow
def test_gradients_that_are_not_finite_are_counted_on_all_replicas(result):
    assert result["nonfinite"] == 64 * 20
