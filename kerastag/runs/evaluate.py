"""Compare stored taggers and write numbers, a table and a figure into a folder."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
from tqdm.auto import tqdm

from kerastag import outputs, plots
from kerastag.attacks import ThreatModel, conditions
from kerastag.evaluation import diagnostics
from kerastag.evaluation.comparison import Comparison, compare, drawn_logits, markdown, to_json
from kerastag.evaluation.diagnostics import Check
from kerastag.files import write_json, write_text
from kerastag.jets import Jets
from kerastag.request import EVALUATION, REPLICATES, AttackGrid, Sample
from kerastag.runs.opening import read
from kerastag.saving.taggers import check_inputs, load_all

# Jets on which taggers are diagnosed.
_DIAGNOSED = 5000


@outputs.keeps
def evaluate(
    taggers: Sequence[str],
    sample: Sample,
    output: Path,
    grid: AttackGrid = EVALUATION,
    *,
    replicates: int = REPLICATES,
    diagnose: bool = False,
) -> None:
    """Evaluate taggers side by side.

    Args:
        taggers: Each a path, a legacy tagger, or NAME=one of these.
        sample: The jets.
        output: Folder of the results.
        grid: The attacks.
        replicates: Bootstrap resamples.
        diagnose: Whether to look for signs of useless gradients.

    Raises:
        UserError: if a tagger does not fit the data set, or a split does not exist.
    """
    dataset, jets = read(sample, taggers)
    models: dict[str, keras.Model] = {}
    for tagger in load_all(taggers, dataset.schema):
        check_inputs(tagger, dataset.schema)
        models[tagger.name] = tagger.model
    under = conditions(grid)
    comparison = compare(models, dataset, jets, under, replicates, lambda pairs: tqdm(pairs, "Attacking", disable=None))
    checks = _diagnosed(models, jets, under[1].threat_model(dataset)) if diagnose else {}
    title = f"{len(jets):,} jets of the {sample.split} split of {dataset.schema.name}"
    text = f"{title}; ± is half the 68 % bootstrap interval.\n\n{markdown(comparison)}\n"
    if checks:
        text += f"\nIs the robustness real? ε = {grid.epsilons[0]:g}, mean cross-entropies:\n\n{diagnostics.markdown(checks)}\n"
    content = {
        "config": dataset.schema.name,
        "fingerprint": dataset.fingerprint,
        "split": sample.split,
        "jets": len(jets),
        "replicates": replicates,
        "conditions": {condition.label: dataclasses.asdict(condition) for condition in under},
        "nonfinite_gradients": {c.label: count for c, count in comparison.nonfinite_gradients.items()},
        "results": to_json(comparison),
        "diagnostics": {name: [dataclasses.asdict(check) for check in of_tagger] for name, of_tagger in checks.items()},
    }
    write_json(output / "metrics.json", content)
    write_text(output / "table.md", text)
    figure, _ = plots.roc(jets.y, drawn_logits(comparison, under), dataset.schema.in_tables, f"{title} (AUC)", jets.weights)
    plots.save(figure, output / "roc.png")
    print(text)
    print_nonfinite(comparison)
    print(f"Numbers {output / 'metrics.json'}, table {output / 'table.md'}, figure {output / 'roc.png'}.")


def print_nonfinite(comparison: Comparison) -> None:
    """Say where gradients were not finite, if any were."""
    if comparison.nonfinite_gradients:
        counts = {condition.label: count for condition, count in comparison.nonfinite_gradients.items()}
        print(f"Gradients that were not finite and were taken as 0: {counts}.")


def _diagnosed(models: Mapping[str, keras.Model], jets: Jets, threat_model: ThreatModel) -> dict[str, list[Check]]:
    """Checks of each tagger, the others being sources of transferred attacks."""
    rows = slice(_DIAGNOSED)
    return {
        name: diagnostics.check_robustness(
            model,
            jets.features[rows],
            jets.y[rows],
            threat_model,
            {source: models[source] for source in models if source != name},
        )
        for name, model in tqdm(models.items(), "Diagnosing", disable=None)
    }
