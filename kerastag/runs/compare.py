"""Our taggers and legacy ones on the same jets: the run behind `scripts/compare.py`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import plots, tables
from kerastag import data
from kerastag.errors import UserError
from kerastag.evaluation import transfer
from kerastag.evaluation.comparison import conditions
from kerastag.runs.evaluate import describe
from kerastag.saving.taggers import NamedTagger, check_inputs, load_all
from kerastag.evaluation.transfer import Contestant, cross_examine
from kerastag.files import write_json, write_text
from kerastag.jets import Jets
from kerastag.metrics import HEADLINE, RankedPair
from kerastag.schema import SCHEMAS

# Attacks that the ROC figure shows beside clean jets: FGSM of so many sizes; more would not be readable.
_DRAWN = 2


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
    relative_cap: float | None,
    max_jets: int | None,
    replicates: int,
) -> None:
    """Compare `taggers`; see `scripts/compare.py --help` for the options.

    Raises:
        UserError: if a tagger does not fit its jets, or the data sets share none.
    """
    start = time.perf_counter()
    loaded = load_all(taggers)
    datasets = _datasets(loaded, config, data_dir, manual_dir)
    datasets[config].count(split)
    splits = _same_jets(datasets, config, split, max_jets)
    truth = splits[config]
    y = truth.y
    attacks = list(dict.fromkeys(["fgsm", *attacks]))
    contestants = [
        _contestant(tagger, config, datasets, splits, scale, epsilons=epsilons, caps=[relative_cap], attacks=attacks, only=only)
        for tagger in loaded
    ]
    matrix, logits = cross_examine(
        contestants, y, truth.events, replicates, lambda pairs: tqdm(pairs, "Attacking", disable=None), truth.weights
    )
    inputs = {one.tagger.name: one.inputs for one in contestants}
    shared = f"{len(y):,} jets of the {split} split, flavours of {config}"
    if len(datasets) > 1:
        shared += f"; only the jets that {' and '.join(datasets)} share, each tagger attacked in its own inputs"
    text = _foreword(contestants, logits, y) + f"{shared}; ± is half the 68 % bootstrap interval.\n\n"
    text += transfer.markdown(matrix, inputs) + "\n"
    content = {
        "command": sys.argv,
        "config": config,
        "fingerprints": {name: dataset.fingerprint for name, dataset in datasets.items()},
        "split": split,
        "jets": len(y),
        "replicates": replicates,
        "taggers": {one.tagger.name: _tagger(one) for one in contestants},
        "conditions": {condition.name: describe(condition.attack) for condition in contestants[0].conditions},
        "nonfinite_gradients": _nonfinite(contestants),
        "matrix": matrix,
    }
    write_json(output / "comparison.json", content)
    write_text(output / "table.md", text)
    write_text(output / "comparison.csv", tables.comma_separated(transfer.records(matrix)))
    _draw(matrix, logits, y, truth.weights, f"{len(y):,} jets of {config}, {split} split", output)
    print(text)
    if content["nonfinite_gradients"]:
        print(f"Gradients that were not finite and were taken as 0: {content['nonfinite_gradients']}.")
    print(f"Numbers {output / 'comparison.json'} and comparison.csv, tables table.md, figures roc.png and transfer.png.")
    print(f"Took {time.perf_counter() - start:.0f} s.")


def _config_of(tagger: NamedTagger, config: str) -> str:
    """Name of the data set config through which a tagger reads jets."""
    return tagger.schema.name if tagger.schema is not None and tagger.schema.name in SCHEMAS else config


def _datasets(taggers: list[NamedTagger], config: str, data_dir: str | None, manual_dir: str | None) -> dict:
    """The data set of each config that is needed, that of the truth first; every tagger is checked against its own."""
    names = dict.fromkeys([config, *(_config_of(tagger, config) for tagger in taggers)])
    datasets = {}
    for name in names:
        datasets[name] = data.prepare(name, data_dir=data_dir, manual_dir=manual_dir)
        for tagger in taggers:
            if _config_of(tagger, config) == name:
                check_inputs(tagger, datasets[name].schema)
    return datasets


def _same_jets(datasets: dict, config: str, split: str, max_jets: int | None) -> dict[str, Jets]:
    """The jets of a split that all data sets have, row by row the same."""
    splits = {name: dataset.arrays(split) for name, dataset in datasets.items()}
    rows = transfer.shared_jets([one.spectators for one in splits.values()])
    if not len(rows[0]):
        raise UserError(f"The data sets {' and '.join(datasets)} share no jets; build them from the same files.")
    return {name: splits[name].take(own[:max_jets]) for name, own in zip(splits, rows, strict=True)}


def _contestant(tagger: NamedTagger, config: str, datasets: dict, splits: dict, scale: str, **options) -> Contestant:
    name = _config_of(tagger, config)
    dataset = datasets[name]
    under = conditions(dataset.schema, dataset.scale(scale), **options)
    return Contestant(tagger, name, splits[name].features, under)


def _tagger(one: Contestant) -> dict:
    """Where a tagger came from."""
    record = one.tagger.record
    origin = {"sha256": record.sha256, "reference": record.reference, "classes": record.classes} if record else {}
    return {"source": one.tagger.source, "inputs": one.inputs, **origin}


def _nonfinite(contestants: list[Contestant]) -> dict[str, int]:
    """Gradient cells that were not finite, where there were any."""
    counts = {
        f"{one.tagger.name}, {condition.name}": int(condition.attack.nonfinite_gradients)
        for one in contestants
        for condition in one.conditions
        if condition.attack is not None
    }
    return {name: count for name, count in counts.items() if count}


def _foreword(contestants: list[Contestant], logits: dict, y: np.ndarray) -> str:
    """What must be known of legacy taggers before their areas are read."""
    return "".join(_words(one, logits[one.tagger.name]["clean"], y) for one in contestants if one.tagger.record)


def _words(one: Contestant, clean: np.ndarray, y: np.ndarray) -> str:
    name, record = one.tagger.name, one.tagger.record
    text = (
        f"{name} was trained for the CMS detector ({record.reference}); on these clean jets its BvL AUC is {_area(y, clean)}. "
        "On jets of any other detector, such as the sample that comes along, it is out of its domain: compare relative losses, "
        "do not rank areas."
    )
    answered = np.any([one.x[:, record.schema.index(feature)] > 0 for feature in record.answers_if or ()], axis=0)
    if record.answers_if and not answered.all():
        text += (
            f" CMS gives no answer for {np.mean(~answered):.1%} of these jets, which have none of "
            f"{', '.join(record.answers_if)}; here the network scores them too. "
            f"Without them its clean BvL AUC is {_area(y[answered], clean[answered])}."
        )
    return text + "\n\n"


def _area(y: np.ndarray, scores: np.ndarray) -> str:
    area = RankedPair(y, scores, "BvL").auc()
    return area if isinstance(area, str) else f"{area:.4f}"


def _draw(matrix: dict, logits: dict, y: np.ndarray, weights: np.ndarray, title: str, output: Path) -> None:
    """ROC curves of all taggers and the matrix of losses."""
    shown = ["clean", *[condition for condition in matrix if condition.startswith("FGSM")][:_DRAWN]]
    drawn = {name: {condition: scores[condition] for condition in shown} for name, scores in logits.items()}
    plots.save(plots.roc(y, drawn, HEADLINE, f"{title} (AUC)", weights)[0], output / "roc.png")
    losses = {
        condition: np.array([[_loss(row) for row in by_target.values()] for by_target in by_source.values()])
        for condition, by_source in matrix.items()
        if condition != "clean"
    }
    if losses:
        plots.save(plots.transfer(list(logits), losses, title)[0], output / "transfer.png")


def _loss(row: dict | str) -> float:
    """Loss of BvL area; NaN where it is not defined."""
    return row["BvL"]["loss"] if isinstance(row, dict) and isinstance(row["BvL"], dict) else np.nan
