"""One `load` for everything that kerastag writes, and what may not be loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import keras

from kerastag import checksums
from kerastag.errors import UserError
from kerastag.files import read_json
from kerastag.flavours import FLAVOURS
from kerastag.layers import ClassLogits
from kerastag.models.raw_features import functional
from kerastag.saving import archive, screen
from kerastag.saving.saved_model import ASSET
from kerastag.schema import Schema
from kerastag.statistics import Statistics

T = TypeVar("T")


def load(path: str | Path) -> keras.Model:
    """A tagger from raw features to logits, out of a run directory, a `.keras` file or a SavedModel.

    Raises:
        UserError: if there is none, or it holds code that a tagger does not need.
    """
    path = Path(path)
    if (path / "tagger.keras").is_file():
        path = path / "tagger.keras"
    if (path / "saved_model.pb").is_file():
        return _load_saved_model(path)
    if path.suffix == ".keras" and path.is_file():
        return _load_keras(path)
    raise UserError(f"'{path}' is no tagger: neither a run directory, nor a .keras file, nor a SavedModel.")


def description(path: str | Path) -> Schema | None:
    """The schema that travels with a run directory or SavedModel; None for a bare `.keras` file."""
    content = _asset(path)
    return _made(Schema.from_dict, content["schema"], path) if content else None


def statistics(path: str | Path) -> Statistics | None:
    """The statistics that travel with a run directory or SavedModel; None for a bare `.keras` file."""
    content = _asset(path)
    return _made(Statistics.from_dict, content["statistics"], path) if content else None


def _made(make: Callable[[dict], T], content: dict, path: str | Path) -> T:
    """What stored content stands for.

    Raises:
        UserError: if it is of another form.
    """
    try:
        return make(content)
    except UserError as error:
        raise UserError(f"'{ASSET}' in '{path}' is damaged: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"'{ASSET}' in '{path}' is damaged: {type(error).__name__}: {error}.") from error


def _asset(path: str | Path) -> dict | None:
    """What kerastag wrote into a SavedModel, or into that of a run directory; None if there is none."""
    path = Path(path)
    asset = (path / "saved_model" if (path / "tagger.keras").is_file() else path) / "assets" / ASSET
    return read_json(asset, {"schema": dict, "statistics": dict, "classes": list}) if asset.is_file() else None


def _load_keras(path: Path) -> keras.Model:
    import kerastag.training  # noqa: F401  (registers the trainer, which may be saved whole)

    archive.check(path)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras says nowhere what weights of the wrong form raise
        raise archive.damaged(path, error) from error
    tagger = getattr(model, "tagger", model)
    if not isinstance(tagger, keras.Model):
        raise UserError(f"'{path}' is no tagger: it holds a {type(tagger).__name__}, not a model.")
    shape = (tagger.get_build_config() or {}).get("input_shape")
    return functional(tagger, shape[-1]) if isinstance(shape, list | tuple) else tagger


def _load_saved_model(path: Path) -> keras.Model:
    if checksums.is_sealed(path):  # what others exported has no list
        checksums.check(path, "export the tagger anew")
    screen.check(path)
    try:
        layer = keras.layers.TFSMLayer(str(path), call_endpoint="logits", trainable=False)
        (specification,) = layer.call_endpoint_fn.input_signature
        inputs = keras.Input(specification.shape[1:], name="features")
        logits = layer(inputs)
    except Exception as error:  # TensorFlow says nowhere what variables or endpoints of the wrong form raise
        raise archive.damaged(path, error) from error
    if (asset := _asset(path)) is None:
        return keras.Model(inputs, logits, name="saved_model")
    names = tuple(asset["classes"])
    if not all(isinstance(name, str) for name in names):
        raise UserError(f"'{ASSET}' in '{path}' is damaged: its classes are no names.")
    if len(names) != logits.shape[-1]:
        raise UserError(f"'{ASSET}' in '{path}' is damaged: it names {len(names)} classes of {logits.shape[-1]} logits.")
    # Those of the schema are known without a layer that names them.
    if names != FLAVOURS or names != _made(Schema.from_dict, asset["schema"], path).class_names:
        logits = ClassLogits(names)(logits)
    return keras.Model(inputs, logits, name="saved_model")
