"""Nominal against adversarial training over several seeds, beside boosted trees on the same inputs.

All trainings share recipe and number of updates, and the last epoch counts, so nothing is chosen after the fact.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import outputs, plots, saving, tables
from kerastag.attacks import CLEAN, Condition, conditions
from kerastag.data import JetDataset
from kerastag.evaluation.comparison import Comparison, compare
from kerastag.evaluation.trees import boosted_trees
from kerastag.files import write_json, write_text
from kerastag.metrics import discriminator_auc
from kerastag.recipes import Settings
from kerastag.request import STUDY, AttackGrid
from kerastag.results import Seeds, defined
from kerastag.runs.opening import opened
from kerastag.runs.train import train_missing
from kerastag.training.assembly import make_attack

# Of each training and condition the quantities, over seeds.
Results = dict[str, dict[str, dict[str, Seeds]]]
_TREES = "boosted trees"


@outputs.keeps
def study(
    settings: Settings,
    output: Path,
    seeds: Sequence[int] = (0, 1, 2),
    train_epsilons: Sequence[float] = (0.01, 0.05),
    grid: AttackGrid = STUDY,
) -> None:
    """Train what is missing below `output`, compare on the test split, and write table, numbers and figure.

    Args:
        settings: Settings of the nominal training; ε and seed are varied.
        output: Folder of the study; runs that are complete are used as they are, others resumed.
        seeds: A nominal and an adversarial training for each.
        train_epsilons: Sizes of the attack in adversarial training.
        grid: Attacks in the evaluation.

    Raises:
        UserError: if a folder has a run of other settings or data.
    """
    dataset = opened(settings)
    for epsilon in train_epsilons:  # mistakes are found before the first training
        make_attack(settings, dataset, epsilon)
    runs = _train(settings, dataset, output, seeds, train_epsilons)
    results = _evaluate(dataset, runs, conditions(grid))
    results[_TREES] = {CLEAN.label: _trees(dataset, seeds)}
    text = f"Mean ± standard deviation over {len(seeds)} seeds; {dataset.count('test'):,} test jets.\n\n{_table(results)}\n"
    write_json(output / "metrics.json", {"results": results, "seeds": seeds})
    write_text(output / "table.md", text)
    histories = _histories(runs, settings.attack, train_epsilons, dataset.schema.main.name)
    plots.save(plots.epochs(histories, settings.attack, dataset.schema.main.name)[0], output / "epochs.png")
    print(f"\n{text}\nNumbers {output / 'metrics.json'}, table {output / 'table.md'}, figure {output / 'epochs.png'}.")


def _train(
    settings: Settings, dataset: JetDataset, output: Path, seeds: Sequence[int], train_epsilons: Sequence[float]
) -> dict[str, list[Path]]:
    """Run directories of each training, one for each seed."""
    runs: dict[str, list[Path]] = {}
    for seed in seeds:
        variant = dataclasses.replace(settings, seed=seed, monitor=tuple(train_epsilons))
        variants = {"nominal": variant} | {
            f"trained at {epsilon:g}": dataclasses.replace(variant, defense="fgsm", epsilon=epsilon)
            for epsilon in train_epsilons
        }
        for name, training in variants.items():
            runs.setdefault(name, []).append(output / f"{name.replace(' ', '_')}-seed{seed}")
            train_missing(training, dataset, runs[name][-1])
    return runs


def _evaluate(dataset: JetDataset, runs: dict[str, list[Path]], under: list[Condition]) -> Results:
    """Areas, loss of the main one and cross-entropy of each training and condition."""
    results: Results = {}
    for name, folders in tqdm(runs.items(), "Attacking", disable=None):
        taggers = {folder.name: saving.load(folder) for folder in folders}
        comparison = compare(taggers, dataset, dataset.arrays("test"), under, replicates=2)
        results[name] = {}
        for condition in under:
            of_seeds = [_quantities(comparison, tagger, condition) for tagger in taggers]
            results[name][condition.label] = _over_seeds(of_seeds)
    return results


def _quantities(comparison: Comparison, tagger: str, condition: Condition) -> dict[str, float]:
    """What the table shows of a tagger under a condition."""
    areas = {f"{name} AUC": comparison.area(tagger, condition, name) for name in comparison.schema.headline}
    areas[f"loss of {comparison.schema.main.name} AUC"] = comparison.loss(tagger, condition)
    values = {name: defined(area, f"{name} of the test split").value for name, area in areas.items()}
    cross_entropy = comparison.evaluations[tagger][condition].cross_entropy
    return values | {"cross-entropy": defined(cross_entropy, "cross-entropy of the test split")}


def _over_seeds(of_seeds: Sequence[Mapping[str, float]]) -> dict[str, Seeds]:
    return {name: Seeds(tuple(values[name] for values in of_seeds)) for name in of_seeds[0]}


def _trees(dataset: JetDataset, seeds: Sequence[int]) -> dict[str, Seeds]:
    """Areas of scikit-learn's gradient-boosted trees with their default settings, on the same inputs."""
    train, test, separations = dataset.arrays("train"), dataset.arrays("test"), dataset.schema.in_tables
    areas = []
    for seed in seeds:
        of_seed = discriminator_auc(test.label, boosted_trees(train, seed)(test.features), test.weights, separations)
        areas.append({f"{name} AUC": defined(area, f"{name} AUC of the test split") for name, area in of_seed.items()})
    return _over_seeds(areas)


def _table(results: Results) -> str:
    """Markdown: a row per training and condition."""
    quantities = dict.fromkeys(name for of_training in results.values() for row in of_training.values() for name in row)
    rows = [
        [training, condition, *(str(row.get(name, "")) for name in quantities)]
        for training, of_training in results.items()
        for condition, row in of_training.items()
    ]
    return tables.markdown(["training", "jets", *quantities], rows)


def _histories(
    runs: dict[str, list[Path]], attack: str, epsilons: Sequence[float], main: str
) -> dict[float, dict[str, dict[str, np.ndarray]]]:
    """Main validation areas and the ratio of cross-entropies at each epoch, mean over seeds, by ε and training."""

    def of_training(folders: list[Path], epsilon: float) -> dict[str, np.ndarray]:
        suffix = f"_{attack}_{epsilon:g}"
        clean, attacked = (_mean_history(folders, f"val_{main}_auc{s}") for s in ("", suffix))
        before, after = (_mean_history(folders, f"val_cross_entropy{s}") for s in ("", suffix))
        return {"clean": clean, "attacked": attacked, "ratio": after / before}

    return {epsilon: {name: of_training(folders, epsilon) for name, folders in runs.items()} for epsilon in epsilons}


def _mean_history(folders: list[Path], name: str) -> np.ndarray:
    """Mean over runs of a column of their histories, `(epochs,)`."""
    return np.mean([tables.numbers(folder / "history.csv", name) for folder in folders], axis=0)
