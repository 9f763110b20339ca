"""What may be entered: a tagger whose outputs are finite and stay, and whose gradients attacks can follow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.evaluation.taggers import Tagger
from kerastag.jets import Jets
from kerastag.leaderboard.conditions import check_conditions
from tests.toy import toy_threat_model


class Dice(keras.layers.Layer):
    """Adds noise, whatever the mode."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seed_generator)


class Purifier(keras.layers.Layer):
    """Moves its input down a gradient of its own before anything looks at it."""

    @tf.function
    def cleaned(self, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(x))
        return x - 0.1 * tape.gradient(loss, x)

    def call(self, x):
        return self.cleaned(x)

    def compute_output_shape(self, shape):
        return shape


def network(layer):
    inputs = keras.Input((20,))
    return keras.Model(inputs, keras.layers.Dense(3)(layer(inputs)))


@pytest.fixture(scope="module")
def jets(toy_jets):
    features, y = (np.asarray(values) for values in toy_jets)
    return Jets(features, y.argmax(axis=1), {}, 3)


def test_an_honest_tagger_may_be_entered(toy_tagger, jets):
    said = check_conditions(Tagger.network(toy_tagger, "honest"), jets, toy_threat_model())
    assert said.endswith("gradients are not zero, and the forward pass takes none.")


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Dice(), "two calls with the same jets give different outputs"),
        (keras.ops.round, "have no gradient"),
        (keras.ops.log, "are not finite"),
        (Purifier(), "it takes a gradient while it is evaluated, at 'gradient_tape/"),
    ],
    ids=["dice", "steps", "not finite", "purifier"],
)
def test_others_are_refused(layer, said, jets):
    with pytest.raises(UserError, match=f"'it' cannot be entered: .*{said}"):
        check_conditions(Tagger.network(network(layer), "it"), jets, toy_threat_model())


def test_what_has_no_gradient_is_entered_as_such(jets):
    steps = Tagger.network(network(keras.ops.round), "steps")
    assert "It has no gradient" in check_conditions(steps, jets, toy_threat_model(), has_gradient=False)
    with pytest.raises(UserError, match="two calls"):
        check_conditions(Tagger.network(network(Dice()), "dice"), jets, toy_threat_model(), has_gradient=False)
