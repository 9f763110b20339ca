"""The trade-off: clean area and susceptibility, epoch by epoch."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastag import plots
from kerastag.attacks import Condition
from kerastag.evaluation.trends import correlation_of_seeds, rank_correlation
from kerastag.plots.style import Drawn
from kerastag.recipes import run_config
from kerastag.report.page import Figure, Section, Table
from kerastag.report.part import Numbers
from kerastag.report.subject import Subject
from kerastag.results import Interval, error_of_another_seed
from kerastag.tables import Row

NAME = "epochs"
# Fewer epochs than this have no trend.
_FEWEST = 4


def numbers(subject: Subject) -> Numbers:
    """Clean and attacked validation areas of each epoch, from the `history.csv` beside each tagger."""
    columns = columns_of(subject.main.name)
    runs = {name: Path(seeds[0].source) for name, seeds in subject.taggers.items()}
    of_seeds = {
        name: [epochs for seed in seeds if (epochs := _history(Path(seed.source) / "history.csv", columns))]
        for name, seeds in subject.taggers.items()
    }
    histories = {name: of_seed[0] for name, of_seed in of_seeds.items() if of_seed}
    trends = {
        name: [trend(np.array(epochs)) for epochs in of_seed if len(epochs) >= _FEWEST] for name, of_seed in of_seeds.items()
    }
    return {
        "histories": histories,
        "missing": [name for name in runs if name not in histories],
        "trends": {name: of_seed[0] for name, of_seed in trends.items() if of_seed},
        "trends_of_seeds": {name: trend_of_seeds(of_seed) for name, of_seed in trends.items() if of_seed},
        "samples": {name: _sample(runs[name]) for name in histories},
    }


def _sample(folder: Path) -> str:
    """Validation jets and attack of a run, from its settings."""
    if not (folder / "config.json").is_file():
        return "validation jets, ε unknown"
    config = run_config(folder)
    run = config["settings"]
    attack = Condition("fgsm", run.epsilon, run.relative_cap, run.attack_objective, run.scale, run.only, run.physics)
    return f"{sum(config['jets']['validation'].values()):,} validation jets, {attack.label}"


def columns_of(main: str) -> tuple[str, str]:
    """Clean and attacked area of a discriminator in a history."""
    return f"val_{main}_auc", f"val_{main}_auc_fgsm"


def _history(file: Path, columns: tuple[str, str]) -> list[list[float]]:
    """Clean and attacked area of each epoch; empty where the file does not hold them."""
    if not file.is_file():
        return []
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not set(columns) <= set(rows[0]):
        return []
    try:
        return [[float(row[column]) for column in columns] for row in rows]
    except ValueError:  # empty where an epoch was not evaluated
        return []


def trend(epochs: np.ndarray) -> dict[str, Interval]:
    """How a training develops.

    Args:
        epochs: Clean and attacked area, `(epochs, 2)`.

    Returns:
        `clean` and `loss`, rank correlations with the epoch; `loss_early` and `loss_late`, mean and standard deviation of the
        loss over the first and the last quarter of the epochs.
    """
    number = np.arange(len(epochs))
    loss = epochs[:, 0] - epochs[:, 1]
    quarter = max(1, len(epochs) // 4)
    return {
        "clean": rank_correlation(number, epochs[:, 0]),
        "loss": rank_correlation(number, loss),
        "loss_early": _mean(loss[:quarter]),
        "loss_late": _mean(loss[-quarter:]),
    }


def trend_of_seeds(trends: Sequence[Mapping[str, Interval]]) -> dict[str, Interval]:
    """Means over seeds, and where one more seed lies with 95 %; of a single seed its own intervals.

    Args:
        trends: That of each seed, of `trend`.

    Returns:
        `clean`, `loss` and `loss_late`.
    """
    late = [one["loss_late"] for one in trends]
    mean = float(np.mean([loss.value for loss in late]))
    error = error_of_another_seed([loss.value for loss in late])
    correlations = {key: correlation_of_seeds([one[key] for one in trends]) for key in ("clean", "loss")}
    return correlations | {"loss_late": Interval.around(mean, error) if len(late) > 1 else late[0].at_95}


def _mean(losses: np.ndarray) -> Interval:
    """Mean and standard deviation of losses `(epochs,)`; 0 for a single one."""
    return Interval.around(losses.mean(), losses.std(ddof=1) if len(losses) > 1 else 0.0)


def draw(subject: Subject, numbers: Numbers) -> Mapping[str, Drawn]:
    """A point per epoch."""
    if not numbers["histories"]:
        return {}
    samples = "; ".join(dict.fromkeys(numbers["samples"].values()))
    return {"trade_off": plots.trade_off(numbers["histories"], "FGSM", samples, subject.main.name)}


def tables_of(numbers: Numbers) -> Mapping[str, Sequence[Row]]:
    """Areas of the epochs."""
    rows = [
        {"tagger": name, "epoch": number, "clean": clean, "attacked": attacked}
        for name, epochs in numbers["histories"].items()
        for number, (clean, attacked) in enumerate(epochs, start=1)
    ]
    return {"epochs": rows} if rows else {}


def section(subject: Subject, numbers: Numbers) -> Section:
    """Whether the better epoch is the more vulnerable one."""
    text = [
        "Each training's own attack at each epoch, from its history.csv; ρ is Spearman's rank correlation with the epoch, "
        "early and late are the mean and standard deviation over the first and the last quarter of the epochs."
    ]
    if numbers["missing"]:
        missing, column = ", ".join(numbers["missing"]), columns_of(subject.main.name)[1]
        text.append(f"No epochs are known of {missing}: no history.csv with {column} lies beside.")
    rows = [
        [
            name,
            str(len(numbers["histories"][name])),
            f"{trend['clean']:+[]}",
            f"{trend['loss']:+[]}",
            f"{trend['loss_early']}",
            f"{trend['loss_late']}",
        ]
        for name, trend in numbers["trends"].items()
    ]
    header = ["training", "epochs", "ρ(epoch, clean area)", "ρ(epoch, loss)", "loss, early", "loss, late"]
    return Section(
        "Does the susceptibility grow while the performance does?",
        text,
        [Table(f"Validation {subject.main.name} area, clean minus attacked:", header, rows)] if rows else [],
        [Figure("trade_off", "Clean area against what the attack takes, a point per epoch.")] if numbers["histories"] else [],
    )
