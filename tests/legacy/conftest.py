"""Files of CMS, and random jets in the ranges that their networks were trained on."""

from pathlib import Path

import numpy as np
import pytest

from kerastag import legacy
from kerastag.legacy.arrays import frozen_graph, keras_h5, torch_onnx
from kerastag.schema import DEEPDOUBLEX, DEEPFLAVOUR, PARTICLE_TRANSFORMER_AK4, Group

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


def particle_transformer_jets(name: str, jets: int = 160, seed: int = 3) -> np.ndarray:
    """Features of one of the RobustParTAK4, `(jets, 1016)`: mean and twice the σ of its training, and four-vectors of a jet.

    A random number of slots is filled from the front; jets 60 to 109 are full. Special values are in jets 60 to 79, and momenta
    of TeV in 80 to 94. The last three have one charged candidate, values ten times as far from the mean, and one neutral
    candidate.
    """
    get = torch_onnx(WEIGHTS / legacy.get(name).path)
    generator = np.random.default_rng(seed)
    axis = generator.uniform((-2, -np.pi), (2, np.pi), (jets, 2))
    arrays = []
    for prefix, group in zip(("cpf", "npf", "vtx"), PARTICLE_TRANSFORMER_AK4.groups, strict=True):
        width = len(group.variables) - 4
        layer = f"InputProcess.{prefix}_bn0"
        mean, variance = (get(layer, kind, (width,)) for kind in ("moving_mean", "moving_variance"))
        values = mean + 2 * np.sqrt(variance) * generator.normal(size=(jets, group.slots, width))
        values[-2] = mean + 20 * np.sqrt(variance) * generator.normal(size=(group.slots, width))
        values = _with_specials(values, group, generator)
        values = np.concatenate([values, _four_vectors(axis, group.slots, generator)], axis=-1)
        filled = generator.integers(0, group.slots + 1, jets)
        filled[60:110] = filled[-2] = group.slots
        filled[[-3, -1]] = [prefix == "cpf", prefix == "npf"]
        arrays.append((values * (np.arange(group.slots) < filled[:, None])[..., None]).astype(np.float32))
    return flat(arrays)


def _with_specials(values: np.ndarray, group: Group, generator: np.random.Generator) -> np.ndarray:
    """Whole numbers where there are no others; special values in a third of the cells of jets 60 to 79 that have them."""
    for column, variable in enumerate(group.variables[:-4]):
        if variable.integer:
            values[..., column] = np.rint(abs(values[..., column]))
        if variable.special:
            cells = values[60:80, :, column]
            cells[...] = np.where(generator.random(cells.shape) < 1 / 3, generator.choice(variable.special, cells.shape), cells)
    return values


def _four_vectors(axis: np.ndarray, slots: int, generator: np.random.Generator) -> np.ndarray:
    """px, py, pz, E of objects of 0.14 GeV around jet axes (η, φ), `(jets, slots, 4)`."""
    pt = np.exp(generator.normal(1, 1, (len(axis), slots)))
    pt[80:95] *= 1000
    eta, phi = (axis[:, None] + generator.normal(0, 0.15, (len(axis), slots, 2))).transpose(2, 0, 1)
    momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)
    return np.concatenate([momentum, np.sqrt((momentum**2).sum(axis=-1, keepdims=True) + 0.14**2)], axis=-1)
