"""Files of CMS, and random jets in the ranges that their networks were trained on."""

from pathlib import Path

import numpy as np
import pytest

from kerastag import legacy
from kerastag.legacy.arrays import frozen_graph, keras_h5
from kerastag.schema import DEEPDOUBLEX, DEEPFLAVOUR

WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "cms"
PFNANO = WEIGHTS.parent / "pfnano.root"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="CMS's weights are not part of the repository")

# Prefixes of the first normalisations, in the order of the groups of the schema; the schema; and the format of the file.
_NORMALISATIONS = {
    "DeepFlavour": (("globals", "cpf", "npf", "vtx"), DEEPFLAVOUR, frozen_graph),
    "DeepDoubleBvL": (("db", "pf", "cpf", "sv"), DEEPDOUBLEX["BvL"], keras_h5),
}


def toy_inputs(name: str, jets: int = 400, seed: int = 3) -> list[np.ndarray]:
    """Inputs of each group, `(jets, [slots,] variables)`, with the mean and σ of the network's training jets.

    A random number of slots is filled from the front; integers are rounded. The last three jets are empty, ten times as far
    from the mean, and all zero.
    """
    prefixes, schema, source = _NORMALISATIONS[name]
    get = source(WEIGHTS / legacy.get(name).path)
    generator = np.random.default_rng(seed)
    arrays = []
    for prefix, group in zip(prefixes, schema.groups, strict=True):
        width = len(group.variables)
        mean, variance = (get(f"{prefix}_input_batchnorm", kind, (width,)) for kind in ("moving_mean", "moving_variance"))
        shape = (jets, width) if group.slots is None else (jets, group.slots, width)
        spread = np.minimum(np.sqrt(variance), 30 + abs(mean))  # jets at -999 inflate σ
        values = mean + spread * generator.normal(size=shape)
        values[-2] = mean + 10 * spread * generator.normal(size=shape[1:])
        integer = [variable.integer for variable in group.variables]
        values[..., integer] = np.rint(np.abs(values[..., integer]))
        if group.slots is not None:
            filled = generator.integers(0, group.slots + 1, jets)
            filled[-3] = 0
            values *= (np.arange(group.slots) < filled[:, None])[..., None]
        values[-1] = 0
        arrays.append(values.astype(np.float32))
    if name == "DeepFlavour":
        arrays[0][:40, 6:13] = -999
        arrays[0][40:80, 9:13] = -1
    return arrays


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    """Inputs of a network by group as features: variable by variable, slot by slot; -999 "above charm" becomes -1."""
    columns = [values if values.ndim == 2 else values.transpose(0, 2, 1).reshape(len(values), -1) for values in arrays]
    x = np.concatenate(columns, axis=1)
    if x.shape[1] == len(DEEPFLAVOUR.features):
        x[:, 9:13] = np.where(x[:, 9:13] == -999, -1, x[:, 9:13])
    return x
