"""Callbacks that evaluate a tagger under attack while it trains."""

import time
import warnings
from collections.abc import Sequence

import keras
import numpy as np

from kerastag.attacks import CLEAN, Attack
from kerastag.attacks.samples import attacked_logits
from kerastag.errors import UserError
from kerastag.metrics import HEADLINE, discriminator_auc, mean_cross_entropy
from kerastag.results import NotDefined
from kerastag.schema import Separation
from kerastag.training.distribution import ALONE, Distribution

# A rise of the loss that is so many times that under a single step, and larger than this, is overfitting.
_FAR_MORE, _NOTABLE_RISE = 3.0, 0.05


class Speed(keras.callbacks.Callback):
    """Adds `jets_per_second` to the logs. Put it first, so that other callbacks do not count.

    Args:
        jets: Jets in an epoch.
    """

    def __init__(self, jets: int):
        super().__init__()
        self._jets = jets
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Add the entry."""
        logs = {} if logs is None else logs
        logs["jets_per_second"] = self._jets / (time.perf_counter() - self._start)


class FiniteWeights(keras.callbacks.Callback):
    """Ends a training whose weights have become NaN or infinite with a sentence.

    The loss need not show it: on a CPU a ReLU turns NaN into 0, and the network goes on with a constant output.

    Raises:
        UserError: at the end of the epoch in which it happened.
    """

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Look at the weights."""
        if not all(np.isfinite(weights).all() for weights in self.model.get_weights()):
            raise UserError(
                f"The training diverged: after epoch {epoch + 1} weights are not finite. "
                "Take a smaller learning rate or a smaller ε, or --resume from the epoch before."
            )


class AttackedAUC(keras.callbacks.Callback):
    """At each epoch, area under the ROC curve and cross-entropy, clean and under each attack, as entries of `logs`.

    Entries are `val_<discriminator>_auc`, such as `val_BvL_auc`, and `val_cross_entropy` for clean jets, with `_<name>` behind
    for each attack, so `EarlyStopping`, `ModelCheckpoint`, `CSVLogger` and `TensorBoard` can use them. They must stand
    behind this callback in the list.

    Args:
        x: Validation features, float32 `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        attacks: Attacks by name.
        batch_size: Jets attacked at once; None for as many as the tagger can take.
        watch: Names of a single-step and of a longer attack. Where the loss rises under the second far more than under the
            first, training has overfitted catastrophically (arXiv:2001.03994, section 5), and a warning says so, once.
        separations: Discriminators, such as `schema.in_tables`; by default those of the classes b, c, light.
        distribution: The devices of the training; each of several processes attacks a part of the jets, and all have the same
            entries.
        weights: Weights of the jets, `(jets,)`; None for equal ones.

    Attributes:
        y: The true flavours.
        weights: The weights.
        logits: Logits of the last epoch, `(jets, classes)`, by name of the attack; "clean" without one.

    Raises:
        UserError: if a discriminator is one of other classes.
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        attacks: dict[str, Attack],
        batch_size: int | None = None,
        watch: tuple[str, str] | None = None,
        separations: Sequence[Separation] = HEADLINE,
        distribution: Distribution = ALONE,
        weights: np.ndarray | None = None,
    ):
        super().__init__()
        for one in separations:
            if len(one.class_names) != y.shape[1]:
                raise UserError(
                    f"{one.name} is a discriminator of {', '.join(one.class_names)}, but labels have {y.shape[1]} columns; "
                    "give those of the data set, `separations=schema.in_tables`."
                )
        self._x, self.y, self.weights = x, y, weights
        self.logits: dict[str, np.ndarray] = {}
        self._attacks = attacks
        self._batch_size = batch_size
        self._watch = watch
        self._separations = tuple(separations)
        self._distribution = distribution
        self._warned: set[str] = set()

    @property
    def names(self) -> list[str]:
        """The entries that it adds to `logs`."""
        suffixes = ["", *(f"_{name}" for name in self._attacks)]
        names = [*(f"val_{one.name}_auc" for one in self._separations), "val_cross_entropy"]
        return [name + suffix for suffix in suffixes for name in names]

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Add the entries."""
        logs = {} if logs is None else logs
        tagger = getattr(self.model, "tagger", self.model)
        for name, attack in {CLEAN.title: None, **self._attacks}.items():
            suffix = f"_{name}" if attack else ""
            logits = self.logits[name] = self._logits(tagger, attack)
            for one, area in discriminator_auc(self.y, logits, self.weights, separations=self._separations).items():
                self._add(logs, f"val_{one}_auc{suffix}", area)
            logs[f"val_cross_entropy{suffix}"] = mean_cross_entropy(self.y, logits, self.weights)
        if self._watch:
            self._look_for_overfitting(epoch, logs, *self._watch)

    def _logits(self, tagger: keras.Model, attack: Attack | None) -> np.ndarray:
        part = self._distribution.part(len(self._x))
        logits = attacked_logits(tagger, self._x[part], self.y[part], attack, self._batch_size)
        return self._distribution.joined(logits, len(self._x))

    def _look_for_overfitting(self, epoch: int, logs: dict, single_step: str, longer: str) -> None:
        weak, strong = (logs[f"val_cross_entropy_{name}"] - logs["val_cross_entropy"] for name in (single_step, longer))
        if "overfitting" not in self._warned and strong > max(_FAR_MORE * weak, _NOTABLE_RISE):
            self._warned.add("overfitting")
            warnings.warn(
                f"Catastrophic overfitting at epoch {epoch + 1}: {single_step} raises the cross-entropy by {weak:.3f}, "
                f"{longer} by {strong:.3f}. Train with --defense fgsm-rs or pgd-7, or with a smaller ε.",
                stacklevel=2,
            )

    def _add(self, logs: dict, name: str, area: float | NotDefined) -> None:
        if not isinstance(area, NotDefined):
            logs[name] = area
        elif name not in self._warned:
            self._warned.add(name)
            warnings.warn(f"{name} is {area}.", stacklevel=2)


def warn_of_order(callbacks: Sequence[keras.callbacks.Callback] | keras.callbacks.CallbackList | None) -> None:
    """Warn if a callback that reads the logs stands before an `AttackedAUC`."""
    in_order = list(getattr(callbacks, "callbacks", callbacks) or [])
    consumers = (
        keras.callbacks.EarlyStopping,
        keras.callbacks.ModelCheckpoint,
        keras.callbacks.ReduceLROnPlateau,
        keras.callbacks.CSVLogger,
        keras.callbacks.TensorBoard,
    )
    for place, callback in enumerate(in_order):
        early = [type(before).__name__ for before in in_order[:place] if isinstance(before, consumers)]
        if isinstance(callback, AttackedAUC) and early:
            warnings.warn(
                f"AttackedAUC stands behind {', '.join(early)}, which will not see its metrics; put it first.",
                stacklevel=3,
            )
