"""Defences against attacks: trainings, evaluations and one table.

Every training and every evaluation is a file below the output folder, so a run that was interrupted goes on where it stopped.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from kerastag import outputs, plots, tables
from kerastag.attacks import CLEAN, Attack, Condition, marginal_preserving
from kerastag.catalogue import ATTACKS as ATTACKS_BY_NAME
from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation.taggers import TREES, Tagger
from kerastag.files import read_json, write_json, write_text
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.recipes import Settings, run_config
from kerastag.report.subject import digest, fingerprint
from kerastag.request import EPSILON, RELATIVE_CAP, REPLICATES, Method
from kerastag.results import Interval, Seeds, defined, plain
from kerastag.runs.defense_choice import ATTACKED, ATTACKED_UNTIED, CERTIFIED, Choice, Quantities, write_choice
from kerastag.runs.defense_choice import CLEAN as CLEAN_AREA
from kerastag.runs.defense_choice import RESULT as CHOICE
from kerastag.runs.defense_rows import Strengths, folder, strength, trainings
from kerastag.runs.opening import opened
from kerastag.runs.train import train_missing
from kerastag.runs.varied_samples import VariedSamples
from kerastag.saving.taggers import NamedTagger, load, load_seeds
from kerastag.schema import Schema, Separation
from kerastag.simulation.catalogue import UNCERTAINTIES
from kerastag.training import fitting
from kerastag.training.assembly import make_defense, make_further

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
# Discriminators of the table beside the main one, where the jets have them.
_SHOWN = ("BvL", "CvL")
RESULT = "robustness.json"
# Settings beside the defence that the speed of a training depends on.
_OF_SPEED = ("model", "batch_size", "every", "replays", "mixed", "jit")
STRENGTHS = Strengths()

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


class _Other(NamedTuple):
    """A tagger that is not trained here.

    Attributes:
        name: Its row, that of all seeds of its training.
        made_of: What its areas depend on beside jets and attacks.
        tagger: Makes it.
        settings: Those of its training; None where they are not known.
    """

    name: str
    made_of: dict[str, str]
    tagger: Callable[[], Tagger]
    settings: Settings | None = None


@outputs.keeps
def benchmark_robustness(
    settings: Settings,
    output: Path,
    defenses: Mapping[str, Sequence[int]],
    attacks: Sequence[Condition] = ATTACKS,
    *,
    strengths: Strengths = STRENGTHS,
    variations: str | None = None,
    unlabelled: str | None = None,
    beside: Sequence[str] = (),
    trees: bool = True,
    certify: Method | None = None,
    systematics: Path | None = None,
    max_jets: int | None = None,
) -> None:
    """Train and evaluate what is missing below `output`, then write the tables.

    Args:
        settings: Settings of all trainings; defence, seed and strength are varied.
        output: Folder of the benchmark.
        defenses: Seeds of each defence.
        attacks: Columns of the table.
        strengths: Strengths in training, a row each.
        variations: Folder of simulated variations, for the defences that train on them.
        unlabelled: File or folder of jets without labels, for the defences that look at such.
        beside: Further taggers as rows, each a path, a legacy tagger, or NAME=one of these; a NAME= that is given several times
            stands for the seeds of one training.
        trees: Whether boosted trees are a row, where attacks need gradients on jets that were attacked on the first training.
        certify: How certificates are made, a column of what to choose; None for none.
        systematics: Folder of simulated variations of the test jets, whose mean and worst change are columns; None for none.
        max_jets: How many test jets are attacked, from the first; None for all.

    Raises:
        UserError: if a folder has a run of other settings or data, a defence lacks the files that it needs, or a tagger does
            not fit the data set.
    """
    rows = trainings(settings, defenses, strengths, {"variations": variations, "unlabelled": unlabelled})
    dataset = opened(settings)
    others = _others(beside, rows, dataset)
    for seeds in rows.values():  # mistakes are found before the first training
        make_defense(seeds[0], dataset, steps_per_epoch=1)
    attacks = [dataclasses.replace(condition, scale=settings.scale, physics=settings.physics) for condition in attacks]
    for condition in attacks:
        for one in _shown(dataset.schema):
            condition.aimed_at(one.name).build_attack(dataset)
    jets = dataset.arrays("test").take(slice(max_jets))
    varied = None if systematics is None else VariedSamples(systematics, dataset, UNCERTAINTIES)
    choice = Choice(dataset, jets, settings.physics, certify, varied, settings.scale)
    usual = _of_usual_size(attacks)
    results: dict[str, list[Training]] = {}
    quantities: dict[str, list[Quantities]] = {}
    runs = {folder(output, name, seed): (name, seed) for name, seeds in rows.items() for seed in seeds}
    for directory, (name, training) in tqdm(runs.items(), "Trainings", disable=None):
        train_missing(training, dataset, directory)
        tagger = functools.partial(_network, directory, name, dataset.schema)
        results.setdefault(name, []).append(_evaluated(dataset, jets, directory / RESULT, attacks, {}, tagger))
        quantities.setdefault(name, []).append(choice.kept(directory / CHOICE, {}, tagger))
    if trees:
        others.append(_trees(load(str(next(iter(runs))), dataset.schema), dataset))
    for one in tqdm(others, "Others", disable=None):
        file = output / "others" / f"{fingerprint([one.name, one.made_of])}.json"
        results.setdefault(one.name, []).append(_evaluated(dataset, jets, file, attacks, one.made_of, one.tagger))
        quantities.setdefault(one.name, []).append(choice.kept(file.with_suffix(f".{CHOICE}"), one.made_of, one.tagger))
    timed = {one.name: one.settings for one in others if one.settings is not None}
    timed |= {name: several[0] for name, several in rows.items()}
    speeds = _speeds(timed, dataset, output / "speed.json")
    main = dataset.schema.main.name
    for name, of_seeds in results.items():
        headlines = [_headline(one, usual, main) for one in of_seeds]
        quantities[name] = [first | rest for first, rest in zip(headlines, quantities[name], strict=True)]
    title = (
        f"{main} areas of {len(jets):,} test jets, changes of those of all jets under simulated variations, and what else to "
        "choose by; mean over seeds ± their standard deviation."
    )
    _write(results, speeds, len(jets), write_choice(quantities, speeds, title, output), output)
    _draw(results, quantities, rows, attacks, output)


def _headline(training: Training, usual: Sequence[str], main: str) -> Quantities:
    """Clean area of a training, and that under the strongest of the usual attacks."""
    areas = {label: row[main].value for label, row in training.areas.items()}
    return {CLEAN_AREA: areas[CLEAN.label], ATTACKED: min(areas[label] for label in usual)}


def _of_usual_size(attacks: Sequence[Condition]) -> list[str]:
    """Labels of the attacks of the usual size and without a cap, of which the strongest counts.

    Raises:
        UserError: if there is none.
    """
    usual = [one.label for one in attacks if one.is_attack and one.epsilon == EPSILON and one.cap is None]
    if not usual:
        wanted = f"--attack fgsm --epsilon {EPSILON:g}"
        raise UserError(f"None of the attacks has the size {EPSILON:g} and looks at the tagger; add one, such as {wanted}.")
    return usual


def columns_of(names: Sequence[str], objective: str = "margin", epsilon: float = EPSILON) -> list[Condition]:
    """Columns for attacks by name, usually on the margin of the discriminator of the table; distortions look at nothing."""
    aims = (objective if ATTACKS_BY_NAME.find(name).looks else "cross_entropy" for name in names)
    return [Condition(name, epsilon, objective=aim) for name, aim in zip(names, aims, strict=True)]


def _others(beside: Sequence[str], trainings: Mapping[str, Sequence[Settings]], dataset: JetDataset) -> list[_Other]:
    """Taggers that are not trained here."""
    taggers = load_seeds(beside, dataset.schema)
    if same := sorted(taggers.keys() & {*trainings, TREES}):
        raise UserError(f"A row is called '{same[0]}' already; give that tagger another name with NAME=PATH.")
    return [
        _Other(name, {"tagger": digest(seed)}, functools.partial(Tagger.network, seed.model, name), _settings_of(seed))
        for name, seeds in taggers.items()
        for seed in seeds
    ]


def _settings_of(tagger: NamedTagger) -> Settings | None:
    """Settings of the run directory that a tagger comes from, if it does."""
    folder = Path(tagger.source)
    return run_config(folder)["settings"] if (folder / "config.json").is_file() else None


def _trees(first: NamedTagger, dataset: JetDataset) -> _Other:
    """Boosted trees where attacks need gradients on jets that were attacked on the first training."""
    made = functools.partial(Tagger.trees, dataset.arrays("train"), first.model)
    return _Other(TREES, {"attacked on": digest(first)}, made)


def _network(folder: Path, name: str, schema: Schema) -> Tagger:
    return Tagger.network(load(str(folder), schema).model, name)


def _speeds(trainings: Mapping[str, Settings], dataset: JetDataset, file: Path) -> dict[str, float]:
    """Jets/s of a training step of each row, measured one right after the other; read back if they are there.

    The size of an attack makes no difference.
    """
    keys = {name: _kind(training) for name, training in trainings.items()}
    of_defense = {keys[name]: training for name, training in trainings.items()}
    speeds = read_json(file, {}) if file.is_file() else {}
    if not set(of_defense) <= set(speeds):
        timed = tqdm(of_defense.items(), "Timing", disable=None)
        speeds = {name: fitting.speed(one, dataset, make_further(one, dataset)) for name, one in timed}
        write_json(file, speeds)
    return {name: speeds[key] for name, key in keys.items()}


def _kind(training: Settings) -> str:
    """What the speed of a training depends on: its defence, and what else is not as usual."""
    ours, usual = (one.to_dict() | dataclasses.asdict(one.hyperparameters) for one in (training, Settings()))
    return ", ".join([training.defense, *(f"{name}={ours[name]}" for name in _OF_SPEED if ours[name] != usual[name])])


def _draw(
    results: Mapping[str, list[Training]],
    quantities: Mapping[str, Sequence[Quantities]],
    trainings: Mapping[str, Sequence[Settings]],
    attacks: Sequence[Condition],
    output: Path,
) -> None:
    """Clean against attacked area, and against the certified one where there is one; a curve for each defence."""
    main = _discriminators(results)[0]
    points: list[tuple[str, str, Seeds]] = []
    for condition in attacks:
        if condition.is_attack:
            points += [(condition.label, name, _seeds(of_seeds, condition.label, main)) for name, of_seeds in results.items()]
    for label in (ATTACKED_UNTIED, CERTIFIED):
        known = {name: of_seeds for name, of_seeds in quantities.items() if label in of_seeds[0]}
        points += [(label, name, Seeds(tuple(one[label] for one in of_seeds))) for name, of_seeds in known.items()]
    rows = [
        {
            "defence": trainings[name][0].defense if name in trainings else name,
            "strength": strength(trainings[name][0]) if name in trainings else (),
            "attack": label,
            "clean": _seeds(results[name], CLEAN.label, main),
            "attacked": left,
        }
        for label, name, left in points
    ]
    title = "Clean area, and what is left of it"
    plots.save(plots.pareto_curves(rows, title, main)[0], output / "pareto.png", output / "pareto.pdf")


def _evaluated(
    dataset: JetDataset, jets: Jets, file: Path, attacks: Sequence[Condition], of: Mapping[str, str], make: Callable[[], Tagger]
) -> Training:
    """Areas of a tagger under every attack, read back if they were measured `of` the same, on the same jets."""
    ratios = {"ratios": list(dataset.schema.ratios)} if dataset.schema.ratios else {}
    of_jets = {} if len(jets) == dataset.count("test") else {"jets": len(jets)}
    made_of = plain({"fingerprint": dataset.fingerprint, "attacks": [*attacks, MARGINAL], **ratios, **of_jets, **of})
    if file.is_file() and (stored := read_json(file))["made_of"] == made_of:
        return Training(stored["areas"], stored["marginals"])
    training = _evaluate(dataset, jets, make(), attacks)
    write_json(file, {"made_of": made_of, "jets": len(jets), **plain(training)})
    return training


def _evaluate(dataset: JetDataset, jets: Jets, tagger: Tagger, attacks: Sequence[Condition]) -> Training:
    bootstrap = Bootstrap(jets.events, REPLICATES, weights=jets.weights)
    separations = _shown(dataset.schema)
    areas = {}
    for condition in (CLEAN, *attacks):
        aims = {one.name: condition.aimed_at(one.name) for one in separations}
        logits = {aim: _attacked(tagger, jets, aim.build(dataset)) for aim in set(aims.values())}
        areas[condition.label] = _areas(jets.y, {name: logits[aim] for name, aim in aims.items()}, bootstrap, separations)
    fgsm = Condition("fgsm", EPSILON, scale=attacks[0].scale, physics=attacks[0].physics).build_attack(dataset)
    x, marginals = marginal_preserving(fgsm, tagger.attacked, jets.features, jets.y)
    areas[MARGINAL] = _areas(jets.y, dict.fromkeys([one.name for one in separations], tagger.logits(x)), bootstrap, separations)
    reach = {
        "largest Kolmogorov-Smirnov distance": float(marginals.distance.max()),
        "largest change of a correlation": marginals.correlation,
        "share of cells moved": marginals.moved,
    }
    return Training(areas, reach)


def _attacked(tagger: Tagger, jets: Jets, attack: Attack | None) -> np.ndarray:
    """Logits of attacked jets `(jets, classes)`."""
    return tagger.logits(tagger.under(attack, jets))


def _shown(schema: Schema) -> list[Separation]:
    """Discriminators of the table."""
    others = [schema.separations[name] for name in _SHOWN if name in schema.separations]
    return list(dict.fromkeys([schema.main, *(others or schema.in_tables)]))


def _discriminators(results: Mapping[str, Sequence[Training]]) -> list[str]:
    """Names of those that were measured."""
    return list(next(iter(results.values()))[0].areas[CLEAN.label])


def _areas(
    y: np.ndarray, logits: Mapping[str, np.ndarray], bootstrap: Bootstrap, separations: Sequence[Separation]
) -> dict[str, Interval]:
    """Area of each discriminator on its own logits."""
    areas = {}
    for one in separations:
        area = bootstrap.area(RankedPair(y, logits[one.name], one))
        areas[one.name] = defined(area, f"{one.name} AUC of the test split").interval
    return areas


def _write(
    results: dict[str, list[Training]],
    speeds: dict[str, float],
    jets: int,
    choice: str,
    output: Path,
) -> None:
    """Tables, with the text on what to choose behind them, tidy rows and numbers."""
    parts = [
        f"{jets:,} test jets; mean over seeds ± their standard deviation, or ± half the 68 % bootstrap interval for one seed."
    ]
    for discriminator in _discriminators(results):
        parts += [f"**{discriminator} AUC**", _table(results, speeds, discriminator)]
    text = "\n\n".join([*parts, choice])
    write_text(output / "table.md", text)
    write_json(output / "metrics.json", {"jets_per_second": speeds, "results": results})
    write_text(output / "robustness.csv", tables.comma_separated(_records(results)))
    print(f"\n{text}")
    print(
        f"Numbers {output / 'metrics.json'} and robustness.csv, tables {output / 'table.md'}, figures pareto.png, choice.png."
    )


def _table(results: dict[str, list[Training]], speeds: dict[str, float], discriminator: str) -> str:
    columns = list(next(iter(results.values()))[0].areas)
    rows = []
    for name, of_seeds in results.items():
        cells = [_cell(of_seeds, column, discriminator) for column in columns]
        time = f"{speeds['nominal'] / speeds[name]:.1f}" if {"nominal", name} <= speeds.keys() else ""
        rows.append([name, str(len(of_seeds)), *cells, time])
    return tables.markdown(["defence", "seeds", *columns, "time / nominal"], rows)


def _cell(trainings: Sequence[Training], column: str, discriminator: str) -> str:
    if len(trainings) == 1:
        return str(trainings[0].areas[column][discriminator])
    return str(_seeds(trainings, column, discriminator))


def _seeds(trainings: Sequence[Training], column: str, discriminator: str) -> Seeds:
    """An area of all seeds."""
    return Seeds(tuple(training.areas[column][discriminator].value for training in trainings))


def _records(results: dict[str, list[Training]]) -> list[dict[str, Any]]:
    """All areas as tidy rows."""
    return [
        {"defence": name, "run": run, "condition": condition, "quantity": f"{quantity} AUC", "area": area}
        for name, trainings in results.items()
        for run, training in enumerate(trainings)
        for condition, row in training.areas.items()
        for quantity, area in row.items()
    ]
