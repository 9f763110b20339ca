"""The matrix products of a step: counted in a closed form, by TensorFlow, and by the attack that asks for them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import models
from kerastag.attacks import FGSM, PGD
from kerastag.attacks.base import Objective
from kerastag.speed.products import FORWARD, PASSES, Products, attack, flop, layers, sgemm
from kerastag.training import AdversarialTagger
from kerastag.training.defenses import InputGradientPenalty
from tests.toy import toy_threat_model

BATCH = 7


@pytest.fixture
def network():
    """Three layers on 20 features, with dropout and the ReLU between them."""
    layer = keras.layers.Dense
    inputs = keras.Input((20,))
    hidden = keras.layers.Dropout(0.1)(layer(11, activation="relu")(inputs))
    return keras.Model(inputs, layer(3)(layer(5, activation="relu")(hidden)))


def test_the_paper_network_has_the_operations_of_its_layers(dataset):
    """184 inputs, five hidden layers of 100, three classes, two operations a weight."""
    network = models.paper_mlp(dataset.schema, dataset.statistics)
    first, others = 2 * 184 * 100, 2 * (4 * 100 * 100 + 100 * 3)
    assert layers(network) == [(184, 100), *[(100, 100)] * 4, (100, 3)]
    assert flop(network, FORWARD) == first + others
    assert flop(network, PASSES["nominal"]) == 2 * first + 3 * others
    assert flop(network, PASSES["fgsm"]) == 4 * first + 5 * others
    assert flop(network, PASSES["pgd-7"]) == 22 * first + 23 * others


@pytest.mark.parametrize("defense", ["nominal", "fgsm", "input-gradient"])
def test_tensorflow_counts_as_many_operations_in_a_step(network, defense, monkeypatch):
    monkeypatch.setattr(tf, "inside_function", lambda: False)  # the attack's gradient then is no function of its own
    given = {
        "nominal": None,
        "fgsm": FGSM(toy_threat_model()),
        "input-gradient": InputGradientPenalty(toy_threat_model()),
    }[defense]
    model = AdversarialTagger(network, **{"attack" if defense == "fgsm" else "defense": given})
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    shapes = ((BATCH, 20), (BATCH, 3), (BATCH,))
    step = tf.function(lambda *batch: model.train_step(batch)).get_concrete_function(*map(tf.TensorSpec, shapes))
    assert _counted(step.graph) == BATCH * flop(network, PASSES[defense])


def _counted(graph: tf.Graph) -> int:
    """Operations of all matrix products in a graph, by TensorFlow's own statistics."""
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    kinds = profiler.profile(graph, cmd="op", options=options).children
    # The profile is a tree of kinds, each holding those below it.
    while kinds and kinds[0].name != "MatMul":
        kinds = kinds[0].children
    return kinds[0].float_ops


@pytest.mark.parametrize(("make", "passes"), [(FGSM, "fgsm"), (lambda box: PGD(box, steps=7), "pgd-7")])
def test_an_attack_looks_at_as_many_gradients_as_its_limit_counts(toy_tagger, toy_jets, make, passes, monkeypatch):
    calls = []
    gradient = Objective.gradient
    monkeypatch.setattr(Objective, "gradient", lambda self, point: calls.append(point) or gradient(self, point))
    make(toy_threat_model())(toy_tagger, *toy_jets)
    assert attack(len(calls)) + PASSES["nominal"] == PASSES[passes]


def test_products_are_measured_as_often_as_a_step_makes_them(network):
    products = Products(network, BATCH)
    names = list(products.actions(PASSES["pgd-7"]))
    assert names == [f"products {kind}" for kind in ("forward", "inputs", "first", "weights")]
    assert list(products.actions(FORWARD)) == names[:1]
    assert (
        products.seconds(PASSES["pgd-7"], dict(zip(names, (1.0, 10.0, 100.0, 1000.0), strict=True))) == 11 + 110 + 1000 + 1000
    )
    assert all(np.isfinite(action().numpy()).all() for action in products.actions(PASSES["fgsm"]).values())
    assert sgemm(network, BATCH)() is None


def test_no_product_is_left_out_or_made_once_for_two(network):
    """TensorFlow's optimiser drops what nobody takes."""
    action = Products(network, BATCH).actions(FORWARD)["products forward"]
    graph = action.get_concrete_function().graph
    assert [operation.type for operation in graph.get_operations()].count("MatMul") == len(layers(network))
    assert len(action().numpy()) == len(layers(network))
