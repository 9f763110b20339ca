"""The trade-off: clean area and susceptibility, epoch by epoch."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np

from kerastag import plots
from kerastag.evaluation.trends import rank_correlation
from kerastag.report.page import Figure, Section, Table
from kerastag.report.subject import Subject

NAME = "epochs"
CLEAN_COLUMN, ATTACKED_COLUMN = "val_BvL_auc", "val_BvL_auc_fgsm"
_FEWEST = 4


def numbers(subject: Subject) -> dict:
    """Clean and attacked validation areas of each epoch, from the `history.csv` beside each tagger."""
    histories, missing, samples = {}, [], {}
    for name, seeds in subject.taggers.items():
        epochs = _history(Path(seeds[0].source) / "history.csv")
        if epochs:
            histories[name] = epochs
            samples[_sample(Path(seeds[0].source) / "config.json")] = None
        else:
            missing.append(name)
    trends = {name: trend(np.array(epochs)) for name, epochs in histories.items() if len(epochs) >= _FEWEST}
    return {"histories": histories, "missing": missing, "trends": trends, "samples": list(samples)}


def _sample(file: Path) -> str:
    """Validation jets and size of the attack of a run, from its settings."""
    if not file.is_file():
        return "validation jets, ε unknown"
    config = json.loads(file.read_text())
    return f"{sum(config['jets']['validation'].values()):,} validation jets, FGSM ε = {config['settings']['epsilon']:g}"


def _history(file: Path) -> list[list[float]]:
    """Clean and attacked area of each epoch; nothing where the file does not tell them."""
    if not file.is_file():
        return []
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {CLEAN_COLUMN, ATTACKED_COLUMN} <= set(rows[0]):
        return []
    try:
        return [[float(row[CLEAN_COLUMN]), float(row[ATTACKED_COLUMN])] for row in rows]
    except ValueError:  # empty where an epoch was not evaluated
        return []


def trend(epochs: np.ndarray) -> dict:
    """Rank correlations with the epoch, and losses early and late.

    Args:
        epochs: Clean and attacked area, `(epochs, 2)`.
    """
    number = np.arange(len(epochs))
    loss = epochs[:, 0] - epochs[:, 1]
    quarter = max(1, len(epochs) // 4)
    return {
        "clean": dataclasses.asdict(rank_correlation(number, epochs[:, 0])),
        "loss": dataclasses.asdict(rank_correlation(number, loss)),
        "loss_early": float(loss[:quarter].mean()),
        "loss_late": float(loss[-quarter:].mean()),
        "loss_late_spread": float(loss[-quarter:].std(ddof=1)) if quarter > 1 else 0.0,
    }


def draw(subject: Subject, found: dict) -> dict:
    """A point per epoch."""
    if not found["histories"]:
        return {}
    return {"trade_off": plots.trade_off(found["histories"], "FGSM", "; ".join(found["samples"]))}


def tables_of(found: dict) -> dict:
    """Tidy rows."""
    rows = [
        {"tagger": name, "epoch": number, "clean": clean, "attacked": attacked}
        for name, epochs in found["histories"].items()
        for number, (clean, attacked) in enumerate(epochs, start=1)
    ]
    return {"epochs": rows} if rows else {}


def section(subject: Subject, found: dict) -> Section:
    """Whether the better epoch is the more vulnerable one."""
    text = [
        "Each training's own attack at each epoch, from its history.csv; ρ is Spearman's rank correlation with the epoch, "
        "early and late are the first and the last quarter of the epochs."
    ]
    if found["missing"]:
        text.append(f"No epochs are known of {', '.join(found['missing'])}: no history.csv with {ATTACKED_COLUMN} lies beside.")
    rows = [
        [name, str(len(found["histories"][name])), *(_cell(own[what]) for what in ("clean", "loss"))]
        + [f"{own[what]:.4f}" for what in ("loss_early", "loss_late")]
        for name, own in found["trends"].items()
    ]
    header = ["training", "epochs", "ρ(epoch, clean area)", "ρ(epoch, loss)", "loss, early", "loss, late"]
    return Section(
        "Does the susceptibility grow while the performance does?",
        text,
        [Table("Validation BvL area, clean minus attacked:", header, rows)] if rows else [],
        [Figure("trade_off", "Clean area against what the attack takes, a point per epoch.")] if found["histories"] else [],
    )


def _cell(interval: dict) -> str:
    return f"{interval['value']:+.2f} [{interval['low']:+.2f}, {interval['high']:+.2f}]"
