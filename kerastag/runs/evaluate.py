"""Compare stored taggers and write numbers, a table and a figure into a folder."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import plots
from kerastag import data
from kerastag.evaluation import diagnostics
from kerastag.attacks import Attack, ThreatModel
from kerastag.evaluation.comparison import compare, conditions, markdown
from kerastag.saving.taggers import check_inputs, load_all
from kerastag.files import write_json, write_text
from kerastag.metrics import HEADLINE

# Jets on which taggers are diagnosed.
_DIAGNOSED = 5000
# Conditions that the ROC figure shows; more would not be readable.
_DRAWN = ("clean", "FGSM ε=0.01", "FGSM ε=0.05")


def run(
    taggers: Sequence[str],
    output: Path,
    *,
    config: str,
    data_dir: str | None,
    manual_dir: str | None,
    split: str,
    epsilons: Sequence[float],
    attacks: Sequence[str],
    scale: str,
    only: Sequence[str],
    max_jets: int | None,
    replicates: int,
    diagnose: bool = False,
) -> None:
    """Evaluate `taggers`, each a path, a legacy tagger, or NAME=one of these; see `scripts/evaluate.py --help` for the options.

    Raises:
        UserError: if a tagger does not fit the data set, or a split does not exist.
    """
    dataset = data.prepare(config, data_dir=data_dir, manual_dir=manual_dir)
    dataset.count(split)
    loaded = {}
    for tagger in load_all(taggers):
        check_inputs(tagger, dataset.schema)
        loaded[tagger.name] = tagger.model
    jets = dataset.arrays(split).take(slice(max_jets))
    y = jets.y
    under = conditions(dataset.schema, dataset.scale(scale), epsilons, attacks=attacks, only=only)
    results, logits = compare(loaded, jets, y, under, replicates, lambda pairs: tqdm(pairs, "Attacking", disable=None))
    nonfinite = {
        condition.name: int(condition.attack.nonfinite_gradients) for condition in under if condition.attack is not None
    }
    content = {
        "config": config,
        "fingerprint": dataset.fingerprint,
        "split": split,
        "jets": len(y),
        "replicates": replicates,
        "conditions": {condition.name: describe(condition.attack) for condition in under},
        "nonfinite_gradients": {name: count for name, count in nonfinite.items() if count},
        "results": results,
    }
    threat_model = ThreatModel.from_schema(dataset.schema, dataset.scale(scale), epsilons[0], only=only)
    checks = _diagnosed(loaded, jets.features, y, threat_model) if diagnose else {}
    content["diagnostics"] = {name: [dataclasses.asdict(check) for check in listed] for name, listed in checks.items()}
    table = f"{len(y):,} jets of the {split} split of {config}; ± is half the 68 % bootstrap interval.\n\n"
    table += markdown(results) + "\n"
    if checks:
        table += f"\nIs the robustness real? ε = {epsilons[0]:g}, mean cross-entropies:\n\n{diagnostics.markdown(checks)}\n"
    write_json(output / "metrics.json", content)
    write_text(output / "table.md", table)
    drawn = {
        name: {condition: scores for condition, scores in by_condition.items() if condition in _DRAWN}
        for name, by_condition in logits.items()
    }
    figure, _ = plots.roc(y, drawn, HEADLINE, f"{len(y):,} jets of {config}, {split} split (AUC)", jets.weights)
    plots.save(figure, output / "roc.png")
    print(table)
    if any(nonfinite.values()):
        print(f"Gradients that were not finite and were taken as 0: {content['nonfinite_gradients']}.")
    print(f"Numbers {output / 'metrics.json'}, table {output / 'table.md'}, figure {output / 'roc.png'}.")


def _diagnosed(taggers: dict, x: np.ndarray, y: np.ndarray, threat_model: ThreatModel) -> dict:
    """Checks of each tagger, the others being sources of transferred attacks."""
    few = slice(_DIAGNOSED)
    return {
        name: diagnostics.check_robustness(
            tagger, x[few], y[few], threat_model, {other: model for other, model in taggers.items() if other != name}
        )
        for name, tagger in tqdm(taggers.items(), "Diagnosing", disable=None)
    }


def describe(attack: Attack | None) -> dict | None:
    """What defines an attack, without the arrays of its threat model."""
    if attack is None:
        return None
    config = {name: value for name, value in attack.get_config().items() if name != "threat_model"}
    threat_model = attack.threat_model
    return {"epsilon": threat_model.epsilon, "relative_cap": threat_model.relative_cap, **config}
