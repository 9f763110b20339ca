"""Which inputs carry the vulnerability: FGSM on one group of features alone, and on all but one."""

from collections.abc import Mapping

import keras
import numpy as np

from kerastag.attacks.samples import attacked_logits
from kerastag.metrics import Bootstrap, Interval, RankedPair
from kerastag.schema import Schema


def groups(schema: Schema) -> dict[str, dict[str, np.ndarray]]:
    """Features in groups, bool `(features,)` each: by `kind` of object, its slots apart, and by `variable` over all slots."""
    kinds: dict[str, list[int]] = {}
    variables: dict[str, list[int]] = {}
    for column, feature in enumerate(schema.features):
        kind = feature.group if feature.slot is None else f"{feature.group} {feature.slot + 1}"
        kinds.setdefault(kind, []).append(column)
        variables.setdefault(feature.variable, []).append(column)

    def masks(listed: dict[str, list[int]]) -> dict[str, np.ndarray]:
        return {name: np.isin(np.arange(len(schema.features)), columns) for name, columns in listed.items()}

    return {"kind": masks(kinds), "variable": masks(variables)}


def losses(
    tagger: keras.Model,
    x: np.ndarray,
    attacked: np.ndarray,
    y: np.ndarray,
    masks: Mapping[str, np.ndarray],
    bootstrap: Bootstrap,
    discriminator: str = "BvL",
) -> list[dict]:
    """Loss of area when only a group of features is attacked, and when all but it are.

    The gradient is taken at the clean jet, so FGSM on some of the features is FGSM on all of them with the rest put back.

    Args:
        tagger: From raw features to logits.
        x: Clean features `(jets, features)`.
        attacked: Features after FGSM `(jets, features)`.
        y: True flavours, one-hot `(jets, classes)`.
        masks: Groups by name, bool `(features,)`.
        bootstrap: Resamples for the intervals, and the weights.
        discriminator: Of which the area is taken.

    Returns:
        Tidy rows: group, attacked ("all", "only", "all but"), loss, low, high (68 %, paired).
    """

    def pair(features: np.ndarray) -> RankedPair:
        return RankedPair(y, attacked_logits(tagger, features, y, None), discriminator)

    before = pair(x)
    area, areas = before.auc(bootstrap.weights), bootstrap.aucs(before)

    def row(group: str, what: str, features: np.ndarray) -> dict:
        after = pair(features)
        loss = Interval.of(area - after.auc(bootstrap.weights), areas - bootstrap.aucs(after))
        return {"group": group, "attacked": what, "loss": loss.value, "low": loss.low, "high": loss.high}

    rows = [row("all", "all", attacked)]
    for name, mask in masks.items():
        if (x != attacked)[:, mask].any():
            rows.append(row(name, "only", np.where(mask, attacked, x)))
            rows.append(row(name, "all but", np.where(mask, x, attacked)))
    return rows
