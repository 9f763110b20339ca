"""Vulnerability against the number of inputs: the trainings, table and figure of `scripts/scan_inputs.py`.

All taggers take the same raw features but look at some groups of them alone, so jets, threat model and evaluation are the same.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import plots, tables
from kerastag import data
from kerastag.runs import train as experiment
from kerastag import saving
from kerastag.errors import UserError
from kerastag.evaluation.comparison import compare, conditions
from kerastag.evaluation.input_scan import RESULT, markdown
from kerastag.files import write_json, write_text
from kerastag.recipes import Settings
from kerastag.schema import Schema

TRAININGS = {"nominal": "nominal", "adversarial": "fgsm"}
_SLOTS = (1, 2, 4, 6)


def default_inputs(schema: Schema) -> list[tuple[str, ...]]:
    """Sets to scan: each group without slots, all of these together, with the first 1, 2, 4, 6 tracks, and everything.

    The first group goes with the tracks, since it says where the jet is; "tracks" are the group with most slots.
    """
    plain = [group.name for group in schema.groups if group.slots is None]
    sets = [(name,) for name in plain] + ([tuple(plain)] if len(plain) > 1 else [])
    if tracks := schema.largest_group:
        sets += [(plain[0], f"{tracks.name}:{slots}") for slots in _SLOTS if slots <= tracks.slots]
        sets.append(tuple(group.name for group in schema.groups))
    return sets


def run(settings: Settings, output: Path, sets: Sequence[Sequence[str]], seeds: Sequence[int], attacks: Sequence[str]) -> None:
    """Train and evaluate what is missing below `output`, then write table, rows and figure.

    Args:
        settings: Of all trainings; inputs, defence and seed are varied.
        output: Folder of the scan.
        sets: Groups of inputs, each as `Schema.restricted` takes them; empty for `default_inputs`.
        seeds: Of the trainings.
        attacks: Names of the attacks in the evaluation.

    Raises:
        UserError: if there is no such group, or the test split lacks b or light jets.
    """
    dataset = data.prepare(settings.config, data_dir=settings.data_dir, manual_dir=settings.manual_dir)
    chosen = [tuple(inputs) for inputs in sets] or default_inputs(dataset.schema)
    numbers = {inputs: len(dataset.schema.restricted(inputs).features) for inputs in chosen}
    todo = [(inputs, training, seed) for inputs in chosen for training in TRAININGS for seed in seeds]
    found: dict[tuple, list[dict]] = {}
    for inputs, training, seed in tqdm(todo, "Trainings", disable=None):
        own = dataclasses.replace(settings, inputs=inputs, defense=TRAININGS[training], seed=seed)
        folder = output / f"{'_'.join(inputs).replace(':', '')}-{training}-seed{seed}".replace(" ", "_")
        experiment.train_missing(own, dataset, folder)
        found.setdefault((inputs, training), []).append(_evaluated(dataset, own, folder, attacks))
    rows = [
        {"inputs": " + ".join(inputs), "features": numbers[inputs], "training": training, "seeds": len(runs), **row}
        for (inputs, training), runs in sorted(found.items(), key=lambda item: numbers[item[0][0]])
        for row in _over_seeds(runs)
    ]
    _write(rows, dataset, settings, output)


def _evaluated(dataset: data.JetDataset, settings: Settings, folder: Path, attacks: Sequence[str]) -> dict:
    """Areas of a training, read back if they are there."""
    file = folder / RESULT
    made_of = {"fingerprint": dataset.fingerprint, "attacks": list(attacks), "epsilon": settings.epsilon}
    if file.is_file():
        stored = json.loads(file.read_text())
        if stored["made_of"] == made_of:
            return stored["results"]
    split = dataset.arrays("test")
    under = conditions(dataset.schema, dataset.scale(settings.scale), [settings.epsilon], attacks=attacks, only=settings.only)
    results = compare({"tagger": saving.load(folder)}, split, split.y, under)[0]["tagger"]
    for condition, row in results.items():
        if isinstance(row["BvL"], str):
            raise UserError(f"The test split cannot be evaluated: BvL, {condition}: {row['BvL']}.")
    write_json(file, {"made_of": made_of, "results": results})
    return results


def _over_seeds(runs: Sequence[Mapping]) -> list[dict]:
    """Mean over seeds, with the 68 % interval of the sample around it, and the spread of the seeds."""
    rows = []
    for condition in runs[0]:
        areas = [one[condition]["BvL"] for one in runs]
        value, loss = (float(np.mean([area[name] for area in areas])) for name in ("value", "loss"))
        row = {"condition": condition, "value": value, "loss": loss}
        for name, mean, prefix in (("value", value, ""), ("loss", loss, "loss_")):
            row[f"{prefix}low"] = mean - areas[0][name] + areas[0][f"{prefix}low"]
            row[f"{prefix}high"] = mean - areas[0][name] + areas[0][f"{prefix}high"]
            row[f"{prefix}spread"] = float(np.std([area[name] for area in areas], ddof=1)) if len(areas) > 1 else None
        rows.append(row)
    return rows


def _write(rows: list[dict], dataset: data.JetDataset, settings: Settings, output: Path) -> None:
    jets = dataset.count("test")
    title = f"{jets:,} test jets of {settings.config}, ε = {settings.epsilon:g}"
    write_json(output / RESULT, {"fingerprint": dataset.fingerprint, "jets": jets, "epsilon": settings.epsilon, "rows": rows})
    write_text(output / "inputs.csv", tables.comma_separated(rows))
    text = f"{title}; ± is half the 68 % bootstrap interval, seeds: their standard deviation.\n\n{markdown(rows)}\n"
    write_text(output / "table.md", text)
    figure, _ = plots.against_inputs(rows, title)
    plots.save(figure, output / "inputs.png", output / "inputs.pdf")
    print(f"\n{text}\nTable {output / 'table.md'}, rows {output / 'inputs.csv'}, figure {output / 'inputs.png'}.")
