"""What a `.keras` file may hold, looked at before anything in it is built, unpacked or allocated."""

import io
import json
import math
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import keras

from kerastag.errors import UserError

_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
# Weights shrink by less than this; an archive that shrinks more was made to fill a disk.
_LARGEST_RATIO, _SMALL = 10, 2**20
_DEEPEST = 500
# Where Keras keeps what a network, also a compiled one inside it, is made of.
_MODULES = (
    "keras.activations",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.losses",
    "keras.metrics",
    "keras.models",
    "keras.ops",
    "keras.optimizers",
    "keras.random",
    "keras.regularizers",
    "keras.src.models",
    "keras.src.ops",
)
# How weights are kept in fewer bits. Else there are functions, data for calibration, and float8, which has no gradients here.
_QUANTIZERS = ("AbsMaxQuantizer", "Int4QuantizationConfig", "Int8QuantizationConfig")
# What Keras writes of tensors and numbers, without saying where it is from.
_PLAIN = ("__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__", "__tuple__", "__bytes__")
# Layers that hold code, or read files that their config names.
_CODE = ("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper")
_FILES = ("Hashing", "IntegerLookup", "StringLookup", "TextVectorization")
CODE_OR_FILES = frozenset((*_CODE, *_FILES))


def check(path: Path) -> None:
    """Refuse a `.keras` file that no tagger can be.

    Raises:
        UserError: if it is damaged, larger unpacked than weights can be, or its config names code, files or more weights than
            the file has.
    """
    if not zipfile.is_zipfile(path):
        raise UserError(f"'{path}' is not a .keras file, or it is truncated.")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            config = json.loads(archive.read("config.json"))
            with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
                stored = sum(_sizes(file, path))
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib, json and h5py raise a dozen kinds for a damaged file
        raise damaged(path, error) from error
    _check_config(config, path)
    declared = _declared(config, path)
    if declared > _LARGEST_RATIO * stored + _SMALL:
        raise UserError(f"'{path}' is damaged: its network has {declared:,} weights, but {stored:,} are stored.")


def damaged(path: Path, error: Exception) -> UserError:
    """What a user is told of a file that a library could not read."""
    reason = next(iter(str(error).strip().splitlines()), "")
    return UserError(f"'{path}' cannot be loaded: {type(error).__name__}: {reason}"[:500])


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    for member in members:
        if member.filename not in _MEMBERS and not member.filename.startswith("assets/"):
            raise UserError(f"'{path}' is refused: '{member.filename}' is no part of a .keras file.")
    packed, unpacked = (sum(getattr(member, size) for member in members) for size in ("compress_size", "file_size"))
    if unpacked > _LARGEST_RATIO * packed + _SMALL:
        raise UserError(f"'{path}' is refused: its {packed:,} bytes would unpack to {unpacked:,}, more than weights do.")


def _sizes(group: h5py.Group, path: Path) -> Iterator[int]:
    """Number of values of each array below a group; none may lie outside the file, or be larger than what is stored of it."""
    groups, seen = [group], set()
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise UserError(f"'{path}' is refused: its weights '{group.name}/{name}' lie elsewhere.")
            value = group[name]
            if (address := h5py.h5o.get_info(value.id).addr) in seen:
                continue
            seen.add(address)
            if isinstance(value, h5py.Group):
                groups.append(value)
            elif value.external or value.is_virtual:
                raise UserError(f"'{path}' is refused: its weights '{value.name}' lie elsewhere.")
            elif value.nbytes > _LARGEST_RATIO * value.id.get_storage_size():
                raise UserError(f"'{path}' is damaged: '{value.name}' takes {value.nbytes:,} bytes, which are not there.")
            else:
                yield value.size


def _check_config(config: Any, path: Path) -> None:
    """Everything that the config names must be a part of a network, or registered with Keras in this process."""
    if isinstance(config, dict):  # loading leaves out what the network itself was compiled with, but not what those inside were
        config = config | {"compile_config": None}
    values: list[tuple[Any, int]] = [(config, 0)]
    while values:
        value, depth = values.pop()
        if depth > _DEEPEST:
            raise UserError(f"'{path}' is refused: its config is nested more than {_DEEPEST} times.")
        if isinstance(value, dict):
            if "class_name" in value:
                _check_object(value, path)
            values += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            values += [(item, depth + 1) for item in value]


def _check_object(config: dict, path: Path) -> None:
    name, module = config["class_name"], config.get("module")
    if (module is None and str(name) in _PLAIN) or (module == "keras.quantizers" and str(name) in _QUANTIZERS):
        return
    if name == "function":  # its name stands in the config
        name = config.get("config")
    of_keras = module in ("keras", "builtins") or any(f"{module}.".startswith(f"{part}.") for part in _MODULES)
    registered = keras.saving.get_registered_object(config.get("registered_name") or "") is not None
    if name in CODE_OR_FILES or not (of_keras or registered):
        reason = (
            f"it holds {f'{module}.' if module else ''}{name}, which is no part of a network, or not registered with Keras here"
        )
        remedy = "import its module first, on a command line with --code MODULE; a SavedModel needs none"
        raise UserError(f"'{path}' is refused: {reason}{'' if of_keras else f'; if it is your own code, {remedy}'}.")


def _uncompiled(config: Any) -> Any:
    """A config without optimizers, also of networks inside."""
    if isinstance(config, dict):
        return {key: None if key == "compile_config" else _uncompiled(value) for key, value in config.items()}
    return [_uncompiled(value) for value in config] if isinstance(config, list) else config


def _declared(config: Any, path: Path) -> int:
    """How many numbers the network of a config has as weights, none of which are made.

    It is not known, and 0, where a layer of somebody's own makes its variables by itself.
    """

    def count() -> int:
        with keras.StatelessScope(initialize_variables=False):
            network = keras.saving.deserialize_keras_object(_uncompiled(config), safe_mode=True)
        return sum(math.prod(weight.shape) for weight in network.weights)

    try:
        # Keras remembers by thread which variables it still has to make, and would make these at its next chance.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(count).result()
    except Exception as error:  # Keras says nowhere what a config of the wrong form raises
        if "stateless scope" in str(error):
            return 0
        raise damaged(path, error) from error
