"""One `load` for everything that kerastag writes, and what may not be loaded."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from kerastag.errors import UserError
from kerastag.flavours import FLAVOURS
from kerastag.layers import ClassLogits
from kerastag.saving.saved_model import ASSET
from kerastag.schema import Schema
from kerastag.statistics import Statistics

# Operations that reach out of the graph: a SavedModel is a program, and a tagger needs none of them.
_UNSAFE = {
    "EagerPyFunc",
    "PyFunc",
    "PyFuncStateless",
    "ReadFile",
    "WriteFile",
    "MatchingFiles",
    "FixedLengthRecordReaderV2",
    "WholeFileReaderV2",
    "TextLineReaderV2",
    "TFRecordReaderV2",
    "TextLineDataset",
    "TFRecordDataset",
    "TFRecordDatasetV2",
    "FixedLengthRecordDataset",
    "FixedLengthRecordDatasetV2",
    "DebugIdentityV2",
    "DebugIdentityV3",
    "PrintV2",
    "SaveDataset",
    "SaveDatasetV2",
    "SummaryWriter",
    "CreateSummaryFileWriter",
}


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
    return Schema.from_dict(content["schema"]) if content else None


def statistics(path: str | Path) -> Statistics | None:
    """The statistics that travel with a run directory or SavedModel; None for a bare `.keras` file."""
    content = _asset(path)
    return Statistics.from_dict(content["statistics"]) if content else None


def _asset(path: str | Path) -> dict | None:
    """What kerastag wrote into a SavedModel, or into that of a run directory; None if there is none."""
    path = Path(path)
    asset = (path / "saved_model" if (path / "tagger.keras").is_file() else path) / "assets" / ASSET
    return json.loads(asset.read_text()) if asset.is_file() else None


def _load_keras(path: Path) -> keras.Model:
    import kerastag.training  # noqa: F401  (registers the trainer, which may be saved whole)

    if not zipfile.is_zipfile(path):
        raise UserError(f"'{path}' is not a .keras file, or it is truncated.")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"'{path}' cannot be loaded: {reason}") from error
    return getattr(model, "tagger", model)


def _load_saved_model(path: Path) -> keras.Model:
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel()
    try:
        proto.ParseFromString((path / "saved_model.pb").read_bytes())
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise UserError(f"'{path}' is not a SavedModel, or it is damaged.") from error
    unsafe = _UNSAFE & {node.op for graph in proto.meta_graphs for node in _nodes(graph.graph_def)}
    if unsafe:
        raise UserError(f"'{path}' is refused: it uses {', '.join(sorted(unsafe))}, which no tagger needs.")
    try:
        layer = keras.layers.TFSMLayer(str(path), call_endpoint="logits", trainable=False)
    except ValueError as error:
        raise UserError(f"'{path}' has no endpoint 'logits', so it is no tagger of kerastag.") from error
    specification = layer.call_endpoint_fn.input_signature[0]
    inputs = keras.Input(specification.shape[1:], name="features")
    logits = layer(inputs)
    names = tuple((_asset(path) or {}).get("classes", FLAVOURS))
    if names != FLAVOURS:
        logits = ClassLogits(names)(logits)
    return keras.Model(inputs, logits, name="saved_model")


def _nodes(graph: Any) -> Iterator[Any]:
    """Operations of a graph and of its functions."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def
