"""What TensorBoard shows of a training beside its curves: settings to compare trainings by, and precision against recall."""

from pathlib import Path

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from kerastag.metrics import discriminant
from kerastag.recipes import FOLDERS, Settings
from kerastag.schema import Separation
from kerastag.training.callbacks import AttackedAUC


def hyperparameters(settings: Settings, folder: Path) -> keras.callbacks.Callback:
    """A callback that writes the settings for the tab HParams: defence, attack, ε, seed and all others that are set.

    Args:
        settings: Settings of the training.
        folder: Folder of logs.
    """
    from tensorboard.plugins.hparams import api  # not needed to load a tagger

    plain = {name: value for name, value in settings.to_dict().items() if name not in FOLDERS}
    plain |= {name: " ".join(map(str, value)) for name, value in plain.items() if isinstance(value, list | tuple)}
    shown = {name: value for name, value in plain.items() if isinstance(value, bool | int | float | str)}
    return api.KerasCallback(str(folder), shown)


class PrecisionRecall(keras.callbacks.Callback):
    """At each epoch, precision against recall of the main discriminator, clean and under each attack, for TensorBoard.

    Args:
        measured: The callback that attacks; it must stand before this one.
        main: The discriminator.
        folder: Folder of logs.
    """

    def __init__(self, measured: AttackedAUC, main: Separation, folder: Path):
        super().__init__()
        self._measured, self._main = measured, main
        self._writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the curves."""
        from tensorboard.plugins.pr_curve import summary

        label = self._measured.y.argmax(axis=1)
        over, against = (np.isin(label, columns) for columns in self._main.columns)
        sides = over | against
        with self._writer.as_default():
            for name, logits in self._measured.logits.items():
                score = scipy.special.expit(discriminant(logits[sides], self._main)).astype(np.float32)
                weights = None if self._measured.weights is None else self._measured.weights[sides]
                curve = summary.pb(f"{self._main.name}, {name}", over[sides], score, weights=weights)
                tf.summary.experimental.write_raw_pb(curve.SerializeToString(), step=epoch)
        self._writer.flush()
