"""Vulnerability against the number of inputs: trainings that look at some groups of inputs alone.

All taggers take the same raw features, so jets, threat model and evaluation are the same.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from kerastag import outputs, plots, saving, tables
from kerastag.attacks import conditions
from kerastag.data import JetDataset
from kerastag.evaluation.comparison import compare
from kerastag.evaluation.input_scan import RESULT, markdown
from kerastag.files import read_json, write_json, write_text
from kerastag.recipes import Settings
from kerastag.request import SCAN, AttackGrid
from kerastag.results import Interval, Seeds, defined, plain
from kerastag.runs.opening import opened
from kerastag.runs.train import train_missing
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
        sets += [(plain[0], f"{tracks.name}:{slots}") for slots in _SLOTS if slots <= (tracks.slots or 0)]
        sets.append(tuple(group.name for group in schema.groups))
    return sets


@outputs.keeps
def scan_inputs(
    settings: Settings,
    output: Path,
    sets: Sequence[Sequence[str]] = (),
    seeds: Sequence[int] = (0,),
    grid: AttackGrid = SCAN,
) -> None:
    """Train and evaluate what is missing below `output`, then write table, rows and figure.

    Args:
        settings: Settings of all trainings; inputs, defence and seed are varied.
        output: Folder of the scan.
        sets: Groups of inputs, each as `Schema.restricted` takes them; none for `default_inputs`.
        seeds: Seeds of the trainings.
        grid: Attacks of the evaluation and what they increase; size and box are those of the settings.

    Raises:
        UserError: if there is no such group, or the test split lacks jets of a side of the main discriminator.
    """
    dataset = opened(settings)
    sets = [tuple(inputs) for inputs in sets] or default_inputs(dataset.schema)
    numbers = {tuple(inputs): len(dataset.schema.restricted(inputs).features) for inputs in sets}
    box: dict[str, Any] = {"scale": settings.scale, "only": settings.only, "physics": settings.physics}
    grid = dataclasses.replace(grid, epsilons=(settings.epsilon,), **box)
    for condition in conditions(grid):  # mistakes are found before the first training
        condition.aimed_at(dataset.schema.main.name).build(dataset)
    trainings = [(inputs, training, seed) for inputs in numbers for training in TRAININGS for seed in seeds]
    results: dict[tuple, list[dict]] = {}
    for inputs, training, seed in tqdm(trainings, "Trainings", disable=None):
        variant = dataclasses.replace(settings, inputs=inputs, defense=TRAININGS[training], seed=seed)
        folder = output / f"{'_'.join(inputs).replace(':', '')}-{training}-seed{seed}".replace(" ", "_")
        train_missing(variant, dataset, folder)
        results.setdefault((inputs, training), []).append(_evaluated(dataset, folder, grid))
    rows = [
        {"inputs": " + ".join(inputs), "features": numbers[inputs], "training": training, **row}
        for (inputs, training), of_seeds in sorted(results.items(), key=lambda item: numbers[item[0][0]])
        for row in _over_seeds(of_seeds)
    ]
    _write(rows, dataset, settings, output)


def _evaluated(dataset: JetDataset, folder: Path, grid: AttackGrid) -> dict[str, dict[str, Interval]]:
    """Main area and loss of a training by label of the condition, read back if they were measured before."""
    file = folder / RESULT
    made_of = {"fingerprint": dataset.fingerprint, "attacks": list(grid.attacks), "epsilon": grid.epsilons[0]}
    if grid.objectives != SCAN.objectives:
        made_of["objectives"] = list(grid.objectives)
    if dataset.schema.ratios:
        made_of["ratios"] = plain(list(dataset.schema.ratios))
    if file.is_file() and (stored := read_json(file))["made_of"] == made_of:
        return stored["results"]
    under = conditions(grid)
    comparison = compare({"tagger": saving.load(folder)}, dataset, dataset.arrays("test"), under)
    results = {}
    for condition in under:
        numbers = {"area": comparison.area("tagger", condition), "loss": comparison.loss("tagger", condition)}
        results[condition.label] = {
            name: defined(number, f"{dataset.schema.main.name} AUC of the test split").interval
            for name, number in numbers.items()
        }
    write_json(file, {"made_of": made_of, "results": results})
    return results


def _over_seeds(of_seeds: Sequence[dict[str, dict[str, Interval]]]) -> list[dict[str, Any]]:
    """Mean over seeds with the 68 % interval of the sample around it, and the seeds, a row for each condition."""

    def mean(values: list[Interval]) -> Interval:
        shift = float(np.mean([value.value for value in values])) - values[0].value
        return Interval(values[0].value + shift, values[0].low + shift, values[0].high + shift)

    rows = []
    for condition in of_seeds[0]:
        row: dict[str, Any] = {"condition": condition}
        for name in ("area", "loss"):
            values = [results[condition][name] for results in of_seeds]
            row |= {name: mean(values), f"{name}_seeds": Seeds(tuple(value.value for value in values))}
        rows.append(row)
    return rows


def _write(rows: list[dict], dataset: JetDataset, settings: Settings, output: Path) -> None:
    jets, main = dataset.count("test"), dataset.schema.main.name
    title = f"{jets:,} test jets of {dataset.schema.name}, ε = {settings.epsilon:g}"
    about = {"fingerprint": dataset.fingerprint, "main": main, "jets": jets, "epsilon": settings.epsilon}
    write_json(output / RESULT, {**about, "rows": rows})
    write_text(output / "inputs.csv", tables.comma_separated(rows))
    text = f"{title}; ± is half the 68 % bootstrap interval, seeds: their standard deviation.\n\n{markdown(rows, main)}\n"
    write_text(output / "table.md", text)
    figure, _ = plots.against_inputs(rows, title, main)
    plots.save(figure, output / "inputs.png", output / "inputs.pdf")
    print(f"\n{text}\nTable {output / 'table.md'}, rows {output / 'inputs.csv'}, figure {output / 'inputs.png'}.")
