"""Which inputs carry the vulnerability: FGSM on one group of features alone, and on all but one."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kerastag.attacks.samples import attacked_logits
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.results import NotDefined, Resampled
from kerastag.schema import Schema, Separation


def groups(schema: Schema) -> dict[str, dict[str, np.ndarray]]:
    """Features in groups, bool `(features,)` each: by `kind` of object, its slots apart, and by `variable` over all slots."""
    kinds = np.array([f.group if f.slot is None else f"{f.group} {f.slot + 1}" for f in schema.features])
    variables = np.array([feature.variable for feature in schema.features])
    return {
        grouping: {str(name): names == name for name in dict.fromkeys(names)}
        for grouping, names in {"kind": kinds, "variable": variables}.items()
    }


def losses(
    tagger: keras.Model,
    x: np.ndarray,
    attacked: np.ndarray,
    y: np.ndarray,
    masks: Mapping[str, np.ndarray],
    bootstrap: Bootstrap,
    separation: Separation,
) -> list[dict[str, Any]]:
    """Loss of area when only a group of features is attacked, and when all but it are.

    The gradient is taken at the clean jet, so FGSM on some of the features is FGSM on all of them with the rest put back.

    Args:
        tagger: From raw features to logits.
        x: Clean features `(jets, features)`.
        attacked: Features after FGSM `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        masks: Groups by name, bool `(features,)`.
        bootstrap: Resamples for the intervals, and the weights.
        separation: The discriminator whose area is lost.

    Returns:
        Tidy rows: `group`, `attacked` ("all", "only", "all but"), and the `loss`, an interval of paired resamples.
    """

    def area(features: np.ndarray) -> Resampled | NotDefined:
        return bootstrap.area(RankedPair(y, attacked_logits(tagger, features, y, None), separation))

    clean = area(x)

    def row(group: str, part: str, features: np.ndarray) -> dict[str, Any]:
        return {"group": group, "attacked": part, "loss": (clean - area(features)).interval}

    rows = [row("all", "all", attacked)]
    for name, mask in masks.items():
        if (x != attacked)[:, mask].any():
            rows.append(row(name, "only", np.where(mask, attacked, x)))
            rows.append(row(name, "all but", np.where(mask, x, attacked)))
    return rows
