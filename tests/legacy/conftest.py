"""CMS's files, and jets in the ranges that their networks were trained on."""

from pathlib import Path

import numpy as np
import pytest

from kerastag import legacy
from kerastag.legacy.arrays import frozen_graph, keras_h5
from kerastag.schema import DEEPDOUBLEX, DEEPFLAVOUR

WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "cms"
PFNANO = WEIGHTS.parent / "pfnano.root"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="CMS's weights are not part of the repository")

# For each tagger how its first normalisations are called, in the order of the groups of its schema, and its schema.
_NORMALISATIONS = {
    "DeepFlavour": (("globals", "cpf", "npf", "vtx"), DEEPFLAVOUR, frozen_graph),
    "DeepDoubleBvL": (("db", "pf", "cpf", "sv"), DEEPDOUBLEX["BvL"], keras_h5),
}


def made_up(name: str, jets: int = 400, seed: int = 3) -> list[np.ndarray]:
    """Inputs of a network's own shapes, `(jets, [slots,] variables)`, with the mean and σ of its training jets.

    Slots are filled from the front, any number of them; whole numbers are whole. The last three jets are empty, ten times as
    far from the mean, and all zero.
    """
    prefixes, schema, source = _NORMALISATIONS[name]
    get = source(WEIGHTS / legacy.get(name).path)
    generator = np.random.default_rng(seed)
    arrays = []
    for prefix, group in zip(prefixes, schema.groups, strict=True):
        width = len(group.variables)
        mean, variance = (get(f"{prefix}_input_batchnorm", kind, (width,)) for kind in ("moving_mean", "moving_variance"))
        shape = (jets, width) if group.slots is None else (jets, group.slots, width)
        spread = np.minimum(np.sqrt(variance), 30 + abs(mean))  # without the few at -999
        values = mean + spread * generator.normal(size=shape)
        values[-2] = mean + 10 * spread * generator.normal(size=shape[1:])
        whole = [variable.integer for variable in group.variables]
        values[..., whole] = np.rint(np.abs(values[..., whole]))
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
    """Networks' own inputs as our features: variable by variable, slot by slot; -999 "above charm" is the default, -1."""
    columns = [values if values.ndim == 2 else values.transpose(0, 2, 1).reshape(len(values), -1) for values in arrays]
    x = np.concatenate(columns, axis=1)
    if x.shape[1] == len(DEEPFLAVOUR.features):
        x[:, 9:13] = np.where(x[:, 9:13] == -999, -1, x[:, 9:13])
    return x
