"""One tagger in every format: the run behind `scripts/export.py`."""

from pathlib import Path

import numpy as np

from kerastag import schema, tables
from kerastag import data
from kerastag import saving
from kerastag.errors import UserError
from kerastag.saving.taggers import NamedTagger, check_inputs, find
from kerastag.files import replaced, write_json
from kerastag.saving.onnx import export_onnx, parity
from kerastag.schema import SCHEMAS, Schema
from kerastag.statistics import Statistics

# Formats that differ by more than this are a defect.
TOLERANCE = 1e-4


def run(
    tagger: str,
    output: Path,
    *,
    config: str,
    data_dir: str | None,
    manual_dir: str | None,
    features: Path | None,
    max_jets: int,
) -> None:
    """Write `tagger.keras`, `saved_model/`, `model.onnx` and `parity.json`; see `scripts/export.py --help` for the options.

    Raises:
        UserError: if there is no such tagger, or no jets to compare the formats on.
        RuntimeError: if the formats disagree.
    """
    found = find(tagger)
    described = found.schema or schema.get(config)
    x, statistics = _jets(found, described, data_dir, manual_dir, features, max_jets)
    output.mkdir(parents=True, exist_ok=True)
    with replaced(output / "tagger.keras") as new:
        found.model.save(new)
    saving.export(found.model, described, statistics, output / "saved_model")
    export_onnx(found.model, described, output / "model.onnx")
    differences = parity(found.model, output / "saved_model", output / "model.onnx", x)
    write_json(output / "parity.json", {"tagger": found.source, "jets": len(x), "max_difference": differences})
    header = ["format", "largest difference of probabilities to Keras"]
    table = tables.markdown(header, [[name, f"{difference:.1e}"] for name, difference in differences.items()])
    print(f"{found.name}, {len(x):,} jets:\n\n{table}\n")
    print(f"SavedModel {output / 'saved_model'}, ONNX {output / 'model.onnx'}, numbers {output / 'parity.json'}.")
    if not max(differences.values()) <= TOLERANCE:
        raise RuntimeError(f"The formats of {found.name} disagree by more than {TOLERANCE:g}: {differences}.")


def _jets(
    tagger: NamedTagger, described: Schema, data_dir: str | None, manual_dir: str | None, features: Path | None, max_jets: int
) -> tuple[np.ndarray, Statistics]:
    """Jets to compare the formats on, `(jets, features)`, and the statistics that travel with the export."""
    own = None if tagger.record else saving.statistics(tagger.source)
    if features is not None:
        x = _stored(features, described)[:max_jets]
        return x, own or Statistics.of(x, described.defaults)
    if described.name not in SCHEMAS:
        raise UserError(f"There is no data set of the inputs of '{tagger.source}'; give jets with --features FILE.npy.")
    dataset = data.prepare(described.name, data_dir=data_dir, manual_dir=manual_dir)
    check_inputs(tagger, dataset.schema)
    return dataset.arrays("test").features[:max_jets], own or dataset.statistics


def _stored(path: Path, described: Schema) -> np.ndarray:
    """Features in a NumPy file, checked before they are read."""
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read as a NumPy array: {error}") from error
    width = len(described.features)
    if getattr(x, "ndim", 0) != 2 or x.shape[1] != width or not len(x) or x.dtype.kind not in "fiu":
        raise UserError(f"'{path}' must hold numbers of shape (jets, {width}), the features of {described.name}.")
    return np.asarray(x, np.float32)
