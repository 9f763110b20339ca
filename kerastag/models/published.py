"""Published weights of ParticleNet and the Particle Transformer, by the names that their authors' code gives them.

A `.pt` file is a pickle, which could run code, so it is not read. Convert it once, where you trust it:

    state = torch.load("ParticleNet_full.pt", map_location="cpu", weights_only=True)
    state = {f"weights/{name.removeprefix('mod.')}": value.numpy() for name, value in state.items()}
    numpy.savez("ParticleNet_full.npz", **state)

Reference: weaver-core 154db69 (github.com/hqucms/weaver-core), for the names.
"""

import itertools
import zipfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from kerastag.errors import UserError
from kerastag.layers import ClassToken, PairAttention, Scale
from kerastag.models.particle_net import edge_convolved, head
from kerastag.models.particle_transformer import attended
from kerastag.models.particles import Particles

_PREFIX = "weights/"
# The largest published network has 8.6 MB.
_LARGEST_FILE = 2**30
_OF_DENSE = {"kernel": "weight", "bias": "bias"}
_OF_NORMALISATION = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def published(path: str | Path, slots: int = 128, neighbours: int = 16) -> keras.Model:
    """A network with published weights, on the inputs that its authors feed it, not on raw features.

    Its kind and sizes follow from the shapes of the weights; number of slots and neighbours do not.

    Args:
        path: `.npz` file of float32 arrays `weights/<name>`, see above; further arrays in it are left alone.
        slots: Number of slots of particles.
        neighbours: Of each particle in ParticleNet.

    Returns:
        A model from a dictionary to logits `(batch, classes)`. It takes `features` `(batch, slots, channels)` and `mask`
        `(batch, slots, 1)`; ParticleNet `points` `(batch, slots, 2)` as well, the Particle Transformer `vectors` (px, py, pz,
        E), `(batch, slots, 4)`. `published_tagger` puts a layer in front that makes these of raw features of JetClass.

    Raises:
        UserError: if the file is none of these networks, or `neighbours` is no number of them.
    """
    if not (isinstance(neighbours, int) and neighbours > 0):
        raise UserError(f"'neighbours' must be a whole number above 0, not {neighbours}.")
    path = Path(path)
    weights = _read(path)
    try:
        build = _particle_transformer if "cls_token" in weights else _particle_net
        model = build(weights, slots, neighbours)
        _fill(model, weights)
    except (KeyError, ValueError) as error:
        raise UserError(f"'{path}' holds the weights of no ParticleNet or Particle Transformer: {error}.") from error
    return model


def _read(path: Path) -> dict[str, np.ndarray]:
    """The weights of a file by name."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _LARGEST_FILE:
            raise UserError(f"'{path}' is refused: it unpacks to {size:,} bytes, more than any network of this kind.")
        with np.load(path, allow_pickle=False) as arrays:
            names = [name for name in arrays.files if name.startswith(_PREFIX)]
            return {name.removeprefix(_PREFIX): arrays[name] for name in names}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"'{path}' cannot be read as .npz: {error}.") from error


def _inputs(slots: int, **channels: int) -> dict[str, keras.KerasTensor]:
    return {name: keras.Input((slots, number), name=name) for name, number in channels.items()}


def _particle_net(weights: Mapping[str, np.ndarray], slots: int, neighbours: int) -> keras.Model:
    blocks = len(_sizes(weights, "edge_convs.{}.sc_bn.bias"))
    channels = [_sizes(weights, f"edge_convs.{block}.bns.{{}}.bias") for block in range(blocks)]
    hidden = _sizes(weights, "fc.{}.0.bias")
    inputs = _inputs(slots, features=len(weights["bn_fts.bias"]), mask=1, points=2)
    code = edge_convolved(Particles("particle", **inputs), neighbours, channels)
    logits = head(code, hidden, 0.1, len(weights[f"fc.{len(hidden)}.bias"]))
    return keras.Model(inputs, logits, name="particle_net")


def _particle_transformer(weights: Mapping[str, np.ndarray], slots: int, _: int) -> keras.Model:
    # Each layer of an embedding is three of the original, with normalisation and activation.
    embedding = _sizes(weights, "embed.embed.{}.bias", first=1, step=3)
    *pairs, heads = _sizes(weights, "pair_embed.embed.{}.bias", first=1, step=3)
    blocks, class_blocks = (len(_sizes(weights, f"{kind}.{{}}.fc2.bias")) for kind in ("blocks", "cls_blocks"))
    inputs = _inputs(slots, features=len(weights["embed.input_bn.bias"]), mask=1, vectors=4)
    code = attended([Particles("particle", **inputs)], embedding, pairs, heads, blocks, class_blocks, 0.1)
    logits = keras.layers.Dense(len(weights["fc.0.bias"]), dtype="float32", name="fc.0")(code)
    return keras.Model(inputs, logits, name="particle_transformer")


def _sizes(weights: Mapping[str, np.ndarray], pattern: str, first: int = 0, step: int = 1) -> list[int]:
    """Lengths of the weights of a name with consecutive numbers."""
    names = itertools.takewhile(weights.__contains__, (pattern.format(number) for number in itertools.count(first, step)))
    return [len(weights[name]) for name in names]


def _fill(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Set every weight of a model, whose layers have the names of the original; all of the file must be used."""
    unused = {name for name in weights if not name.endswith("num_batches_tracked")}
    for layer in model.layers:
        names, arrays = _of_layer(layer, weights)
        unused -= names
        layer.set_weights(arrays)
    if unused:
        raise ValueError(f"it has '{min(unused)}' besides")


def _of_layer(layer: keras.layers.Layer, weights: Mapping[str, np.ndarray]) -> tuple[set[str], list[np.ndarray]]:
    """Names of the original that belong to a layer, and their values as the layer has them."""
    if isinstance(layer, ClassToken | Scale):
        return {layer.name}, [weights[layer.name]]
    if isinstance(layer, PairAttention):
        return _of_attention(layer.name, weights)
    counterparts = _OF_DENSE | _OF_NORMALISATION
    names = [f"{layer.name}.{counterparts[weight.name]}" for weight in layer.weights]
    return set(names), [_as_here(weights[name]) for name in names]


def _of_attention(name: str, weights: Mapping[str, np.ndarray]) -> tuple[set[str], list[np.ndarray]]:
    """Kernel and bias of query, key and value, which the original keeps in one array, and of the projection."""
    names = [f"{name}.{part}.{weight}" for part in ("in_proj", "out_proj") for weight in ("weight", "bias")]
    kernel, bias, *projection = (_as_here(weights[one]) for one in names)
    parts = zip(np.split(kernel, 3, axis=-1), np.split(bias, 3), strict=True)
    return set(names), [*itertools.chain.from_iterable(parts), *projection]


def _as_here(array: np.ndarray) -> np.ndarray:
    """A kernel, (outputs, inputs) and for convolutions further sizes of 1, as (inputs, outputs); others as they are."""
    return array.reshape(array.shape[:2]).T if array.ndim > 1 else array
