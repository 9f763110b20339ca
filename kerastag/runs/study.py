"""Nominal against adversarial training over several seeds, beside boosted trees on the same inputs.

All trainings share recipe and number of updates, and the last epoch counts, so nothing is chosen after the fact.
"""

import csv
import dataclasses
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import plots, tables
from kerastag import data
from kerastag.runs import train as experiment
from kerastag import saving
from kerastag.evaluation.comparison import compare, conditions
from kerastag.files import write_json, write_text
from kerastag.metrics import HEADLINE, discriminator_auc
from kerastag.recipes import Settings


def run(
    settings: Settings, output: Path, seeds: list[int], train_epsilons: list[float], epsilons: list[float], attacks: list[str]
) -> None:
    """Train what is missing below `output`, compare on the test split, and write table, numbers and figure.

    Args:
        settings: Of the nominal training; ε and seed are varied.
        output: Folder of the study; runs that are complete are used as they are, others resumed.
        seeds: One nominal and one adversarial training for each.
        train_epsilons: Sizes of the attack in adversarial training.
        epsilons: Sizes of the attacks in the evaluation.
        attacks: Names of the attacks in the evaluation.
    """
    dataset = data.prepare(settings.config, data_dir=settings.data_dir, manual_dir=settings.manual_dir)
    runs: dict[str, list[Path]] = {}
    for seed in seeds:
        for epsilon in (None, *train_epsilons):
            name = "nominal" if epsilon is None else f"trained at {epsilon:g}"
            folder = output / f"{name.replace(' ', '_')}-seed{seed}"
            runs.setdefault(name, []).append(folder)
            own = dataclasses.replace(settings, seed=seed, monitor=tuple(train_epsilons))
            if epsilon is not None:
                own = dataclasses.replace(own, defense="fgsm", epsilon=epsilon)
            experiment.train_missing(own, dataset, folder)
    under = conditions(dataset.schema, dataset.scale(settings.scale), epsilons, attacks=attacks, only=settings.only)
    results = _evaluate(dataset, runs, under)
    trees = _trees(dataset, seeds)
    table = _table(results, trees, len(seeds), dataset.count("test"))
    write_json(output / "metrics.json", {"results": results, "boosted trees": trees, "seeds": seeds})
    write_text(output / "table.md", table)
    histories = _histories(runs, settings.attack, train_epsilons)
    plots.save(plots.epochs(histories, settings.attack)[0], output / "epochs.png")
    print(f"\n{table}\nNumbers {output / 'metrics.json'}, table {output / 'table.md'}, figure {output / 'epochs.png'}.")


def _evaluate(dataset: data.JetDataset, runs: dict[str, list[Path]], under: list) -> dict:
    """`results[training][condition][quantity]`, a list with a number for each seed."""
    split = dataset.arrays("test")
    y = split.y
    results: dict = {}
    for name, folders in tqdm(runs.items(), "Attacking", disable=None):
        taggers = {folder.name: saving.load(folder) for folder in folders}
        by_seed = list(compare(taggers, split, y, under, replicates=2)[0].values())
        results[name] = {
            condition.name: {
                **{f"{d} AUC": [seed[condition.name][d]["value"] for seed in by_seed] for d in HEADLINE},
                "loss of BvL AUC": [seed[condition.name]["BvL"]["loss"] for seed in by_seed],
                "cross-entropy": [seed[condition.name]["cross_entropy"] for seed in by_seed],
            }
            for condition in under
        }
    return results


def _trees(dataset: data.JetDataset, seeds: list[int]) -> dict[str, list[float]]:
    """Areas of scikit-learn's gradient-boosted trees with their default settings, on the same inputs."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    train, test = dataset.arrays("train"), dataset.arrays("test")
    areas: dict[str, list[float]] = {f"{name} AUC": [] for name in HEADLINE}
    for seed in seeds:
        trees = HistGradientBoostingClassifier(random_state=seed).fit(train.features, train.label)
        found = discriminator_auc(test.label, trees.predict_proba(test.features), test.weights)
        for name in HEADLINE:
            areas[f"{name} AUC"].append(found[name])
    return areas


def _table(results: dict, trees: dict[str, list[float]], seeds: int, jets: int) -> str:
    """Markdown: mean over seeds ± their standard deviation."""

    def cell(values: list[float]) -> str:
        return f"{np.mean(values):.4f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.4f}"

    names = list(next(iter(next(iter(results.values())).values())))
    rows = []
    for training, by_condition in results.items():
        for condition, quantities in by_condition.items():
            rows.append([training, condition, *(cell(quantities[name]) for name in names)])
    rows.append(["boosted trees", "clean", *(cell(trees[name]) if name in trees else "" for name in names)])
    table = tables.markdown(["training", "jets", *names], rows)
    return f"Mean ± standard deviation over {seeds} seeds; {jets:,} test jets.\n\n{table}\n"


def _histories(
    runs: dict[str, list[Path]], attack: str, epsilons: list[float]
) -> dict[float, dict[str, dict[str, np.ndarray]]]:
    """Validation BvL areas and the ratio of cross-entropies at each epoch, mean over seeds, by ε and training."""
    found: dict = {}
    for epsilon in epsilons:
        for name, folders in runs.items():
            clean, attacked = (_mean_history(folders, f"val_BvL_auc{s}") for s in ("", f"_{attack}_{epsilon:g}"))
            before, after = (_mean_history(folders, f"val_cross_entropy{s}") for s in ("", f"_{attack}_{epsilon:g}"))
            found.setdefault(epsilon, {})[name] = {"clean": clean, "attacked": attacked, "ratio": after / before}
    return found


def _mean_history(folders: list[Path], name: str) -> np.ndarray:
    """Mean over runs of a column of their histories, `(epochs,)`."""
    columns = []
    for folder in folders:
        with (folder / "history.csv").open(newline="") as stream:
            columns.append([float(row[name]) for row in csv.DictReader(stream)])
    return np.mean(columns, axis=0)
