"""A fully connected tagger whose logits can move by a known amount only, whatever an attack does.

Reference: Kitouni, Nolte and Williams, Mach. Learn.: Sci. Technol. 4 (2023) 035020, arXiv:2112.00038.
"""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import ArrayLike

from kerastag.errors import UserError
from kerastag.layers import GroupSort, Mend, NormedDense, Standardize
from kerastag.layers.lipschitz import Norm
from kerastag.layers.precision import HALF
from kerastag.schema import Schema
from kerastag.statistics import Statistics

_CONSTANT = "lipschitz_constant"


def lipschitz_mlp(
    schema: Schema,
    statistics: Statistics,
    hidden: Sequence[int] = (256, 256),
    constant: float = 2.0,
    norm: Norm = "one-inf",
) -> keras.Model:
    """Dense layers of bounded norm with sorting activations, on robustly scaled features.

    With the norm "one-inf" in the first layer and "inf" behind it, no logit changes by more than `constant` times the sum of
    the changes of all scaled features. With "inf" in all layers it is the largest change of any. `largest_change` gives it.
    Scaling is (x - median)/IQR followed by a logarithm, whose slope is 1 at most. Absent cells are scaled like any others: an
    attack may end on the value that stands for absent, where a network that treats it apart would jump.

    Args:
        schema: Says which columns there are.
        statistics: Statistics of the training jets.
        hidden: Widths of the hidden layers, even numbers.
        constant: Largest change of a logit for a change of 1 of the features' norm. A larger one gives a larger clean area and
            wider limits; among 1, 2, 4 and 8 none is best in both on validation jets, see "Architectures" in RESULTS.
        norm: Norm of the first layer, "one-inf" or "inf".

    Returns:
        A model from raw features `(batch, features)` to logits `(batch, classes)`.

    Raises:
        UserError: under a policy of Keras with less than float32.
    """
    if keras.config.dtype_policy().compute_dtype in HALF:
        raise UserError(
            "The model 'lipschitz_mlp' computes in float32 alone: rounding to 16 bits would move logits by more than its bound "
            "says; leave 'mixed' out, or take mlp."
        )
    inputs = keras.Input((len(schema.features),), name="features")
    features = Mend.from_schema(schema, name="mended")(inputs)
    x = Standardize.robust(schema, statistics, default=None, name="scaled")(features)
    for number, width in enumerate(hidden):
        x = NormedDense(width, norm if number == 0 else "inf", name=f"dense.{number}")(x)
        x = GroupSort()(x)
    x = NormedDense(len(schema.classes), "inf", name="dense.last")(x)
    return keras.Model(inputs, keras.layers.Rescaling(constant, name=_CONSTANT)(x), name="lipschitz_mlp")


def largest_change(tagger: keras.Model, budget: ArrayLike) -> np.ndarray:
    """Largest change of any logit of a `lipschitz_mlp`, whatever an attack does within a budget and within valid ranges.

    Beyond these the tagger mends what it sees.

    Args:
        tagger: The tagger.
        budget: Largest change of each feature in its unit, `(batch, features)`, also of those that follow others. In a box
            without ties `ThreatModel.budget` gives it; with ties its budgets are those of what leads alone.

    Returns:
        Bounds `(batch,)`; the difference of two logits changes by twice as much at most. `kerastag.bounds` gives narrower ones.

    Raises:
        UserError: if the tagger is no such network.
    """
    layers = {layer.name: layer for layer in tagger.layers}
    if not {_CONSTANT, "dense.0", "scaled"} <= layers.keys():
        raise UserError(f"'{tagger.name}' is no lipschitz_mlp, so there is no bound on its logits.")
    scaled = np.asarray(budget, np.float64) / layers["scaled"].scale
    norm = scaled.sum(axis=1) if layers["dense.0"].norm == "one-inf" else scaled.max(axis=1)
    return layers[_CONSTANT].scale * norm
