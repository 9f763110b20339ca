"""Compare stored taggers and write numbers, a table and a figure into a folder."""

from collections.abc import Sequence
from pathlib import Path

import keras
from tqdm.auto import tqdm

from kerastag import data, export, plots
from kerastag.errors import UserError
from kerastag.evaluation.comparison import compare, conditions, markdown
from kerastag.files import write_json, write_text
from kerastag.schema import Schema

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
    pgd_steps: int,
    max_jets: int | None,
    replicates: int,
) -> None:
    """Evaluate `taggers`, each a path or NAME=PATH; see `scripts/evaluate.py --help` for the options.

    Raises:
        UserError: if a tagger does not fit the data set, or a split does not exist.
    """
    dataset = data.prepare(config, data_dir=data_dir, manual_dir=manual_dir)
    dataset.count(split)
    loaded = _load_all(taggers, dataset.schema)
    jets = dataset.arrays(split)
    if max_jets is not None:
        jets = data.Split(
            jets.features[:max_jets],
            jets.label[:max_jets],
            {name: values[:max_jets] for name, values in jets.spectators.items()},
        )
    y = dataset.one_hot(jets.label)
    under = conditions(dataset.schema, dataset.statistics.sigma, epsilons, pgd_steps=pgd_steps)
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
        "conditions": {condition.name: _describe(condition.attack) for condition in under},
        "nonfinite_gradients": {name: count for name, count in nonfinite.items() if count},
        "results": results,
    }
    table = f"{len(y):,} jets of the {split} split of {config}; ± is half the 68 % bootstrap interval.\n\n"
    table += markdown(results) + "\n"
    write_json(output / "metrics.json", content)
    write_text(output / "table.md", table)
    drawn = {
        name: {condition: scores for condition, scores in by_condition.items() if condition in _DRAWN}
        for name, by_condition in logits.items()
    }
    figure = plots.roc(y, drawn, ("BvL", "CvB", "CvL"), f"{len(y):,} jets of {config}, {split} split (AUC)")
    plots.save(figure, output / "roc.png")
    print(table)
    if any(nonfinite.values()):
        print(f"Gradients that were not finite and were taken as 0: {content['nonfinite_gradients']}.")
    print(f"Numbers {output / 'metrics.json'}, table {output / 'table.md'}, figure {output / 'roc.png'}.")


def _load_all(taggers: Sequence[str], schema: Schema) -> dict[str, keras.Model]:
    loaded: dict[str, keras.Model] = {}
    for argument in taggers:
        name, _, path = argument.rpartition("=")
        name = name or Path(path).name
        if name in loaded:
            raise UserError(f"Two taggers are called '{name}'; tell them apart with NAME=PATH.")
        trained_on = export.description(path)
        if trained_on is not None and trained_on.names != schema.names:
            raise UserError(f"'{path}' was trained on the inputs of {trained_on.name}, not on those of {schema.name}.")
        loaded[name] = export.load(path)
        width = loaded[name].input_shape[-1]
        if width != len(schema.features):
            raise UserError(f"'{path}' takes {width} features, but {schema.name} has {len(schema.features)}.")
    return loaded


def _describe(attack) -> dict | None:
    """What defines an attack, without the arrays of its threat model."""
    if attack is None:
        return None
    config = {name: value for name, value in attack.get_config().items() if name != "threat_model"}
    threat_model = attack.threat_model
    return {"epsilon": threat_model.epsilon, "relative_cap": threat_model.relative_cap, **config}
