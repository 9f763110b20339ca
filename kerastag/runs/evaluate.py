"""Compare stored taggers and write numbers, a table and a figure into a folder."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from tqdm.auto import tqdm

from kerastag import outputs, plots
from kerastag.attacks import CLEAN, Condition, ThreatModel, conditions
from kerastag.data import JetDataset
from kerastag.errors import Defect, UserError
from kerastag.evaluation import certified, diagnostics, negative_tags, smoothing
from kerastag.evaluation.certified import Certificate, certificates, certified_boxes
from kerastag.evaluation.comparison import Comparison, compare, drawn_logits, markdown, to_json
from kerastag.evaluation.diagnostics import Check
from kerastag.evaluation.stored_scores import StoredScores, kept, left_out, parse_all
from kerastag.files import write_json, write_text
from kerastag.jets import Jets
from kerastag.metrics import Bootstrap
from kerastag.request import EVALUATION, FLATTERED, NO_ATTACK, REPLICATES, AttackGrid, Method, Sample, unit_of
from kerastag.results import plain
from kerastag.runs.opening import read, schema_of
from kerastag.saving.taggers import NamedTagger, check_inputs, find_all, for_jets
from kerastag.schema import Schema, Separation
from kerastag.schema.negative import flipping
from kerastag.tables import Row

# Jets on which taggers are diagnosed.
_DIAGNOSED = 5000


@outputs.keeps
def evaluate(
    taggers: Sequence[str],
    sample: Sample,
    output: Path,
    grid: AttackGrid = EVALUATION,
    *,
    scores: Sequence[str] = (),
    replicates: int = REPLICATES,
    diagnose: bool = False,
    certify: Method | None = None,
    noise: float | None = None,
    negative: bool = False,
) -> None:
    """Evaluate taggers side by side.

    Args:
        taggers: Each a path, a legacy tagger, or NAME=one of these.
        sample: The jets.
        output: Folder of the results.
        grid: The attacks.
        scores: Taggers of stored scores, as of `StoredScores.parse`; they are not attacked.
        replicates: Bootstrap resamples.
        diagnose: Whether to look for signs of useless gradients.
        certify: How to bound what any attack can do, as of `kerastag.bounds.margin_bounds`; None to leave it.
        noise: In units of the scale, by which decisions are smoothed, see `kerastag.evaluation.smoothing`; None to leave it.
        negative: Whether to estimate mistag rates by negative taggers, see `kerastag.evaluation.negative_tags`.

    Raises:
        UserError: if a tagger does not fit the data set, a split does not exist, or there is nothing to evaluate or to flip.
        Defect: once all is written, if an attack has exceeded a certificate.
    """
    if not (taggers or scores):
        raise UserError("There is nothing to evaluate; name taggers, or scores that files hold with --scores.")
    if (diagnose or certify or noise or negative) and not taggers:
        raise UserError(f"Only taggers can be diagnosed, certified or flipped: {NO_ATTACK}.")
    schema = schema_of(sample, taggers)
    if negative:
        flipping(schema)
    found = find_all(taggers)
    stored = parse_all(scores, schema, [tagger.name for tagger in found])
    dataset, jets = read(sample, taggers, kept(stored, schema))
    models = _models(found, dataset.schema)
    scored = {one.name: one.of(jets, dataset.schema) for one in stored}
    under = conditions(grid) if models else [CLEAN]
    if (certify or noise) and not certified_boxes(under):
        raise UserError("There is no box to certify, or to smooth in: none of the attacks has a size.")
    if noise:  # a mistake is found before jets are attacked
        smoothing.check_scale(certified_boxes(under)[0].threat_model(dataset))
    progress = functools.partial(tqdm, desc="Attacking", disable=None if models else True)
    comparison = compare(models, dataset, jets, under, replicates, progress, scored)
    checks = _diagnosed(models, jets, under[1].threat_model(dataset), dataset.schema.main) if diagnose else {}
    bounds, without = certificates(models, dataset, jets, under, replicates, certify) if certify else ({}, {})
    smoothed = _smoothed(models, dataset, jets, under, replicates, noise) if noise else []
    tags = _negative_tags(models, dataset, jets, under, replicates) if negative else []
    title = f"{len(jets):,} jets of {sample.of_split} of {dataset.schema.name}"
    text = f"{title}; ± is half the 68 % bootstrap interval.\n\n{markdown(comparison)}\n"
    missing = {name: left_out(of_tagger, jets, dataset.schema) for name, of_tagger in scored.items()}
    text += "".join(f"\n{one.about(missing[one.name], len(jets))}\n" for one in stored)
    text += "".join(f"\n{note}\n" for note in _notes(sample, jets, found, stored))
    if checks:
        some, table = f"the first {min(_DIAGNOSED, len(jets)):,} jets", diagnostics.markdown(checks)
        text += f"\nIs the robustness real? ε = {grid.epsilons[0]:g}, mean cross-entropies of {some}:\n\n{table}\n"
    text += _guarantees(bounds, without, smoothed, certify, noise, grid.scale, dataset.schema.main)
    if tags:
        text += f"\nBy negative taggers, at thresholds of clean jets:\n\n{negative_tags.markdown(tags, dataset.schema.main)}\n"
    content = {
        "config": dataset.schema.name,
        "fingerprint": dataset.fingerprint,
        "split": sample.split,
        "jets": len(jets),
        "replicates": replicates,
        "conditions": {condition.label: dataclasses.asdict(condition) for condition in under},
        "nonfinite_gradients": {c.label: count for c, count in comparison.nonfinite_gradients.items()},
        "results": to_json(comparison),
        "stored": {one.name: {"branches": one.branches, "left_out": missing[one.name]} for one in stored},
        "certified": plain(bounds),
        "smoothed": plain(smoothed),
        "negative_tags": plain(tags),
        "diagnostics": {name: [dataclasses.asdict(check) for check in of_tagger] for name, of_tagger in checks.items()},
    }
    write_json(output / "metrics.json", content)
    write_text(output / "table.md", text)
    drawn = drawn_logits(comparison, under)
    figure, _ = plots.roc(jets.y, drawn, dataset.schema.in_tables, f"{title} (AUC)", jets.weights, comparison.counted)
    plots.save(figure, output / "roc.png")
    print(text)
    print_nonfinite(comparison)
    print(f"Numbers {output / 'metrics.json'}, table {output / 'table.md'}, figure {output / 'roc.png'}.")
    if broken := diagnostics.beyond_limits(checks):
        raise Defect(f"attacks exceed the certificate of {', '.join(broken)}, as '{output / 'table.md'}' shows")


def _guarantees(
    bounds: Mapping[str, Sequence[Certificate]],
    without: Mapping[str, str],
    smoothed: Sequence[Row],
    method: Method | None,
    noise: float | None,
    scale: str,
    main: Separation,
) -> str:
    """What holds whatever an attack does, and in which box."""
    text = ""
    if bounds:
        text += (
            f"\nWhatever an attack does in a box whose inputs move one by one, by {method}. The box of tied inputs is another, "
        )
        text += f"in which others move as well, and neither contains the other:\n\n{certified.markdown(bounds, main)}\n"
    text += "".join(f"\n{name} has no certificate. {reason}\n" for name, reason in without.items())
    if smoothed:
        unit = unit_of(scale)
        text += f"\nSmoothed by noise of {noise:g} {unit}, {smoothing.DRAWS:,} draws, whatever change of a length is made that "
        text += f"ends on no default or special value:\n\n{smoothing.markdown(smoothed, main, unit)}\n"
    return text


def _smoothed(
    models: Mapping[str, keras.Model],
    dataset: JetDataset,
    jets: Jets,
    under: Sequence[Condition],
    replicates: int,
    noise: float,
) -> list[dict[str, Any]]:
    """Rates of smoothed taggers, with noise in what the first attack that has a size may move on its own."""
    bootstrap = Bootstrap(jets.events, replicates, weights=jets.weights)
    threat_model = certified_boxes(under)[0].threat_model(dataset)
    return smoothing.smoothed_rows(models, jets, threat_model, dataset.schema.main, noise, bootstrap)


def _negative_tags(
    models: Mapping[str, keras.Model], dataset: JetDataset, jets: Jets, under: Sequence[Condition], replicates: int
) -> list[dict[str, Any]]:
    """Mistag rates and what negative taggers make of them."""
    bootstrap = Bootstrap(jets.events, replicates, weights=jets.weights)
    progress = functools.partial(tqdm, desc="Negative tags", disable=None)
    return negative_tags.negative_tags(models, dataset, jets, under, bootstrap, progress)


def _notes(sample: Sample, jets: Jets, found: Sequence[NamedTagger], stored: Sequence[StoredScores]) -> Iterator[str]:
    """What must be known before areas of taggers are compared."""
    if sample.has_training_jets and not all(tagger.record for tagger in found):
        yield FLATTERED
    if found and stored:
        yield f"{NO_ATTACK[0].upper()}{NO_ATTACK[1:]}; they have the row of clean jets alone."
    for tagger in found:
        if tagger.record and (unanswered := tagger.record.unanswered(jets.features)):
            yield f"{tagger.name}: {unanswered}"


def _models(found: Sequence[NamedTagger], schema: Schema) -> dict[str, keras.Model]:
    """Taggers by name, from raw features to logits of the classes of a schema.

    Raises:
        UserError: if one does not fit the schema.
    """
    models: dict[str, keras.Model] = {}
    for tagger in [for_jets(tagger, schema) for tagger in found]:
        check_inputs(tagger, schema)
        models[tagger.name] = tagger.model
    return models


def print_nonfinite(comparison: Comparison) -> None:
    """Say where gradients were not finite, if any were."""
    if comparison.nonfinite_gradients:
        counts = {condition.label: count for condition, count in comparison.nonfinite_gradients.items()}
        print(f"Gradients that were not finite and were taken as 0: {counts}.")


def _diagnosed(
    models: Mapping[str, keras.Model], jets: Jets, threat_model: ThreatModel, separation: Separation
) -> dict[str, list[Check]]:
    """Checks of each tagger, the others being sources of transferred attacks."""
    rows = slice(_DIAGNOSED)
    return {
        name: diagnostics.check_robustness(
            model,
            jets.features[rows],
            jets.y[rows],
            threat_model,
            {source: models[source] for source in models if source != name},
            separation=separation,
        )
        for name, model in tqdm(models.items(), "Diagnosing", disable=None)
    }
