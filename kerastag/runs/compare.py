"""Our taggers and legacy ones on the same jets."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from kerastag import outputs, plots, tables
from kerastag.attacks import CLEAN, Condition, conditions
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation import transfer
from kerastag.evaluation.comparison import drawn_logits
from kerastag.evaluation.transfer import Contestant, Matrix, cross_examine, shared_jets
from kerastag.files import write_json, write_text
from kerastag.jets import Jets
from kerastag.metrics import RankedPair
from kerastag.request import COMPARISON, FLATTERED, REPLICATES, AttackGrid, Sample
from kerastag.results import NotDefined
from kerastag.runs.evaluate import print_nonfinite
from kerastag.runs.opening import opened, schema_of
from kerastag.saving.taggers import NamedTagger, check_inputs, find_all, for_jets
from kerastag.schema import ALL, SCHEMAS, Schema, Separation, current


@outputs.keeps
def compare(
    taggers: Sequence[str],
    sample: Sample,
    output: Path,
    grid: AttackGrid = COMPARISON,
    *,
    replicates: int = REPLICATES,
) -> None:
    """Compare taggers, each attacked and shown to the others.

    Args:
        taggers: Each a path, a legacy tagger, or NAME=one of these.
        sample: The jets and their true flavours; a tagger of other inputs reads the same jets through its own config.
        output: Folder of the results.
        grid: The attacks; FGSM is always among them.
        replicates: Bootstrap resamples.

    Raises:
        UserError: if a tagger does not fit its jets, or the data sets share none.
    """
    start = time.perf_counter()
    grid = dataclasses.replace(grid, attacks=tuple(dict.fromkeys(["fgsm", *grid.attacks])))
    found = find_all(taggers)
    schema = schema_of(sample, taggers)
    datasets = _datasets(found, sample, schema)
    loaded = [for_jets(tagger, datasets[_inputs(tagger, schema).name].schema) for tagger in found]
    jets = _same_jets(datasets, sample)
    inputs = {tagger.name: _inputs(tagger, schema).name for tagger in loaded}
    contestants = [
        Contestant(tagger.name, tagger.model, datasets[inputs[tagger.name]], jets[inputs[tagger.name]]) for tagger in loaded
    ]
    under = conditions(grid)
    matrix = cross_examine(contestants, under, replicates, lambda pairs: tqdm(pairs, "Attacking", disable=None))
    truth = jets[schema.name]
    title = f"{len(truth):,} jets of {schema.name}, {sample.of_split}"
    shared = f"{len(truth):,} jets of {sample.of_split}, flavours of {schema.name}"
    if len(datasets) > 1:
        shared += f"; only the jets that {' and '.join(datasets)} share, each tagger attacked in its own inputs"
    text = "".join(_foreword(tagger, jets[inputs[tagger.name]], matrix) for tagger in loaded if tagger.record)
    text += f"{shared}; ± is half the 68 % bootstrap interval.\n\n{transfer.markdown(matrix)}\n"
    if sample.has_training_jets and not all(tagger.record for tagger in loaded):
        text += f"\n{FLATTERED}\n"
    content = {
        "command": sys.argv,
        "config": schema.name,
        "fingerprints": {name: dataset.fingerprint for name, dataset in datasets.items()},
        "split": sample.split,
        "jets": len(truth),
        "replicates": replicates,
        "taggers": {tagger.name: _origin(tagger, matrix) for tagger in loaded},
        "conditions": {condition.label: dataclasses.asdict(condition) for condition in under},
        "nonfinite_gradients": {c.label: count for c, count in matrix.white_box.nonfinite_gradients.items()},
        "matrix": transfer.to_json(matrix),
    }
    write_json(output / "comparison.json", content)
    write_text(output / "table.md", text)
    write_text(output / "comparison.csv", tables.comma_separated(transfer.records(matrix)))
    figure, _ = plots.roc(
        truth.y, drawn_logits(matrix.white_box, under), matrix.schema.in_tables, f"{title} (AUC)", truth.weights
    )
    plots.save(figure, output / "roc.png")
    if losses := _losses(matrix):
        plots.save(plots.transfer(list(matrix.inputs), losses, title, matrix.schema.main.name)[0], output / "transfer.png")
    print(text)
    print_nonfinite(matrix.white_box)
    print(f"Numbers {output / 'comparison.json'} and comparison.csv, tables table.md, figures roc.png and transfer.png.")
    print(f"Took {time.perf_counter() - start:.0f} s.")


def _inputs(tagger: NamedTagger, truth: Schema) -> Schema:
    """The schema through which a tagger reads jets; that of the truth where its own is not known, or has no data set."""
    known = tagger.schema and current(tagger.schema)
    if known is None or known.name == truth.name or (known.name in ALL and known.name not in SCHEMAS):
        return truth
    return known


def _datasets(taggers: Sequence[NamedTagger], sample: Sample, truth: Schema) -> dict[str, JetDataset]:
    """The data set of each schema that is needed, that of the truth first; every tagger is checked against its own."""
    schemas = {truth.name: truth} | {_inputs(tagger, truth).name: _inputs(tagger, truth) for tagger in taggers}
    datasets = {}
    for name, schema in schemas.items():
        datasets[name] = opened(sample, schema)
        for tagger in taggers:
            if _inputs(tagger, truth).name == name:
                check_inputs(tagger, datasets[name].schema)
    return datasets


def _same_jets(datasets: dict[str, JetDataset], sample: Sample) -> dict[str, Jets]:
    """The jets of a split that all data sets have, row by row the same."""
    next(iter(datasets.values())).count(sample.split)
    jets = {name: dataset.arrays(sample.split) for name, dataset in datasets.items()}
    rows = shared_jets([of_set.spectators for of_set in jets.values()])
    if not len(rows[0]):
        raise UserError(f"The data sets {' and '.join(datasets)} share no jets; build them from the same files.")
    return {name: jets[name].take(of_set[: sample.max_jets]) for name, of_set in zip(jets, rows, strict=True)}


def _origin(tagger: NamedTagger, matrix: Matrix) -> dict[str, Any]:
    """Where a tagger came from."""
    record = tagger.record
    origin = {"sha256": record.sha256, "reference": record.reference, "classes": record.classes} if record else {}
    return {"source": tagger.source, "inputs": matrix.inputs[tagger.name], **origin}


def _foreword(tagger: NamedTagger, jets: Jets, matrix: Matrix) -> str:
    """What must be known of a legacy tagger before its areas are read."""
    name, record = tagger.name, tagger.record
    if record is None:
        return ""
    main = matrix.schema.main
    logits = matrix.white_box.logits[name][CLEAN][main.name]
    text = (
        f"{name} was trained for the CMS detector ({record.reference}); on these clean jets its {main.name} AUC is "
        f"{_area(jets, logits, main)}. On jets of any other detector, such as the sample that comes along, it is out of its "
        "domain. Compare relative losses, do not rank areas."
    )
    if unanswered := record.unanswered(jets.features):
        answered = record.answered(jets.features)
        area = _area(jets.take(answered), logits[answered], main)
        text += f" {unanswered} Without them its clean {main.name} AUC is {area}."
    return text + "\n\n"


def _area(jets: Jets, logits: np.ndarray, separation: Separation) -> str:
    area = RankedPair(jets.y, logits, separation).auc(jets.weights)
    return str(area) if isinstance(area, NotDefined) else f"{area:.4f}"


def _losses(matrix: Matrix) -> dict[str, np.ndarray]:
    """Losses of the main area, `(taggers, taggers)`, by label of the condition; NaN where not defined."""

    def value(condition: Condition, source: str, target: str) -> float:
        loss = matrix.loss(condition, source, target)
        return np.nan if isinstance(loss, NotDefined) else loss.value

    return {
        condition.label: np.array([[value(condition, source, target) for target in matrix.inputs] for source in matrix.inputs])
        for condition in matrix.duels
        if not condition.is_clean
    }
