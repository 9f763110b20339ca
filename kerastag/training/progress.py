"""What a training shows on the terminal: a bar within each epoch, and a line at its end that fits the screen."""

import time

import keras
from tqdm.auto import tqdm
from typing_extensions import override

COLUMNS = 100


class EpochLines(keras.callbacks.Callback):
    """A line an epoch: its time, the loss, and the area of the main discriminator on validation jets, clean and attacked.

    `history.csv` has the other entries of the logs. Put it behind the callbacks that make them, and fit with `verbose=0`.

    Args:
        main: Name of the main discriminator.
    """

    def __init__(self, main: str):
        super().__init__()
        self._main, self._start = main, 0.0
        self._bar: tqdm | None = None

    @override
    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._start = time.perf_counter()
        self._bar = tqdm(total=self.params["steps"], desc=self._name(epoch), leave=False, disable=None)

    @override
    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._bar is not None:
            self._bar.update(batch + 1 - self._bar.n)

    @override
    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self._bar is not None:
            self._bar.close()
        print(line(self._name(epoch), time.perf_counter() - self._start, logs or {}, self._main), flush=True)

    def _name(self, epoch: int) -> str:
        epochs = str(self.params["epochs"])
        return f"Epoch {epoch + 1:>{len(epochs)}}/{epochs}"


def line(name: str, seconds: float, logs: dict[str, float], main: str) -> str:
    """Text of an epoch, of at most `COLUMNS` characters: what comes last is left out where there is no room."""
    area = f"val_{main}_auc"
    text = f"{name} {seconds:5.1f} s  loss {logs['loss']:.4f}"
    parts = [f"{main} {logs[area]:.4f}"] if area in logs else []
    parts += [f"{key.removeprefix(f'{area}_')} {value:.4f}" for key, value in logs.items() if key.startswith(f"{area}_")]
    for part in parts:
        if len(text) + 2 + len(part) > COLUMNS:
            break
        text += f"  {part}"
    return text
