"""How far an attacker may move each cell of the input."""

from collections.abc import Sequence

import keras
import numpy as np

from kerastag.errors import UserError
from kerastag.schema import Schema


@keras.saving.register_keras_serializable("kerastag")
class ThreatModel:
    """A box around the clean jet, in physical units.

    Each cell may move by ε·scale, and by no more than a share of its own value. Integers and defaults never move.

    Args:
        epsilon: Size of the box in units of `scale`.
        scale: `(features,)`, usually the standard deviations of the training jets; positive.
        integer: `(features,)`, true for features of whole numbers.
        default: `(features,)`, values that stand for "absent".
        relative_cap: Largest |Δx|/|x|, or None for no such limit. A cell that is exactly 0 cannot move under a cap.

    Raises:
        UserError: if a number is out of range or the arrays differ in length.
    """

    def __init__(
        self,
        epsilon: float,
        scale: Sequence[float],
        integer: Sequence[bool],
        default: Sequence[float],
        relative_cap: float | None = None,
    ):
        self.epsilon = float(epsilon)
        self.scale = np.asarray(scale, np.float32)
        self.integer = np.asarray(integer, bool)
        self.default = np.asarray(default, np.float32)
        self.relative_cap = None if relative_cap is None else float(relative_cap)
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0):
            raise UserError(f"Invalid value for `epsilon`: it must be finite and at least 0. Received: {epsilon}.")
        if self.relative_cap is not None and not (np.isfinite(self.relative_cap) and self.relative_cap >= 0):
            raise UserError(f"Invalid value for `relative_cap`: it must be at least 0. Received: {relative_cap}.")
        if not self.scale.shape == self.integer.shape == self.default.shape:
            shapes = self.scale.shape, self.integer.shape, self.default.shape
            raise UserError(f"`scale`, `integer` and `default` must have one entry per feature. Received: {shapes}.")
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise UserError("Invalid value for `scale`: every entry must be finite and positive.")
        # What a cell may move if neither integer nor default.
        self._reach = np.where(self.integer, 0, self.epsilon * self.scale).astype(np.float32)

    @classmethod
    def from_schema(
        cls, schema: Schema, scale: Sequence[float], epsilon: float = 0.01, relative_cap: float | None = None
    ) -> "ThreatModel":
        """The usual way to one: integers and defaults as the schema says."""
        return cls(epsilon, scale, schema.integer, schema.defaults, relative_cap)

    def budget(self, x):
        """Largest allowed |Δx| of each cell.

        Args:
            x: Clean features `(batch, features)`.

        Returns:
            Tensor `(batch, features)`, 0 where a cell is frozen.
        """
        reach = keras.ops.broadcast_to(self._reach, keras.ops.shape(x))
        if self.relative_cap is not None:
            reach = keras.ops.minimum(reach, self.relative_cap * keras.ops.abs(x))
        return keras.ops.where(keras.ops.equal(x, self.default), keras.ops.zeros_like(reach), reach)

    def project(self, x, attacked):
        """Move `attacked` into the box around `x`; frozen cells become bit-equal to `x`. Both `(batch, features)`."""
        budget = self.budget(x)
        inside = keras.ops.clip(attacked, x - budget, x + budget)
        return keras.ops.where(budget > 0, inside, x)

    def get_config(self) -> dict:
        """Everything that `__init__` takes."""
        return {
            "epsilon": self.epsilon,
            "scale": self.scale.astype(np.float64).tolist(),
            "integer": self.integer.tolist(),
            "default": self.default.astype(np.float64).tolist(),
            "relative_cap": self.relative_cap,
        }

    @classmethod
    def from_config(cls, config: dict) -> "ThreatModel":
        """The inverse of `get_config`."""
        return cls(**config)
