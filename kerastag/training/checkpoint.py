"""The state of a training on disk, so that a killed run resumes to the same result, bit for bit on a CPU.

Keras' own parts fall short: `BackupAndRestore` writes in place, `EarlyStopping` forgets its best epoch at a restart.
A checkpoint is one folder, renamed into place: `state.npz` (weights, optimizer, random states, callbacks' arrays) and
`state.json` (epoch, history, callbacks' numbers), with their checksums. Nothing in it is pickled.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerastag import checksums
from kerastag.errors import UserError
from kerastag.files import read_json, replaced, write_json

_STATE = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    keras.callbacks.ModelCheckpoint: ("best",),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
}


class TrainingState(keras.callbacks.Callback):
    """Writes a checkpoint after each epoch and restores the newest when a training begins.

    Put it last in the list. Pass `initial_epoch=state.epoch` to `fit`, and data that start at that epoch.

    Args:
        directory: Folder of the checkpoints.
        callbacks: The other callbacks, whose state is part of a checkpoint.
        writes: Whether this process writes; of several one does.

    Attributes:
        epoch: Number of epochs that are done.
        history: The logs of each epoch that is done.
    """

    def __init__(self, directory: Path, callbacks: Sequence[keras.callbacks.Callback], writes: bool = True):
        super().__init__()
        self._directory, self._writes = directory, writes
        self._callbacks = [
            (callback, names) for callback in callbacks for kind, names in _STATE.items() if isinstance(callback, kind)
        ]
        if writes:
            directory.mkdir(parents=True, exist_ok=True)
        self._newest = max(directory.glob("epoch-*"), default=None)
        state: dict[str, Any] = {"epoch": 0, "history": [], "callbacks": []}
        if self._newest:
            if checksums.is_sealed(self._newest):  # those of earlier versions have no list
                checksums.check(self._newest, f"delete '{self._newest}', and the training begins anew")
            state = read_json(self._newest / "state.json", {"epoch": int, "history": list, "callbacks": list})
        rows = (*state["history"], *state["callbacks"])
        if not all(isinstance(row, dict) for row in rows) or state["epoch"] != len(state["history"]):
            raise UserError(
                f"'{self._newest}' is damaged: it holds no logs of epochs; delete it, and the training begins anew."
            )
        self.epoch: int = state["epoch"]
        self.history: list[dict[str, float]] = state["history"]
        self._numbers: list[dict[str, Any]] = state["callbacks"]

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Restore; by now Keras has reset the other callbacks."""
        if self._newest:
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            self._restore(self._newest)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write a checkpoint and remove the one before."""
        self.epoch = epoch + 1
        self.history.append({name: float(value) for name, value in (logs or {}).items()})
        # Counts of all devices are added up where they are read, so every process reads.
        arrays: dict[str, Any] = {f"variable_{i:05d}": variable.numpy() for i, variable in enumerate(self._variables())}
        if self._writes:
            self._replace(arrays)

    def _replace(self, arrays: dict[str, Any]) -> None:
        before = self._newest
        self._newest = self._directory / f"epoch-{self.epoch:05d}"
        with replaced(self._newest) as folder:
            folder.mkdir()
            self._write(folder, arrays)
            checksums.seal(folder)
        if before:
            shutil.rmtree(before)

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def _write(self, folder: Path, arrays: dict[str, Any]) -> None:
        numbers = []
        for place, (callback, names) in enumerate(self._callbacks):
            state = {name: getattr(callback, name) for name in names}
            for name, value in list(state.items()):
                if isinstance(value, list):
                    arrays |= {f"callback_{place}.{name}.{i:05d}": array for i, array in enumerate(state.pop(name))}
                else:
                    state[name] = None if value is None else float(value)
            numbers.append(state)
        np.savez(folder / "state.npz", **arrays)
        write_json(folder / "state.json", {"epoch": self.epoch, "history": self.history, "callbacks": numbers})

    def _restore(self, folder: Path) -> None:
        arrays = _arrays(folder / "state.npz")
        variables = self._variables()
        stored = [name for name in arrays if name.startswith("variable_")]
        shapes = [arrays[name].shape for name in stored]
        if shapes != [tuple(variable.shape) for variable in variables] or len(self._numbers) != len(self._callbacks):
            raise UserError(f"The checkpoint in '{folder}' belongs to another model; start a new run directory.")
        for variable, name in zip(variables, stored, strict=True):
            variable.assign(arrays[name])
        for place, (callback, names) in enumerate(self._callbacks):
            for name in names:
                key = f"callback_{place}.{name}."
                stored_arrays = [arrays[array] for array in arrays if array.startswith(key)]
                setattr(callback, name, stored_arrays or self._numbers[place].get(name))


def _arrays(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, all read before any is used.

    Raises:
        UserError: if they cannot be read.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # zipfile, zlib and NumPy raise several kinds for a damaged file
        raise UserError(
            f"'{file}' cannot be read, it may be damaged: {error}; delete '{file.parent}', and the training begins anew."
        ) from error
