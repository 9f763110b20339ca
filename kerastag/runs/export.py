"""One tagger in every format, compared on stored jets."""

from pathlib import Path

import numpy as np

from kerastag import outputs, saving, tables
from kerastag.errors import UserError
from kerastag.files import replaced, write_json, write_text
from kerastag.request import Sample
from kerastag.runs.opening import opened, schema_of
from kerastag.saving.card import CARD, card
from kerastag.saving.taggers import NamedTagger, check_inputs, find
from kerastag.schema import ALL, SCHEMAS, Schema, current
from kerastag.statistics import Statistics

# Formats that differ by more than this are a defect.
TOLERANCE = 1e-4


@outputs.keeps
def export(tagger: str, sample: Sample, output: Path, *, features: Path | None = None, with_card: bool = False) -> None:
    """Write `tagger.keras`, `saved_model/`, `model.onnx` and `parity.json`.

    Args:
        tagger: A path, a legacy tagger, or NAME=one of these.
        sample: Jets to compare the formats on; their inputs are the tagger's where these are known.
        output: Folder of the results.
        features: NumPy file of jets `(jets, features)` instead.
        with_card: Whether to write a model card as well, of a run directory.

    Raises:
        UserError: if there is no such tagger, no card can be made, or no jets to compare the formats on.
        RuntimeError: if the formats disagree.
    """
    named = find(tagger)
    inputs = named.schema or schema_of(sample)
    if (sample.config or sample.schema) and (asked := schema_of(sample).name) != inputs.name:
        raise UserError(f"'{tagger}' takes the inputs of {inputs.name}, not of {asked}; leave --config and --schema out.")
    if with_card:
        trained = sum(int(np.prod(weights.shape)) for weights in named.model.trainable_weights)
        write_text(output / CARD, card(Path(named.source), inputs, trained))
    stored = None if named.record else saving.statistics(named.source)
    if features is not None:
        x = _stored_features(features, inputs)[: sample.max_jets]
        statistics = stored or Statistics.of(x, inputs.defaults)
    else:
        x, of_training = _jets(named, inputs, sample)
        statistics = stored or of_training
    saving.export_onnx(named.model, inputs, output / "model.onnx")
    with replaced(output / "tagger.keras") as new:
        named.model.save(new)
    saving.export(named.model, inputs, statistics, output / "saved_model")
    differences = saving.parity(named.model, output / "saved_model", output / "model.onnx", x)
    write_json(output / "parity.json", {"tagger": named.source, "jets": len(x), "max_difference": differences})
    header = ["format", "largest difference of probabilities to Keras"]
    table = tables.markdown(header, [[name, f"{difference:.1e}"] for name, difference in differences.items()])
    print(f"{named.name}, {len(x):,} jets:\n\n{table}\n")
    print(f"SavedModel {output / 'saved_model'}, ONNX {output / 'model.onnx'}, numbers {output / 'parity.json'}.")
    if not max(differences.values()) <= TOLERANCE:
        raise RuntimeError(f"The formats of {named.name} disagree by more than {TOLERANCE:g}: {differences}.")


def _jets(tagger: NamedTagger, inputs: Schema, sample: Sample) -> tuple[np.ndarray, Statistics]:
    """Features `(jets, features)` from the data set of a tagger's inputs, and the statistics of its training jets."""
    if inputs.name in ALL and inputs.name not in SCHEMAS:
        raise UserError(f"There is no data set of the inputs of '{tagger.source}'; give jets with --features FILE.npy.")
    dataset = opened(sample, current(inputs))
    check_inputs(tagger, dataset.schema)
    return dataset.arrays(sample.split).features[: sample.max_jets], dataset.statistics


def _stored_features(path: Path, inputs: Schema) -> np.ndarray:
    """Features in a NumPy file, checked before they are read."""
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read as a NumPy array: {error}") from error
    width = len(inputs.features)
    if getattr(x, "ndim", 0) != 2 or x.shape[1] != width or not len(x) or x.dtype.kind not in "fiu":
        raise UserError(f"'{path}' must hold numbers of shape (jets, {width}), the features of {inputs.name}.")
    return np.asarray(x, np.float32)
