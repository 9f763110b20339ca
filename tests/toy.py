"""Jets of a schema of 20 features, with whole numbers, defaults, zeros and groups, and a network with dropout on them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.attacks import ThreatModel
from kerastag.request import Physics
from kerastag.schema import JET_FLAVOR, Group, Schema, Variable

TOY = Schema(
    name="toy",
    version="1",
    description="",
    tree="jets",
    groups=(
        Group(
            "jet", (Variable("pt", "pt", valid_min=0.0), Variable("eta", "eta", default=-9.0), Variable("n", "n", integer=True))
        ),
        Group(
            "track",
            (
                Variable("track_{slot}_d0", "d0", default=(-1.5, -1.4, -1.3)),
                Variable("track_{slot}_var", "var", valid_min=0.0),
                Variable("track_{slot}_phi", "phi", default=-4.0, valid_min=-3.14, valid_max=3.14),
                Variable("track_{slot}_hits", "hits", default=-1.0, integer=True),
            ),
            slots=3,
        ),
        Group("vertex", tuple(Variable(f"vertex_{name}", name) for name in ("mass", "pt", "l", "sig", "ratio"))),
    ),
    classes=JET_FLAVOR.classes,
    spectators=(),
    pt="pt",
    eta="eta",
)
SCALE = np.random.default_rng(7).uniform(0.2, 3, 20)


def toy_threat_model(epsilon=0.1, relative_cap=None, bounds=False, **options):
    return ThreatModel.from_schema(TOY, SCALE, epsilon, relative_cap, physics=Physics(bounds=bounds), **options)


@pytest.fixture(scope="session")
def toy_jets():
    """Features `(200, 20)` and one-hot labels, as tensors: a quarter absent, some zeros, all flavours."""
    generator = np.random.default_rng(3)
    x = (generator.normal(size=(200, 20)) * SCALE).astype(np.float32)
    x[:, TOY.integer] = np.rint(3 * x[:, TOY.integer])
    positive = [TOY.index(name) for name in TOY.names if "var" in name or name == "pt"]
    x[:, positive] = abs(x[:, positive]) + 1e-3
    x = np.where(generator.random(x.shape) < 0.25, TOY.defaults, x)
    x[:5, TOY.index("eta")] = 0
    return tf.constant(x), tf.one_hot(np.arange(200) % 3, 3)


@pytest.fixture(scope="session")
def toy_tagger():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((20,))
    x = keras.layers.Rescaling(1 / SCALE)(inputs)
    x = keras.layers.BatchNormalization()(keras.layers.Dense(16, "elu")(x))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dropout(0.3)(x)))
