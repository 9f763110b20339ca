"""Taggers on disk: SavedModel, ONNX, and one `load` for everything that kerastag writes."""

import kerastag.backend  # noqa: F401  (before Keras is imported)
from kerastag.saving.loading import description, load, statistics
from kerastag.saving.onnx import export_onnx, parity
from kerastag.saving.saved_model import export

__all__ = ["description", "export", "export_onnx", "load", "parity", "statistics"]
