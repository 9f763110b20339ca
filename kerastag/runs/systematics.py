"""Taggers on simulated mismodelling, and whether what they lose under attack predicts what they lose there."""

import dataclasses
import functools
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from kerastag import data, outputs, plots, tables
from kerastag.attacks import Attack, Condition, conditions
from kerastag.errors import UserError
from kerastag.evaluation import systematics as measure
from kerastag.evaluation import systematics_tables
from kerastag.evaluation.envelope import SHARE, budget_file, largest_shifts
from kerastag.evaluation.stored_scores import ScoredJets, StoredScores, kept, parse_all
from kerastag.evaluation.systematics import Change, Sides
from kerastag.evaluation.taggers import TREES, Tagger
from kerastag.files import write_json, write_text
from kerastag.flavours import FLAVOURS
from kerastag.jets import Jets
from kerastag.metrics import DISCRIMINATORS, Bootstrap, RankedPair
from kerastag.request import PAPER, PHYSICS, REPLICATES, SCAN, AttackGrid, Sample
from kerastag.results import NotDefined, Resampled
from kerastag.runs.opening import opened, schema_of
from kerastag.saving.taggers import load_seeds
from kerastag.schema import Schema
from kerastag.simulation import catalogue
from kerastag.simulation import variations as simulated
from kerastag.simulation.variation_folders import NOMINAL, File, list_files

# What gives the logits of jets, by tagger.
Measured = dict[str, Callable[[Jets], ScoredJets]]


class Varied(NamedTuple):
    """What variations do to taggers.

    Attributes:
        changes: `changes[tagger][variation]`.
        about: What is known of each variation.
        left_out: `left_out[tagger][file]`, number of jets without a score.
    """

    changes: dict[str, dict[str, Change]]
    about: dict[str, dict[str, Any]]
    left_out: dict[str, dict[str, int]]


@outputs.keeps
def systematics(
    taggers: Sequence[str],
    folder: Path,
    sample: Sample,
    output: Path,
    grid: AttackGrid = SCAN,
    *,
    scores: Sequence[str] = (),
    variations: Sequence[str] = (),
    budgets: Sequence[str] = (),
    trees: bool = True,
    envelope: Path | None = None,
    replicates: int = REPLICATES,
) -> None:
    """Measure every tagger on every variation and under every attack, and write tables, numbers and figure.

    Args:
        taggers: Each a path, a legacy tagger, or NAME=one of these; the first is the one that others are compared with. A
            NAME= that is given several times stands for the seeds of one training.
        folder: Folder of files of `kerastag simulate`, `nominal.root` among them.
        sample: Names the data set, which gives attacks their scale and trees their training jets, and the split of the files
            whose jets are taken, or "all".
        output: Folder of the results.
        grid: Attacks, each made within the paper's box and within the physical one.
        scores: Taggers of scores that the files hold, as of `StoredScores.parse`; they are not attacked.
        variations: Names of the files to look at; none for all.
        budgets: Budgets, by name or file, that are boxes of their own.
        trees: Whether boosted trees are trained and measured as well.
        envelope: File for the budget of the largest shifts; None for none.
        replicates: Bootstrap resamples.

    Raises:
        UserError: if a file is missing or none of `kerastag simulate`, the data set has other classes than
            b, c, light, a tagger does not fit it, or scores tell nothing of b against light.
    """
    files, chosen = list_files(folder, variations), boxes(grid, budgets)
    # Discriminators of a schema's own could have the same names.
    dataset = opened(sample, dataclasses.replace(schema_of(sample, taggers), ratios=()))
    if dataset.schema.class_names != FLAVOURS:
        raise UserError(
            f"The simulation knows jets of {', '.join(FLAVOURS)}, in this order; {dataset.schema.name} has the classes "
            f"{', '.join(dataset.schema.class_names)}."
        )
    attacks = {one: one.aimed_at("BvL").build_attack(dataset) for one in chosen}  # mistakes are found before trees are trained
    networks = _networks(taggers, dataset.schema)
    stored, schema = _stored(scores, dataset.schema, [TREES, *(tagger.name for tagger in networks)])
    read = functools.partial(data.read_simulated, schema=schema, split=sample.split, selection=dataset.selection)
    jets = read(files[NOMINAL].path)
    if envelope is not None:
        write_envelope(envelope, dataset.schema, jets, files, read, chosen=bool(variations))
    models = [*networks, *([Tagger.trees(dataset.arrays("train"), networks[0].attacked)] if trees else [])]
    areas, losses = _attack(models, jets, attacks, replicates)
    for one in stored:
        areas[one.name] = _stored_area(one.of(jets, schema), jets, replicates)
        losses[one.name] = {condition.label: NotDefined("stored scores") for condition in attacks}
    measured: Measured = {tagger.name: functools.partial(tagger.of, schema=schema) for tagger in models}
    measured |= {one.name: functools.partial(one.of, schema=schema) for one in stored}
    varied = _vary(measured, jets, files, read, replicates)
    changes, groups = varied.changes, _groups(varied.about)
    trainings = _trainings(models) | {one.name: [one.name] for one in stored}
    summary = systematics_tables.summary_rows(areas, changes, losses, groups)
    # Jets that were attacked on another tagger say nothing of how much could be lost, so trees do not count, nor stored scores.
    of_networks = {name: members for name, members in _trainings(models).items() if name != TREES}
    content = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "fingerprint": dataset.fingerprint,
        "config": dataset.schema.name,
        "jets": len(jets),
        "replicates": replicates,
        "groups": groups,
        "trainings": trainings,
        "stored": {one.name: {"branches": one.branches, "left_out": varied.left_out[one.name]} for one in stored},
        "summary": summary,
        "predictions": systematics_tables.prediction_rows(changes, losses, groups, of_networks),
        "rows": systematics_tables.change_rows(changes, varied.about),
    }
    _write(content, output)


def boxes(grid: AttackGrid, budgets: Sequence[str] = ()) -> list[Condition]:
    """The attacks within the paper's box, within the physical one, and within each budget, whose units are its own.

    Raises:
        UserError: if two budgets have the same name in tables.
    """
    grids = [dataclasses.replace(grid, physics=physics) for physics in (PAPER, PHYSICS)]
    once = dataclasses.replace(grid, epsilons=(1.0,), scale="sigma")
    grids += [dataclasses.replace(once, physics=dataclasses.replace(PHYSICS, budget=budget)) for budget in budgets]
    labels = [of_box.physics.label for of_box in grids]
    if same := next((label for label in labels if labels.count(label) > 1), None):
        raise UserError(f"Two of --budgets are called '{same}' in tables; leave one out, or rename its file.")
    return [condition for of_box in grids for condition in conditions(of_box) if not condition.is_clean]


def _networks(arguments: Sequence[str], schema: Schema) -> list[Tagger]:
    return [
        Tagger.network(tagger.model, name, seed)
        for name, seeds in load_seeds(arguments, schema).items()
        for seed, tagger in enumerate(seeds, start=1)
    ]


def _trainings(models: Sequence[Tagger]) -> dict[str, list[str]]:
    """Names of the taggers of each training, one for each seed."""
    trainings: dict[str, list[str]] = {}
    for tagger in models:
        trainings.setdefault(tagger.training, []).append(tagger.name)
    return trainings


def _attack(
    models: Sequence[Tagger], jets: Jets, attacks: Mapping[Condition, Attack], replicates: int
) -> tuple[dict[str, Resampled | NotDefined], dict[str, dict[str, Resampled | NotDefined]]]:
    """BvL area of each tagger on nominal jets, and what each attack takes from it."""
    bootstrap = Bootstrap(jets.events, replicates, weights=jets.weights)

    def area(features: np.ndarray, tagger: Tagger) -> Resampled | NotDefined:
        return bootstrap.area(RankedPair(jets.label, tagger.logits(features), DISCRIMINATORS["BvL"]))

    areas = {tagger.name: area(jets.features, tagger) for tagger in models}
    losses: dict[str, dict[str, Resampled | NotDefined]] = {tagger.name: {} for tagger in models}
    attacked: dict[Condition, np.ndarray] = {}
    pairs = [(tagger, condition) for tagger in models for condition in attacks]
    for tagger, condition in tqdm(pairs, "Attacking", disable=None):
        features = _attacked(tagger, models[0], jets, condition, attacks[condition], attacked)
        losses[tagger.name][condition.label] = areas[tagger.name] - area(features, tagger)
    return areas, losses


def _attacked(
    tagger: Tagger,
    first: Tagger,
    jets: Jets,
    condition: Condition,
    attack: Attack,
    kept: dict[Condition, np.ndarray],
) -> np.ndarray:
    """Attacked features; those of the first tagger are kept for those that have no gradient."""
    if tagger.attacked is not first.attacked or not attack.follows_gradient:
        return tagger.under(attack, jets)
    if condition not in kept:
        kept[condition] = first.under(attack, jets)
    return kept[condition]


def _stored(scores: Sequence[str], schema: Schema, taken: Sequence[str]) -> tuple[list[StoredScores], Schema]:
    """Taggers of stored scores, and the schema with what they need among the spectators.

    Raises:
        UserError: if one has no score for b against light, or the name of another tagger.
    """
    plain = dataclasses.replace(schema, ratios=())
    stored = parse_all(scores, plain, taken)
    for one in stored:
        if not ("BvL" in one.branches or {"b", "light"} <= set(one.branches)):
            raise UserError(
                f"'{one.name}' has no score of b against light, which systematics is about; name one as BvL:BRANCH."
            )
    return stored, dataclasses.replace(plain, spectators=(*plain.spectators, *kept(stored, plain)))


def _stored_area(scored: ScoredJets, jets: Jets, replicates: int) -> Resampled | NotDefined:
    """BvL area of the jets that have a score, with the resamples of all."""
    bootstrap = Bootstrap(jets.events, replicates, weights=jets.weights).of(scored.counted)
    logits = scored.logits["BvL"][scored.counted]
    return bootstrap.area(RankedPair(jets.label[scored.counted], logits, DISCRIMINATORS["BvL"]))


def _vary(
    measured: Measured, nominal: Jets, files: Mapping[str, File], read: Callable[[Path], Jets], replicates: int
) -> Varied:
    """What each variation does to each tagger."""
    references = {NOMINAL: nominal}
    scored = {NOMINAL: {name: score(nominal) for name, score in measured.items()}}
    cuts = {}
    for name, of_tagger in scored[NOMINAL].items():
        rows = of_tagger.counted
        cuts[name] = measure.thresholds(nominal.label[rows], of_tagger.logits["BvL"][rows], nominal.weights[rows])
    left_out = {name: {NOMINAL: of_tagger.missing} for name, of_tagger in scored[NOMINAL].items()}
    wanted = {file.reference for file in files.values()}
    changes: dict[str, dict[str, Change]] = {name: {} for name in measured}
    about: dict[str, dict[str, Any]] = {}
    varied_files = [file for name, file in files.items() if name != NOMINAL]
    for number, file in enumerate(tqdm(varied_files, "Variations", disable=None), start=1):
        jets = read(file.path)
        of_file = {name: score(jets) for name, score in measured.items()}
        if file.name in wanted:
            references[file.name], scored[file.name] = jets, of_file
        of_all = _sides(file, references[file.reference], jets, replicates, number)
        for name, varied in of_file.items():
            reference = scored[file.reference][name]
            sides = of_all
            if reference.missing or varied.missing:
                counted = reference.counted, varied.counted
                sides = _sides(file, references[file.reference], jets, replicates, number, counted)
            logits = {discriminator: one[sides.rows] for discriminator, one in varied.filled.items()}
            changes[name][file.name] = measure.change(sides, reference.filled, logits, cuts[name])
            left_out[name][file.name] = varied.missing
        about[file.name] = {"kind": file.kind, "reference": file.reference, "jets": len(jets), "paired": of_all.paired}
    return Varied(changes, about, left_out)


def _sides(
    file: File, reference: Jets, varied: Jets, replicates: int, number: int, counted: measure.Counted | None = None
) -> Sides:
    if file.same_events:
        return Sides.same_events(reference, varied, replicates, counted=counted)
    return Sides.other_events(reference, varied, replicates, varied_seed=number, counted=counted)


def _groups(about: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Variations over which means are taken: those that are as large as an uncertainty, and all of the detector.

    Variations of the physics have events of their own, so a mean of their absolute changes would tell how much events
    fluctuate.
    """
    detector = [name for name, row in about.items() if row["kind"] == catalogue.DETECTOR]
    plausible = [name for name in detector if name in catalogue.UNCERTAINTIES]
    groups = {simulated.PLAUSIBLE: plausible, catalogue.DETECTOR: detector}
    return {group: names for group, names in groups.items() if names}


def write_envelope(
    path: Path, schema: Schema, nominal: Jets, files: Mapping[str, File], read: Callable[[Path], Jets], *, chosen: bool
) -> None:
    """Write a budget of the largest shifts that variations of the detector make.

    Args:
        path: The file.
        schema: Schema of the features.
        nominal: Nominal jets.
        files: The files.
        read: Reads the jets of a file.
        chosen: Whether the user named the variations; otherwise those that are larger than an uncertainty are left out.

    Raises:
        UserError: if no variation is left.
    """
    names = [
        name
        for name, file in files.items()
        if name != NOMINAL and file.same_events and (chosen or name in catalogue.UNCERTAINTIES)
    ]
    if not names:
        raise UserError("An envelope needs variations of the detector that are as large as an uncertainty; name some.")
    files_read = tqdm(names, "Envelope", disable=None)
    varied: Iterator[Jets] = (read(files[name].path) for name in files_read)
    sizes = largest_shifts(schema, nominal, varied)
    title = (
        f"Shift that {SHARE:.0%} of the same jets and tracks stay below, of {len(nominal):,} simulated jets under each of "
        f"{', '.join(names)}; made by kerastag systematics --envelope {path.name}"
    )
    write_text(path, budget_file(title, schema.name, sizes))
    print(f"Budget {path}: {len(sizes)} of {len(schema.features)} inputs have a size, others follow or stay.")


def _write(content: Mapping[str, Any], output: Path) -> None:
    text = f"{systematics_tables.markdown(content)}\n"
    for name, one in content["stored"].items():
        files = ", ".join(f"{number:,} of {file}" for file, number in one["left_out"].items() if number) or "none"
        text += f"\n{name}: stored scores, which have no loss; jets without one, which are left out: {files}.\n"
    write_json(output / measure.RESULT, content)
    write_text(output / "table.md", text)
    write_text(output / "variations.md", tables.markdown(*systematics_tables.detail_table(content["rows"])) + "\n")
    write_text(output / "variations.csv", tables.comma_separated(content["rows"]))
    write_text(output / "taggers.csv", tables.comma_separated(content["summary"]))
    title = f"{content['jets']:,} nominal jets of {content['config']}; bars: 68 %"
    figure, _ = plots.attack_against_variations(*systematics_tables.figure_rows(content), title)
    plots.save(figure, output / "systematics.png", output / "systematics.pdf", dpi=60)
    print(f"\n{text}")
    names = ("table.md", "variations.md", "variations.csv", "taggers.csv", "systematics.png", measure.RESULT)
    print(f"Written to {output}: {', '.join(names)}.")
