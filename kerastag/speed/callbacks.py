"""What callbacks take of an epoch: validation under attack, logs, checkpoints."""

import contextlib
import functools
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from kerastag.data import JetDataset
from kerastag.recipes import Settings
from kerastag.speed.clock import CLOCKS, Clock
from kerastag.speed.rows import Row
from kerastag.training import fitting
from kerastag.training.callbacks import AttackedAUC
from kerastag.training.checkpoint import TrainingState

# The first epoch traces.
_EPOCHS = 3
_HOOKS = ("on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end")
_NAMES = ((AttackedAUC, "AttackedAUC"), (TrainingState, "checkpoints"), (keras.callbacks.Callback, "logs and the rest"))


def rows(dataset: JetDataset, defense: str, clock: Clock, epochs: int = _EPOCHS) -> Iterator[Row]:
    """Seconds of an epoch with the default recipe, and of the callbacks in it, all the means over epochs but the first.

    Args:
        dataset: What is trained on.
        defense: A name in the catalogue of defences.
        clock: What counts as time.
        epochs: Number of epochs, of which the first traces.
    """
    seconds = _seconds(dataset, Settings.resolve({"defense": defense, "epochs": epochs}), clock)
    epoch = seconds.pop("epoch")
    yield {"what": f"{defense}: an epoch", "s": epoch, "share of the epoch": 1.0}
    for name, part in [*seconds.items(), ("all callbacks", sum(seconds.values()))]:
        yield {"what": f"{defense}: {name}", "s": part, "share of the epoch": part / epoch}


def _seconds(dataset: JetDataset, settings: Settings, clock: Clock) -> dict[str, float]:
    recipe, now = settings.hyperparameters, CLOCKS[clock.kind]
    batch_size = fitting.fitting_batch(recipe, dataset)
    steps = fitting.steps_of(settings, dataset, batch_size)
    spent: defaultdict[str, float] = defaultdict(float)
    # The lines that a training prints are no results here.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        callbacks = fitting.make_callbacks(settings, dataset, Path(folder), batch_size * steps)
        callbacks.append(TrainingState(Path(folder) / "checkpoints", callbacks))
        for callback in callbacks:
            _time(callback, next(name for kind, name in _NAMES if isinstance(callback, kind)), spent, now)
        marks = _Marks(spent, now)
        fitting.make_model(settings, dataset, steps).fit(
            dataset.batches("train", batch_size, shuffle=True),
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            callbacks=[*callbacks, marks],
            shuffle=False,
            verbose=0,
        )
    epochs = recipe.epochs - 1
    return {"epoch": (marks.last - marks.first) / epochs} | {
        name: (spent[name] - marks.before[name]) / epochs for _, name in _NAMES
    }


class _Marks(keras.callbacks.Callback):
    """When the first epoch and the last one ended, and what callbacks had taken up to the end of the first."""

    def __init__(self, spent: defaultdict[str, float], now: Callable[[], float]):
        super().__init__()
        self._spent, self._now = spent, now
        self.first = self.last = 0.0
        self.before: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Look at the clock."""
        self.last = self._now()
        if epoch == 0:
            self.first, self.before = self.last, dict(self._spent)


def _time(callback: keras.callbacks.Callback, name: str, spent: defaultdict[str, float], now: Callable[[], float]) -> None:
    """Add up under a name what a callback takes in each epoch."""

    def timed(hook: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(hook)  # keeps the mark by which Keras knows hooks that do nothing
        def run(*args: Any, **kwargs: Any) -> Any:
            start = now()
            try:
                return hook(*args, **kwargs)
            finally:
                spent[name] += now() - start

        return run

    for hook in _HOOKS:
        setattr(callback, hook, timed(getattr(callback, hook)))
