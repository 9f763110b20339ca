"""Defences against attacks: trainings, evaluations and one table.

Every training and every evaluation is a file below the output folder, so a run that was interrupted goes on where it stopped.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from kerastag import data, saving, tables
from kerastag.attacks import CLEAN, Condition, attacked_logits, marginal_preserving
from kerastag.data import JetDataset
from kerastag.files import read_json, write_json, write_text
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.recipes import Settings
from kerastag.request import EPSILON, RELATIVE_CAP, REPLICATES
from kerastag.results import Interval, Seeds, defined, plain
from kerastag.runs.train import train_missing
from kerastag.training import fitting

# Columns of the table. Distortions and NGM move most cells less than ε, so they are larger.
ATTACKS = (
    Condition("fgsm", EPSILON),
    Condition("pgd-20x3", EPSILON),
    Condition("apgd-50", EPSILON),
    Condition("ngm", 2 * EPSILON),
    Condition("noise", 5 * EPSILON),
    Condition("systematic-up", 5 * EPSILON),
    Condition("systematic-down", 5 * EPSILON),
)
# FGSM that preserves the distribution of every feature in every flavour.
MARGINAL = f"marginal-preserving ε={EPSILON:g}"
DISCRIMINATORS = ("BvL", "CvL")
CAPS = (None, RELATIVE_CAP)
RESULT = "robustness.json"

# `areas[title of the column][discriminator]` of a training under a cap.
Areas = dict[str, dict[str, Interval]]


@dataclasses.dataclass(frozen=True)
class Training:
    """What a training withstands.

    Attributes:
        areas: Areas without and with the cap.
        marginals: How far the marginal-preserving attack goes, without and with the cap.
    """

    areas: list[Areas]
    marginals: list[dict[str, float]]


def benchmark_robustness(
    settings: Settings, output: Path, defenses: Mapping[str, Sequence[int]], attacks: Sequence[Condition] = ATTACKS
) -> None:
    """Train and evaluate what is missing below `output`, then write the table.

    Args:
        settings: Settings of all trainings; defence and seed are varied.
        output: Folder of the benchmark.
        defenses: Seeds of each defence.
        attacks: Columns of the table, without a cap.

    Raises:
        UserError: if a folder has a run of other settings or data.
    """
    dataset = data.prepare(settings.config, data_dir=settings.data_dir, manual_dir=settings.manual_dir)
    attacks = [dataclasses.replace(condition, physics=settings.physics) for condition in attacks]
    results: dict[str, list[Training]] = {}
    for name, seed in tqdm([(name, seed) for name, seeds in defenses.items() for seed in seeds], "Trainings", disable=None):
        folder = output / f"{name}-seed{seed}"
        train_missing(dataclasses.replace(settings, defense=name, seed=seed), dataset, folder)
        results.setdefault(name, []).append(_evaluated(dataset, folder, attacks))
    speeds = _speeds(settings, dataset, list(defenses), output / "speed.json")
    _write(results, speeds, attacks, dataset.count("test"), output)


def _speeds(settings: Settings, dataset: JetDataset, names: list[str], file: Path) -> dict[str, float]:
    """Jets/s of a training step with each defence, measured one right after the other; read back if they are there."""
    speeds = json.loads(file.read_text()) if file.is_file() else {}
    if set(names) <= set(speeds):
        return speeds
    for name in tqdm(names, "Timing", disable=None):
        speeds[name] = fitting.speed(dataclasses.replace(settings, defense=name), dataset)
    write_json(file, speeds)
    return speeds


def _evaluated(dataset: JetDataset, folder: Path, attacks: Sequence[Condition]) -> Training:
    """Areas of a training under every attack, read back if they were measured on the same jets."""
    file = folder / RESULT
    made_of = plain({"fingerprint": dataset.fingerprint, "attacks": [*attacks, MARGINAL]})
    if file.is_file() and (stored := read_json(file))["made_of"] == made_of:
        return Training(stored["areas"], stored["marginals"])
    training = _evaluate(dataset, folder, attacks)
    write_json(file, {"made_of": made_of, "jets": dataset.count("test"), **plain(training)})
    return training


def _evaluate(dataset: JetDataset, folder: Path, attacks: Sequence[Condition]) -> Training:
    tagger, jets = saving.load(folder), dataset.arrays("test")
    bootstrap = Bootstrap(jets.events, REPLICATES, weights=jets.weights)
    training = Training([], [])
    for cap in CAPS:
        areas = {}
        for condition in (CLEAN, *attacks):
            attack = dataclasses.replace(condition, cap=cap).build(dataset)
            areas[condition.label] = _areas(jets.y, attacked_logits(tagger, jets.features, jets.y, attack), bootstrap)
        fgsm = Condition("fgsm", EPSILON, cap, physics=attacks[0].physics).build_attack(dataset)
        x, marginals = marginal_preserving(fgsm, tagger, jets.features, jets.y)
        areas[MARGINAL] = _areas(jets.y, attacked_logits(tagger, x, jets.y, None), bootstrap)
        training.areas.append(areas)
        training.marginals.append(
            {
                "largest Kolmogorov-Smirnov distance": float(marginals.distance.max()),
                "largest change of a correlation": marginals.correlation,
                "share of cells moved": marginals.moved,
            }
        )
    return training


def _areas(y: np.ndarray, logits: np.ndarray, bootstrap: Bootstrap) -> dict[str, Interval]:
    """Area of each discriminator."""
    areas = {}
    for name in DISCRIMINATORS:
        area = bootstrap.resample(RankedPair(y, logits, name).auc)
        areas[name] = defined(area, f"{name} AUC of the test split").interval
    return areas


def _write(
    results: dict[str, list[Training]], speeds: dict[str, float], attacks: Sequence[Condition], jets: int, output: Path
) -> None:
    """Table, tidy rows and numbers."""
    parts = [
        f"{jets:,} test jets; mean over seeds ± their standard deviation, or ± half the 68 % bootstrap interval for one seed."
    ]
    for discriminator in DISCRIMINATORS:
        for place, cap in enumerate(CAPS):
            title = f"{discriminator} AUC{'' if cap is None else f' under the {cap:.0%} cap'}"
            parts += [f"**{title}**", _table(results, speeds, discriminator, place)]
    text = "\n\n".join(parts) + "\n"
    write_text(output / "table.md", text)
    write_json(output / "metrics.json", {"jets_per_second": speeds, "results": results})
    write_text(output / "robustness.csv", tables.comma_separated(_records(results)))
    print(f"\n{text}\nBest under the strongest attack: {_best(results, attacks)}.")
    print(f"Numbers {output / 'metrics.json'} and robustness.csv, tables {output / 'table.md'}.")


def _table(results: dict[str, list[Training]], speeds: dict[str, float], discriminator: str, place: int) -> str:
    columns = list(next(iter(results.values()))[0].areas[place])
    reference = speeds.get("nominal", np.nan)
    rows = []
    for name, trainings in results.items():
        cells = [_cell([training.areas[place][column][discriminator] for training in trainings]) for column in columns]
        rows.append([name, str(len(trainings)), *cells, f"{reference / speeds[name]:.1f}"])
    return tables.markdown(["defence", "seeds", *columns, "time / nominal"], rows)


def _cell(areas: list[Interval]) -> str:
    return str(areas[0]) if len(areas) == 1 else str(Seeds(tuple(area.value for area in areas)))


def _best(results: dict[str, list[Training]], attacks: Sequence[Condition]) -> str:
    """The defence of largest BvL area under its strongest attack, without a cap."""
    gradient = [condition.label for condition in attacks if condition.is_attack and condition.epsilon == EPSILON]

    def strongest(training: Training) -> float:
        return min(training.areas[0][label]["BvL"].value for label in gradient)

    areas = {name: float(np.mean([strongest(training) for training in trainings])) for name, trainings in results.items()}
    best = max(areas, key=lambda name: areas[name])
    return f"{best} with a BvL area of {areas[best]:.4f}"


def _records(results: dict[str, list[Training]]) -> list[dict[str, Any]]:
    """All areas as tidy rows."""
    return [
        {"defence": name, "run": run, "cap": cap, "condition": condition, "quantity": f"{quantity} AUC", "area": area}
        for name, trainings in results.items()
        for run, training in enumerate(trainings)
        for cap, of_cap in zip(CAPS, training.areas, strict=True)
        for condition, row in of_cap.items()
        for quantity, area in row.items()
    ]
