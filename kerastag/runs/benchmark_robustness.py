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

from kerastag import data, plots, saving, tables
from kerastag.attacks import CLEAN, Condition, attacked_logits, marginal_preserving
from kerastag.catalogue import DEFENSES
from kerastag.data import JetDataset
from kerastag.files import read_json, write_json, write_text
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.recipes import Settings
from kerastag.request import EPSILON, RELATIVE_CAP, REPLICATES
from kerastag.results import Interval, Seeds, defined, plain
from kerastag.runs.train import train_missing
from kerastag.training import fitting
from kerastag.training.assembly import make_defense, make_varied

# Columns of the table. Distortions and NGM move most cells less than ε, so they are larger.
ATTACKS = (
    Condition("fgsm", EPSILON),
    Condition("pgd-20", EPSILON, objective="margin"),
    Condition("apgd-20", EPSILON),
    Condition("fgsm", EPSILON, RELATIVE_CAP),
    Condition("pgd-20", EPSILON, RELATIVE_CAP, objective="margin"),
    Condition("pgd-20", 5 * EPSILON),
    Condition("ngm", 2 * EPSILON),
    Condition("noise", 5 * EPSILON),
    Condition("systematic-up", 5 * EPSILON),
    Condition("systematic-down", 5 * EPSILON),
)
# FGSM that preserves the distribution of every feature in every flavour.
MARGINAL = f"marginal-preserving ε={EPSILON:g}"
DISCRIMINATORS = ("BvL", "CvL")
RESULT = "robustness.json"

# `areas[title of the column][discriminator]`.
Areas = dict[str, dict[str, Interval]]


@dataclasses.dataclass(frozen=True)
class Training:
    """What a training withstands.

    Attributes:
        areas: Areas by column.
        marginals: How far the marginal-preserving attack goes.
    """

    areas: Areas
    marginals: dict[str, float]


def benchmark_robustness(
    settings: Settings,
    output: Path,
    defenses: Mapping[str, Sequence[int]],
    attacks: Sequence[Condition] = ATTACKS,
    *,
    train_epsilons: Sequence[float] = (EPSILON,),
    variations: str | None = None,
) -> None:
    """Train and evaluate what is missing below `output`, then write the table.

    Args:
        settings: Settings of all trainings; defence, seed and ε are varied.
        output: Folder of the benchmark.
        defenses: Seeds of each defence.
        attacks: Columns of the table.
        train_epsilons: Sizes of the attack in training, a row each; rows of others than the usual one say so.
        variations: Folder of simulated variations, for the defences that train on them.

    Raises:
        UserError: if a folder has a run of other settings or data, or a defence lacks the variations that it needs.
    """
    trainings = _trainings(settings, defenses, train_epsilons, variations)
    dataset = data.prepare(settings.config, data_dir=settings.data_dir, manual_dir=settings.manual_dir)
    for seeds in trainings.values():  # mistakes are found before the first training
        make_defense(seeds[0], dataset, steps_per_epoch=1)
    attacks = [dataclasses.replace(condition, physics=settings.physics) for condition in attacks]
    results: dict[str, list[Training]] = {}
    runs = [(name, training) for name, seeds in trainings.items() for training in seeds]
    for name, training in tqdm(runs, "Trainings", disable=None):
        folder = output / f"{name.replace(' ε=', '-')}-seed{training.seed}"
        train_missing(training, dataset, folder)
        results.setdefault(name, []).append(_evaluated(dataset, folder, attacks))
    speeds = _speeds({name: several[0] for name, several in trainings.items()}, dataset, output / "speed.json")
    _write(results, speeds, attacks, dataset.count("test"), output)
    _draw(results, trainings, attacks, output)


def _trainings(
    settings: Settings, defenses: Mapping[str, Sequence[int]], epsilons: Sequence[float], variations: str | None
) -> dict[str, list[Settings]]:
    """Settings of the seeds of each row."""
    trainings = {}
    for defense, seeds in defenses.items():
        entry = DEFENSES.find(defense)
        folder = variations if "variations" in entry.uses else None
        for epsilon in dict.fromkeys(epsilons) if entry.sized else [EPSILON]:
            name = defense if epsilon == EPSILON else f"{defense} ε={epsilon:g}"
            given = settings.to_dict() | {"defense": defense, "epsilon": epsilon, "variations": folder}
            trainings[name] = [Settings.resolve(given | {"seed": seed}) for seed in seeds]
    return trainings


def _speeds(trainings: Mapping[str, Settings], dataset: JetDataset, file: Path) -> dict[str, float]:
    """Jets/s of a training step of each row, measured one right after the other; read back if they are there.

    The size of an attack makes no difference.
    """
    of_defense = {training.defense: training for training in trainings.values()}
    speeds = json.loads(file.read_text()) if file.is_file() else {}
    if not set(of_defense) <= set(speeds):
        timed = tqdm(of_defense.items(), "Timing", disable=None)
        speeds = {name: fitting.speed(one, dataset, make_varied(one, dataset)) for name, one in timed}
        write_json(file, speeds)
    return {name: speeds[training.defense] for name, training in trainings.items()}


def _draw(
    results: Mapping[str, list[Training]],
    trainings: Mapping[str, Sequence[Settings]],
    attacks: Sequence[Condition],
    output: Path,
) -> None:
    """Clean against attacked area, a curve for each defence."""
    rows = [
        {
            "defence": trainings[name][0].defense,
            "epsilon": trainings[name][0].epsilon,
            "attack": condition.label,
            "clean": _seeds(of_seeds, CLEAN.label, "BvL"),
            "attacked": _seeds(of_seeds, condition.label, "BvL"),
        }
        for name, of_seeds in results.items()
        for condition in attacks
        if condition.is_attack
    ]
    title = "Clean and attacked area; numbers: ε in training; bars: standard deviation over seeds"
    plots.save(plots.pareto_curves(rows, title)[0], output / "pareto.png", output / "pareto.pdf")


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
    areas = {}
    for condition in (CLEAN, *attacks):
        aims = {name: condition.aimed_at(name) for name in DISCRIMINATORS}
        logits = {aim: attacked_logits(tagger, jets.features, jets.y, aim.build(dataset)) for aim in set(aims.values())}
        areas[condition.label] = _areas(jets.y, {name: logits[aim] for name, aim in aims.items()}, bootstrap)
    fgsm = Condition("fgsm", EPSILON, physics=attacks[0].physics).build_attack(dataset)
    x, marginals = marginal_preserving(fgsm, tagger, jets.features, jets.y)
    areas[MARGINAL] = _areas(jets.y, dict.fromkeys(DISCRIMINATORS, attacked_logits(tagger, x, jets.y, None)), bootstrap)
    reach = {
        "largest Kolmogorov-Smirnov distance": float(marginals.distance.max()),
        "largest change of a correlation": marginals.correlation,
        "share of cells moved": marginals.moved,
    }
    return Training(areas, reach)


def _areas(y: np.ndarray, logits: Mapping[str, np.ndarray], bootstrap: Bootstrap) -> dict[str, Interval]:
    """Area of each discriminator on its own logits."""
    areas = {}
    for name in DISCRIMINATORS:
        area = bootstrap.resample(RankedPair(y, logits[name], name).auc)
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
        parts += [f"**{discriminator} AUC**", _table(results, speeds, discriminator)]
    text = "\n\n".join(parts) + "\n"
    write_text(output / "table.md", text)
    write_json(output / "metrics.json", {"jets_per_second": speeds, "results": results})
    write_text(output / "robustness.csv", tables.comma_separated(_records(results)))
    print(f"\n{text}\nBest under the strongest attack: {_best(results, attacks)}.")
    print(f"Numbers {output / 'metrics.json'} and robustness.csv, tables {output / 'table.md'}.")


def _table(results: dict[str, list[Training]], speeds: dict[str, float], discriminator: str) -> str:
    columns = list(next(iter(results.values()))[0].areas)
    reference = speeds.get("nominal", np.nan)
    rows = []
    for name, trainings in results.items():
        cells = [_cell(trainings, column, discriminator) for column in columns]
        rows.append([name, str(len(trainings)), *cells, f"{reference / speeds[name]:.1f}"])
    return tables.markdown(["defence", "seeds", *columns, "time / nominal"], rows)


def _cell(trainings: Sequence[Training], column: str, discriminator: str) -> str:
    if len(trainings) == 1:
        return str(trainings[0].areas[column][discriminator])
    return str(_seeds(trainings, column, discriminator))


def _seeds(trainings: Sequence[Training], column: str, discriminator: str) -> Seeds:
    """An area of all seeds."""
    return Seeds(tuple(training.areas[column][discriminator].value for training in trainings))


def _best(results: dict[str, list[Training]], attacks: Sequence[Condition]) -> str:
    """The defence of largest BvL area under its strongest attack of the usual size."""
    gradient = [condition.label for condition in attacks if condition.is_attack and condition.epsilon == EPSILON]

    def strongest(training: Training) -> float:
        return min(training.areas[label]["BvL"].value for label in gradient)

    areas = {name: float(np.mean([strongest(training) for training in trainings])) for name, trainings in results.items()}
    best = max(areas, key=lambda name: areas[name])
    return f"{best} with a BvL area of {areas[best]:.4f}"


def _records(results: dict[str, list[Training]]) -> list[dict[str, Any]]:
    """All areas as tidy rows."""
    return [
        {"defence": name, "run": run, "condition": condition, "quantity": f"{quantity} AUC", "area": area}
        for name, trainings in results.items()
        for run, training in enumerate(trainings)
        for condition, row in training.areas.items()
        for quantity, area in row.items()
    ]
