"""The robustness report: what is not there yet is made part by part, then the page."""

import functools
import platform
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

import kerastag
from kerastag import outputs, plots, tables
from kerastag.errors import UserError
from kerastag.evaluation import architectures as comparison
from kerastag.evaluation import input_scan
from kerastag.evaluation import systematics as measure
from kerastag.files import read_json, write_json, write_text
from kerastag.report import claims, verdict
from kerastag.report.page import Page, Section, Table, html, markdown
from kerastag.report.part import Numbers, Part
from kerastag.report.parts import (
    PARTS,
    architectures,
    areas,
    certified,
    directions,
    epochs,
    flatness,
    hidden,
    inputs,
    mismodelling,
    shapes,
    vulnerability,
)
from kerastag.report.subject import Subject, fingerprint
from kerastag.request import FLATTERED, ReportOptions, Sample
from kerastag.runs.opening import opened, schema_of

# Resolution of figures, dots per inch.
_DPI = 60
# What changed in the numbers of a part since the version: those of older reports are made anew.
_FORMATS = {
    certified.NAME: ["the stronger of two attacks"],
    claims.NAME: ["all seeds", "a limit itself does not count"],
    directions.NAME: ["all seeds", "not defined where hardly anything moves"],
    epochs.NAME: ["all seeds"],
    flatness.NAME: ["all seeds"],
    hidden.NAME: ["trees of both halves, all seeds"],
    vulnerability.NAME: ["figures of the slide"],
}
# What a part consists of: its numbers, and the files that were written, from the folder of the report.
_Made = tuple[Numbers, list[str]]


@outputs.keeps
def report(
    taggers: Sequence[str],
    sample: Sample,
    output: Path,
    options: ReportOptions = ReportOptions(),  # noqa: B008  (it cannot change)
    scan: Path | None = None,
    systematics: Path | None = None,
    study: Path | None = None,
) -> None:
    """Make the report, or what is missing of it.

    Args:
        taggers: Paths or legacy names, or NAME= before one; the first is the one that others are compared with. A NAME= that
            is given several times stands for the seeds of one training.
        sample: Jets to evaluate on.
        output: Folder of the report.
        options: What the report shows.
        scan: Folder of a scan of inputs; None for none.
        systematics: Folder of what `kerastag systematics` has measured; None for none.
        study: Folder of what `kerastag study --models` has measured; None for none.

    Raises:
        UserError: if a tagger does not fit the data set, or the scan, the systematics or the study were made of other jets.
    """
    start = time.perf_counter()
    dataset = opened(sample, schema_of(sample, taggers))
    store = output / "parts"
    subject = Subject(taggers, dataset, sample, options, store, scan, systematics, study)
    _check_scan(subject)
    _check_systematics(subject)
    _check_study(subject)
    parts = _stored_parts(subject, output)
    numbers = {name: stored["numbers"] for name, stored in parts.items()}
    page = _page(subject, numbers, sum(stored["nonfinite_gradients"] for stored in parts.values()))
    write_text(output / "report.html", html(page, output / "figures"))
    write_text(output / "report.md", markdown(page, "figures"))
    write_json(output / "metrics.json", _metrics(subject, numbers))
    print("\n".join([*page.slide.text, ""]))
    print(f"Page {output / 'report.html'}, the same as {output / 'report.md'};")
    print(f"figures {output / 'figures'}, tables {output / '*.csv'}, numbers {output / 'metrics.json'}.")
    print(f"Took {time.perf_counter() - start:.0f} s.")


def _check_scan(subject: Subject) -> None:
    """Raise a `UserError` unless the scan, if there is one, was made of the same jets."""
    if subject.scan is None:
        return
    file = subject.scan / input_scan.RESULT
    if not file.is_file():
        raise UserError(f"There is no '{input_scan.RESULT}' in '{subject.scan}' (--scan); make it with scripts/scan_inputs.py.")
    content, main = read_json(file, {"fingerprint": str, "rows": list}), subject.main.name
    if content["fingerprint"] != subject.dataset.fingerprint:
        raise UserError(f"The scan in '{subject.scan}' (--scan) was made with another data set than '{subject.dataset.path}'.")
    if content.get("main", main) != main:
        raise UserError(f"The scan in '{subject.scan}' (--scan) has areas of {content['main']}, not of {main}; make it anew.")


def _check_systematics(subject: Subject) -> None:
    """Raise a `UserError` unless the systematics, if there are any, were measured with the same data set."""
    if subject.systematics is None:
        return
    file = subject.systematics / measure.RESULT
    where = f"'{subject.systematics}' (--systematics)"
    if not file.is_file():
        raise UserError(f"There is no '{measure.RESULT}' in {where}; make it with scripts/systematics.py.")
    fields = {"fingerprint": str, "rows": list, "summary": list, "predictions": list, "groups": dict}
    if read_json(file, fields)["fingerprint"] != subject.dataset.fingerprint:
        raise UserError(f"The systematics in {where} were made with another data set than '{subject.dataset.path}'.")


def _check_study(subject: Subject) -> None:
    """Raise a `UserError` unless the study, if there is one, compared architectures on the same data set."""
    if subject.study is None:
        return
    file, where = subject.study / comparison.RESULT, f"'{subject.study}' (--study)"
    content = read_json(file, {}) if file.is_file() else {}
    if not comparison.FIELDS.keys() <= content.keys():
        raise UserError(
            f"There is no comparison of architectures in {where}; make it with scripts/study.py --models, which trains nothing "
            "again where an earlier version made it."
        )
    if read_json(file, comparison.FIELDS)["fingerprint"] != subject.dataset.fingerprint:
        raise UserError(f"The study in {where} was made with another data set than '{subject.dataset.path}'.")


def _files_of(name: str, subject: Subject) -> list[Path | None]:
    """Results of other commands that a part takes in; the others need not be made again when there are other ones."""
    folders = {
        inputs.NAME: (subject.scan, input_scan.RESULT),
        claims.NAME: (subject.scan, input_scan.RESULT),
        mismodelling.NAME: (subject.systematics, measure.RESULT),
        architectures.NAME: (subject.study, comparison.RESULT),
    }
    return [folder and folder / file for folder, file in [folders[name]]] if name in folders else []


def _stored_parts(subject: Subject, output: Path) -> dict[str, dict[str, Any]]:
    """The stored content of each part and of the claims by name; what is missing is made and stored."""
    stored: dict[str, dict[str, Any]] = {}
    bar = tqdm(PARTS, "Report", disable=None, unit="part")
    for part in bar:
        bar.set_postfix_str(part.NAME)
        subject.say = functools.partial(_say, bar, part.NAME)
        stored[part.NAME] = _stored(part.NAME, subject, output, functools.partial(_make_part, part, subject, output))
    numbers = {name: content["numbers"] for name, content in stored.items()}
    stored[claims.NAME] = _stored(claims.NAME, subject, output, functools.partial(_make_claims, subject, numbers, output))
    return stored


def _say(bar: tqdm, part: str, text: str) -> None:
    """Show which part computes what."""
    bar.set_postfix_str(f"{part}: {text}")


def _stored(name: str, subject: Subject, output: Path, make: Callable[[], _Made]) -> dict[str, Any]:
    """What was stored before, if it was made of the same and its files are there; else it is made and stored now.

    Args:
        name: Name of the part.
        subject: What the part depends on.
        output: Folder of the report.
        make: Makes the part.
    """
    file = output / "parts" / f"{name}.json"
    of_subject = subject.made_of(*_files_of(name, subject))
    key = fingerprint([kerastag.__version__, *_FORMATS.get(name, ()), of_subject])
    stored = read_json(file) if file.is_file() else {"made_of": None, "files": []}
    if stored["made_of"] == key and all((output / path).is_file() for path in stored["files"]):
        return stored
    before = subject.nonfinite_gradients
    numbers, files = make()
    for path in set(stored["files"]) - set(files):
        (output / path).unlink(missing_ok=True)
    counted = subject.nonfinite_gradients - before
    write_json(file, {"made_of": key, "files": files, "nonfinite_gradients": counted, "numbers": numbers})
    return read_json(file)


def _make_part(part: Part, subject: Subject, output: Path) -> _Made:
    """Measure a part, draw its figures and write its tables."""
    numbers = part.numbers(subject)
    files = []
    for name, (figure, _) in part.draw(subject, numbers).items():
        files += [f"figures/{name}.png", f"figures/{name}.pdf"]
        plots.save(figure, *(output / path for path in files[-2:]), dpi=_DPI)
    for name, rows in part.tables_of(numbers).items():
        files.append(f"{name}.csv")
        write_text(output / files[-1], tables.comma_separated(rows))
    return numbers, files


def _make_claims(subject: Subject, parts: Mapping[str, Numbers], output: Path) -> _Made:
    """Measure the claims and write their table."""
    numbers = claims.numbers(subject, parts)
    write_text(output / "claims.csv", tables.comma_separated(numbers["rows"]))
    (table,) = claims.section(numbers).tables
    write_text(output / "table.md", tables.markdown(table.header, table.rows) + "\n")
    return numbers, ["claims.csv", "table.md"]


def _page(subject: Subject, numbers: Mapping[str, Numbers], nonfinite: int) -> Page:
    """The answer, the evidence, and how it was made."""
    sections = [verdict.section(subject, numbers), claims.section(numbers[claims.NAME])]
    sections += [part.section(subject, numbers[part.NAME]) for part in PARTS]
    sections.append(_settings(subject, nonfinite))
    *most, last = subject.names
    names = " and ".join([", ".join(most), last] if most else [last])
    return Page(f"Robustness of {names} on {subject.title}", verdict.slide(subject, numbers), sections)


def _settings(subject: Subject, nonfinite: int) -> Section:
    """How the page was made."""
    options, jets = subject.options, subject.jets
    sizes = ", ".join(f"{size:g}" for size in options.epsilons)
    versions = (platform.python_version(), tf.__version__, keras.__version__, np.__version__)
    rows = [
        ["command", shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])],
        ["data set", f"{subject.dataset.schema.name}, fingerprint {subject.dataset.fingerprint}"],
        ["split", f"{subject.sample.split}, {len(jets):,} jets, {jets.events.max() + 1:,} events"],
        ["ε", f"{options.epsilon:g} {options.unit} of the training jets; curves {sizes}"],
        ["distortions", f"{options.distortion:g} {options.unit}"],
        ["rules of physics", options.physics.label or "the default: bounds, special values, ties"],
        ["bootstrap", f"{options.replicates} resamples of events, seed 0; intervals of 68 %, of claims 95 %"],
        *[[name, ", ".join(tagger.source for tagger in seeds)] for name, seeds in subject.taggers.items()],
        ["kerastag", kerastag.__version__],
        ["Python, TensorFlow, Keras, NumPy", ", ".join(versions)],
    ]
    text = [f"Gradient cells that were not finite and were taken as 0: {nonfinite:,}."] if nonfinite else []
    records = [tagger.record for seeds in subject.taggers.values() for tagger in seeds]
    if subject.sample.has_training_jets and not all(records):
        text.append(FLATTERED)
    if np.ptp(jets.weights):
        text.append("Jets have weights. Two-sample tests, trees, flatness and correlations count each jet once.")
    return Section("How was this made?", text, [Table("Settings:", ["what", ""], rows)])


def _metrics(subject: Subject, numbers: Mapping[str, Numbers]) -> dict[str, Any]:
    """The main numbers, for programs."""
    answers = numbers[shapes.NAME]["answers"]
    return {
        "command": sys.argv,
        "fingerprint": subject.dataset.fingerprint,
        "jets": len(subject.jets),
        "areas": numbers[areas.NAME],
        "claims": numbers[claims.NAME]["rows"],
        "directions": numbers[directions.NAME]["summary"],
        "shapes": {
            name: {key: value for key, value in answer.items() if key != "features"} for name, answer in answers.items()
        },
        "flatness": numbers[flatness.NAME]["ratios"],
    }
