"""Steps of training, nominal and adversarial, against their own matrix products and against nominal steps."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerastag.data import JetDataset
from kerastag.recipes import Settings
from kerastag.speed.clock import Action, Clock
from kerastag.speed.products import PASSES, Products, flop
from kerastag.speed.rows import Row, row
from kerastag.training import fitting

# Small batches are several to an execution, as in a training.
_JETS_OF_EXECUTION, _MOST_STEPS = 4_096, 8
# Defences that look at one box alone, that of the recipe.
_IN_ONE_BOX = ("input-gradient", "pgd-7")
_BOXES = {True: "paper's box", False: "physical box"}


class _Step(NamedTuple):
    """A kind of step: its defence, and whether that looks at the paper's box."""

    defense: str
    paper: bool = True

    def __str__(self) -> str:
        name = "FGSM" if self.defense == "fgsm" else self.defense
        return name if self.defense == "nominal" else f"{name}, {_BOXES[self.paper]}"


class Network(NamedTuple):
    """A network, the recipe that trains it, and whether its usual box is the paper's."""

    recipe: str
    model: str
    paper: bool


PAPER, DEFAULT = Network("paper", "paper_mlp", True), Network("default", "mlp", False)


def rows(dataset: JetDataset, network: Network, batch_size: int, clock: Clock) -> Iterator[Row]:
    """Speeds of its steps at a batch size, all measured in turns.

    Args:
        dataset: Whose training jets are used, several times where a batch is larger.
        network: What is trained.
        batch_size: Jets in a step.
        clock: How to measure.
    """
    kinds = (_Step("nominal"), _Step("fgsm"), _Step("fgsm", False), *(_Step(name, network.paper) for name in _IN_ONE_BOX))
    size = min(_MOST_STEPS, max(1, _JETS_OF_EXECUTION // batch_size))
    batch = tf.data.Dataset.from_tensors(one_batch(dataset, batch_size)).repeat()
    models = {kind: _model(dataset, network, kind, batch_size, size, batch) for kind in kinds}
    tagger = models[kinds[0]].tagger
    products = Products(tagger, batch_size)
    actions: dict[str, Action] = {str(kind): _execution(model, batch) for kind, model in models.items()}
    executions = max(1, dataset.steps("train", batch_size) // size)
    fed = {kind: f"{kind}, fed by the data set" for kind in kinds[:2]}
    actions |= {
        name: _epoch(models[kind], dataset.batches("train", batch_size, shuffle=True), executions) for kind, name in fed.items()
    }
    measured = clock.in_turns(actions | products.actions(PASSES["fgsm"]))
    per_jet = {name: measured[name] / (size * batch_size) for name in map(str, kinds)}
    name = f"{network.model}, {batch_size:,}"
    nominal, of_nominal = per_jet["nominal"], flop(tagger, PASSES["nominal"])
    for kind in kinds:
        passes, seconds = PASSES[kind.defense], per_jet[str(kind)]
        operations, limit = flop(tagger, passes), batch_size / products.seconds(passes, measured)
        one = row(f"{name}: {kind}", 1 / seconds, limit, "its matrix products", operations)
        yield one | {"time / nominal": seconds / nominal, "FLOP / nominal": operations / of_nominal}
    jets = executions * size * min(batch_size, dataset.count("train"))
    for kind, label in fed.items():
        operations, limit = flop(tagger, PASSES[kind.defense]), 1 / per_jet[str(kind)]
        yield row(f"{name}: {label}", jets / measured[label], limit, "the same on one batch", operations)


def executions(dataset: JetDataset, batch_size: int) -> dict[str, tuple[str, keras.Model, Action]]:
    """Steps of the paper's network on one large batch, nominal and with FGSM in the paper's box.

    Returns:
        By defence the name of a row, the trainer, and what makes a step.
    """
    found, batch = {}, tf.data.Dataset.from_tensors(one_batch(dataset, batch_size)).repeat()
    for kind in (_Step("nominal"), _Step("fgsm")):
        model = _model(dataset, PAPER, kind, batch_size, 1, batch)
        found[kind.defense] = f"{PAPER.model}, {batch_size:,}: {kind}", model, _execution(model, batch)
    return found


def one_batch(dataset: JetDataset, batch_size: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Features, one-hot labels and weights of 1 of so many training jets."""
    jets = dataset.arrays("train")
    index = np.arange(batch_size) % len(jets)
    return tf.constant(jets.features[index]), tf.constant(jets.y[index]), tf.ones(batch_size)


def _model(
    dataset: JetDataset, network: Network, kind: _Step, batch_size: int, steps: int, batch: tf.data.Dataset
) -> keras.Model:
    """A trainer that makes so many steps at once, traced."""
    options: dict[str, Any] = {"recipe": network.recipe, "defense": kind.defense, "paper": kind.paper, "batch_size": batch_size}
    model = fitting.make_model(Settings.resolve(options), dataset, steps)
    model.fit(batch, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model


def _execution(model: keras.Model, batch: tf.data.Dataset) -> Action:
    iterator = iter(batch)
    return lambda: model.train_function(iterator)


def _epoch(model: keras.Model, batches: tf.data.Dataset, executions: int) -> Action:
    """An epoch from its beginning: what was fetched ahead between turns would not count."""

    def run() -> None:
        iterator = iter(batches)
        for _ in range(executions):
            model.train_function(iterator)

    return run


def forward_backward(model: keras.Model, x: np.ndarray, y: np.ndarray, clock: Clock) -> float:
    """Jets/s of a tagger's forward and backward pass in its weights, all jets in one batch.

    Args:
        model: From raw features to logits.
        x: Features `(jets, features)`.
        y: One-hot labels `(jets, classes)`.
        clock: How to measure.
    """
    jets, labels = tf.constant(x), tf.constant(y)

    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, model(jets, training=True)))
        return tape.gradient(loss, model.trainable_variables)

    return len(x) / clock.in_turns({"both": lambda: gradients()[0].numpy()})["both"]
