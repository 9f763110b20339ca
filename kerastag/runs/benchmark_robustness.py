"""Defences against attacks: the trainings, evaluations and table of `scripts/benchmark_robustness.py`.

Every training and every evaluation is a file below the output folder, so a run that was interrupted goes on where it stopped.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kerastag import tables
from kerastag import data
from kerastag.runs import train as experiment
from kerastag import saving
from kerastag.attacks import FGSM, ThreatModel, marginal_preserving, named
from kerastag.errors import UserError
from kerastag.evaluation.comparison import RELATIVE_CAP, Condition
from kerastag.attacks.samples import attacked_logits
from kerastag.files import write_json, write_text
from kerastag.metrics import Bootstrap, NotDefined, RankedPair
from kerastag.recipes import Settings

# Name of each column, the attack and its size. Distortions and NGM move most cells less than ε, so they get a larger one.
ATTACKS = {
    "FGSM .01": ("fgsm", 0.01),
    "PGD-20 .01, 3 starts": ("pgd-20x3", 0.01),
    "APGD-50 .01": ("apgd-50", 0.01),
    "NGM .02": ("ngm", 0.02),
    "noise .05": ("noise", 0.05),
    "up .05": ("systematic-up", 0.05),
    "down .05": ("systematic-down", 0.05),
}
MARGINAL = "marginal-preserving .01"
DISCRIMINATORS = ("BvL", "CvL")
RESULT = "robustness.json"
_REPLICATES = 200


def run(settings: Settings, output: Path, defenses: dict[str, list[int]]) -> None:
    """Train and evaluate what is missing below `output`, then write the table.

    Args:
        settings: Of all trainings; defence and seed are varied.
        output: Folder of the benchmark.
        defenses: Seeds of each defence.
    """
    dataset = data.prepare(settings.config, data_dir=settings.data_dir, manual_dir=settings.manual_dir)
    results: dict[str, list[dict]] = {}
    pairs = [(name, seed) for name, seeds in defenses.items() for seed in seeds]
    for name, seed in tqdm(pairs, "Trainings", disable=None):
        folder = output / f"{name}-seed{seed}"
        own = dataclasses.replace(settings, defense=name, seed=seed)
        experiment.train_missing(own, dataset, folder)
        results.setdefault(name, []).append(_evaluated(dataset, folder))
    _write(results, _speeds(settings, dataset, list(defenses), output / "speed.json"), dataset, output)


def _speeds(settings: Settings, dataset: data.JetDataset, names: list[str], file: Path) -> dict[str, float]:
    """Jets/s of a training step with each defence, one measured right after the other; read back if they are there."""
    stored = json.loads(file.read_text()) if file.is_file() else {}
    if set(names) <= set(stored):
        return stored
    for name in tqdm(names, "Timing", disable=None):
        stored[name] = experiment.training_speed(dataclasses.replace(settings, defense=name), dataset)
    write_json(file, stored)
    return stored


def _evaluated(dataset: data.JetDataset, folder: Path) -> dict:
    """Areas of a training under every attack, read back if they were measured on the same tagger and jets."""
    file = folder / RESULT
    made_of = {"fingerprint": dataset.fingerprint, "attacks": [*ATTACKS.items(), MARGINAL]}
    made_of = json.loads(json.dumps(made_of))
    if file.is_file():
        stored = json.loads(file.read_text())
        if stored["made_of"] == made_of:
            return stored
    tagger = saving.load(folder)
    split = dataset.arrays("test")
    y = split.y
    bootstrap = Bootstrap(split.events, _REPLICATES, weights=split.weights)
    rows = {"clean": _areas(y, attacked_logits(tagger, split.features, y, None), bootstrap)}
    marginals = {}
    for cap in (None, RELATIVE_CAP):
        suffix = "" if cap is None else f", cap {cap:.0%}"
        for condition in _conditions(dataset, cap, suffix):
            rows[condition.name] = _areas(y, attacked_logits(tagger, split.features, y, condition.attack), bootstrap)
        attack = FGSM(ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.01, cap))
        x, found = marginal_preserving(attack, tagger, split.features, y)
        rows[MARGINAL + suffix] = _areas(y, attacked_logits(tagger, x, y, None), bootstrap)
        marginals[MARGINAL + suffix] = {
            "largest chi2/ndf": float(found.chi2.max()),
            "largest Jensen-Shannon divergence": float(found.jensen_shannon.max()),
            "largest change of a correlation": found.correlation,
            "share of cells moved": found.moved,
        }
    content = {"made_of": made_of, "jets": len(y), "rows": rows, "marginals": marginals}
    write_json(file, content)
    return content


def _conditions(dataset: data.JetDataset, cap: float | None, suffix: str) -> list[Condition]:
    listed = []
    for title, (name, epsilon) in ATTACKS.items():
        threat_model = ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, epsilon, cap)
        listed.append(Condition(title + suffix, named(name, threat_model)))
    return listed


def _areas(y: np.ndarray, scores: np.ndarray, bootstrap: Bootstrap) -> dict:
    """Area of each discriminator and half its 68 % interval."""
    areas = {}
    for name in DISCRIMINATORS:
        found = bootstrap.interval(RankedPair(y, scores, name))
        if isinstance(found, NotDefined):
            raise UserError(f"The test split cannot be evaluated: {name} is {found}.")
        areas[name] = {"value": found.value, "error": found.error}
    return areas


def _write(results: dict[str, list[dict]], speeds: dict[str, float], dataset: data.JetDataset, output: Path) -> None:
    """Table, tidy rows and numbers."""
    jets = dataset.count("test")
    parts = [
        f"{jets:,} test jets; mean over seeds ± their standard deviation, or ± half the 68 % bootstrap interval for one seed."
    ]
    for discriminator in DISCRIMINATORS:
        for suffix in ("", f", cap {RELATIVE_CAP:.0%}"):
            title = f"{discriminator} AUC{' under the 20 % cap' if suffix else ''}"
            parts += [f"**{title}**", _table(results, speeds, discriminator, suffix)]
    text = "\n\n".join(parts) + "\n"
    write_text(output / "table.md", text)
    write_json(output / "metrics.json", {"jets_per_second": speeds, "results": results})
    write_text(output / "robustness.csv", tables.comma_separated(_records(results)))
    print(f"\n{text}\nBest under the strongest attack: {_best(results)}.")
    print(f"Numbers {output / 'metrics.json'} and robustness.csv, tables {output / 'table.md'}.")


def _table(results: dict[str, list[dict]], speeds: dict[str, float], discriminator: str, suffix: str) -> str:
    columns = ["clean", *(title + suffix for title in (*ATTACKS, MARGINAL))]
    reference = speeds.get("nominal", np.nan)
    rows = []
    for name, runs in results.items():
        cells = [_cell([one["rows"][column][discriminator] for one in runs]) for column in columns]
        rows.append([name, str(len(runs)), *cells, f"{reference / speeds[name]:.1f}"])
    titles = ["clean", *ATTACKS, MARGINAL]
    return tables.markdown(["defence", "seeds", *titles, "time / nominal"], rows)


def _cell(areas: list[dict]) -> str:
    values = [area["value"] for area in areas]
    error = np.std(values, ddof=1) if len(values) > 1 else areas[0]["error"]
    return f"{np.mean(values):.4f} ± {error:.4f}"


def _strongest(one: dict) -> float:
    """Smallest BvL area of a training under the gradient attacks, without a cap."""
    return min(one["rows"][title]["BvL"]["value"] for title, (name, _) in ATTACKS.items() if "pgd" in name or "fgsm" in name)


def _best(results: dict[str, list[dict]]) -> str:
    areas = {name: float(np.mean([_strongest(one) for one in runs])) for name, runs in results.items()}
    best = max(areas, key=areas.get)
    return f"{best} with a BvL area of {areas[best]:.4f}"


def _records(results: dict[str, list[dict]]) -> list[dict]:
    """All areas as tidy rows."""
    return [
        {"defence": name, "run": number, "condition": condition, "quantity": f"{quantity} AUC", **area}
        for name, runs in results.items()
        for number, one in enumerate(runs)
        for condition, row in one["rows"].items()
        for quantity, area in row.items()
    ]
