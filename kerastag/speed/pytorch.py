"""Steps of training in plain PyTorch, eagerly as most people write them, in turns with ours: what the same costs elsewhere.

The network is the paper's, with the same layers, batch and optimizer. FGSM has the paper's box: a mask of cells that may move,
and a step of ε standard deviations along the sign of the gradient. The loss is the cross-entropy, without weights of jets.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np

from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.recipes import RECIPES
from kerastag.request import EPSILON
from kerastag.speed import machine, steps
from kerastag.speed.clock import Clock
from kerastag.speed.rows import Row


def rows(dataset: JetDataset, batch_size: int, clock: Clock) -> Iterator[Row]:
    """Speeds of nominal steps and of those with FGSM, ours and PyTorch's.

    Args:
        dataset: Whose training jets are used.
        batch_size: Jets in a step.
        clock: How to measure.

    Raises:
        UserError: if PyTorch is not installed.
    """
    torch = package()
    torch.set_num_threads(machine.threads() or torch.get_num_threads())
    for kind, (name, model, action) in steps.executions(dataset, batch_size).items():
        plain = PlainTraining(model.tagger, dataset)
        x, y, _ = steps.one_batch(dataset, batch_size)
        features, label = torch.from_numpy(x.numpy()), torch.from_numpy(y.numpy().argmax(axis=1))
        measured = clock.in_turns({"ours": action, "PyTorch": partial(plain.step, features, label, kind == "fgsm")})
        speeds = {who: batch_size / seconds for who, seconds in measured.items()}
        yield {
            "what": name,
            "jets/s": speeds["ours"],
            "plain PyTorch, jets/s": speeds["PyTorch"],
            "times as fast": speeds["ours"] / speeds["PyTorch"],
        }


class PlainTraining:
    """A network of fully connected layers in PyTorch, with the weights of one in Keras, and its training.

    Args:
        tagger: The network, whose layers follow each other: scaling, fully connected ones and dropout.
        dataset: Whose statistics scale the features.
    """

    def __init__(self, tagger: keras.Model, dataset: JetDataset):
        self._torch = torch = package()
        sigma = dataset.statistics.sigma
        self._scale = torch.tensor(np.where(sigma > 0, sigma, 1), dtype=torch.float32)
        self._mean = torch.tensor(dataset.statistics.mean, dtype=torch.float32)
        self._largest = torch.tensor(EPSILON * sigma, dtype=torch.float32)
        self._continuous = torch.tensor(~dataset.schema.integer)
        self._defaults = torch.tensor(dataset.schema.defaults, dtype=torch.float32)
        self.network = torch.nn.Sequential(*_layers(tagger))
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=RECIPES[steps.PAPER.recipe].learning_rate)

    def logits(self, features: Any) -> Any:
        """From raw features `(jets, features)`."""
        return self.network((features - self._mean) / self._scale)

    def attacked(self, features: Any, label: Any) -> Any:
        """Features under FGSM, by class indices `(jets,)`."""
        torch = self._torch
        features = features.clone().requires_grad_()
        self.network.eval()
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(self.logits(features), label), features)
        free = self._continuous & (features != self._defaults)
        return torch.where(free, features + self._largest * gradient.sign(), features).detach()

    def step(self, features: Any, label: Any, attack: bool) -> None:
        """Attack the batch if asked, and update the weights."""
        if attack:
            features = self.attacked(features, label)
        self.network.train()
        self._optimizer.zero_grad()
        self._torch.nn.functional.cross_entropy(self.logits(features), label).backward()
        self._optimizer.step()


def _layers(tagger: keras.Model) -> Iterator[Any]:
    torch = package()
    for layer in tagger.layers:
        if isinstance(layer, keras.layers.Dropout):
            yield torch.nn.Dropout(layer.rate)
        elif isinstance(layer, keras.layers.Dense):
            kernel, bias = layer.get_weights()
            linear = torch.nn.Linear(*kernel.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(kernel.T))
                linear.bias.copy_(torch.from_numpy(bias))
            yield linear
            if layer.activation is keras.activations.relu:
                yield torch.nn.ReLU()


def package() -> Any:
    """PyTorch.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError("The part pytorch compares with PyTorch, which is not installed: pip install torch.") from error
    return torch
