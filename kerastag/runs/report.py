"""The run behind `scripts/report.py`: every part that is not there yet, then the page."""

import functools
import json
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from tqdm.auto import tqdm

import kerastag
from kerastag import plots, tables
from kerastag import data
from kerastag.evaluation import input_scan
from kerastag.errors import UserError
from kerastag.files import remove_leftovers, write_json, write_text
from kerastag.report import claims, verdict
from kerastag.report.page import Page, Section, Table, html, markdown
from kerastag.report.parts import PARTS, inputs
from kerastag.report.subject import Options, Subject, fingerprint

_DPI = 60
# Parts that take the scan in; the others need not be made again when there is another.
_OF_SCAN = (inputs.NAME, claims.NAME)


def run(
    taggers: Sequence[str],
    output: Path,
    *,
    config: str,
    data_dir: str | None,
    manual_dir: str | None,
    scan: Path | None,
    **options,
) -> None:
    """Make the report; see `scripts/report.py --help` for the options.

    Raises:
        UserError: if a tagger does not fit the data set, or the scan was made of other jets.
    """
    start = time.perf_counter()
    dataset = data.prepare(config, data_dir=data_dir, manual_dir=manual_dir)
    parts = output / "parts"
    subject = Subject(taggers, dataset, Options(**options), parts, scan)
    _check_scan(subject)
    if parts.is_dir():
        remove_leftovers(parts)
    kept: dict[str, dict] = {}
    bar = tqdm(PARTS, "Report", disable=None, unit="part")
    for part in bar:
        subject.say = lambda text, name=part.NAME: bar.set_postfix_str(f"{name}: {text}")
        bar.set_postfix_str(part.NAME)
        kept[part.NAME] = _kept(part.NAME, subject, output, functools.partial(_made, part, subject, output))
    found = {name: stored["numbers"] for name, stored in kept.items()}
    kept[claims.NAME] = _kept(claims.NAME, subject, output, lambda: _claimed(subject, found, output))
    found[claims.NAME] = kept[claims.NAME]["numbers"]
    page = _page(subject, found, sum(stored["nonfinite_gradients"] for stored in kept.values()))
    _write(page, subject, found, output)
    print("\n".join([*page.summary, ""]))
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
    if json.loads(file.read_text())["fingerprint"] != subject.dataset.fingerprint:
        raise UserError(f"The scan in '{subject.scan}' (--scan) was made with another data set than '{subject.dataset.path}'.")


def _kept(name: str, subject: Subject, output: Path, make: Callable[[], tuple[dict, list[str]]]) -> dict:
    """What was made before, if it was made of the same and its files are there; else it is made now.

    Args:
        name: Of the part.
        subject: What it depends on.
        output: Folder of the report.
        make: Gives plain data, and the files that it has written, from the folder of the report.
    """
    file = output / "parts" / f"{name}.json"
    key = fingerprint([kerastag.__version__, subject.made_of(name in _OF_SCAN)])
    stored = json.loads(file.read_text()) if file.is_file() else {"made_of": None, "files": []}
    if stored["made_of"] == key and all((output / path).is_file() for path in stored["files"]):
        return stored
    before = subject.nonfinite_gradients
    numbers, files = make()
    for path in set(stored["files"]) - set(files):
        (output / path).unlink(missing_ok=True)
    numbers = json.loads(json.dumps(numbers))  # as it is when it is read back
    counted = subject.nonfinite_gradients - before
    stored = {"made_of": key, "files": files, "nonfinite_gradients": counted, "numbers": numbers}
    write_json(file, stored)
    return stored


def _made(part: ModuleType, subject: Subject, output: Path) -> tuple[dict, list[str]]:
    """Numbers of a part, its figures drawn and its tables written."""
    numbers = part.numbers(subject)
    files = []
    for name, (figure, _) in part.draw(subject, numbers).items():
        files += [f"figures/{name}.png", f"figures/{name}.pdf"]
        plots.save(figure, *(output / path for path in files[-2:]), dpi=_DPI)
    for name, rows in part.tables_of(numbers).items():
        files.append(f"{name}.csv")
        write_text(output / files[-1], tables.comma_separated(rows))
    return numbers, files


def _claimed(subject: Subject, found: dict, output: Path) -> tuple[dict, list[str]]:
    """The claims, and their table written."""
    numbers = claims.numbers(subject, found)
    write_text(output / "claims.csv", tables.comma_separated(numbers["rows"]))
    return numbers, ["claims.csv"]


def _page(subject: Subject, found: dict, nonfinite: int) -> Page:
    """The answer, the evidence, and how it was made."""
    sections = [verdict.section(subject, found), claims.section(found[claims.NAME])]
    sections += [part.section(subject, found[part.NAME]) for part in PARTS]
    sections.append(_how(subject, nonfinite))
    *most, last = subject.names
    names = " and ".join([", ".join(most), last] if most else [last])
    return Page(f"Robustness of {names} on {subject.sample}", verdict.summary(subject, found), sections)


def _how(subject: Subject, nonfinite: int) -> Section:
    """How the page was made."""
    import keras
    import numpy as np
    import tensorflow as tf

    options = subject.options
    settings = [
        ["command", shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])],
        ["data set", f"{subject.dataset.schema.name}, fingerprint {subject.dataset.fingerprint}"],
        ["split", f"{options.split}, {len(subject.y):,} jets, {subject.split.events.max() + 1:,} events"],
        ["ε", f"{options.epsilon:g} σ of the training jets; curves {', '.join(f'{one:g}' for one in options.epsilons)}"],
        ["distortions", f"{options.distortion:g} σ"],
        ["bootstrap", f"{options.replicates} resamples of events, seed 0; intervals of 68 %"],
        *[[name, ", ".join(one.source for one in seeds)] for name, seeds in subject.taggers.items()],
        ["kerastag", kerastag.__version__],
        [
            "Python, TensorFlow, Keras, NumPy",
            f"{platform.python_version()}, {tf.__version__}, {keras.__version__}, {np.__version__}",
        ],
    ]
    text = [f"Gradient cells that were not finite and were taken as 0: {nonfinite:,}."] if nonfinite else []
    return Section("How was this made?", text, [Table("Settings:", ["what", ""], settings)])


def _write(page: Page, subject: Subject, found: dict, output: Path) -> None:
    write_text(output / "report.html", html(page, output / "figures"))
    write_text(output / "report.md", markdown(page, "figures"))
    content = {
        "command": sys.argv,
        "fingerprint": subject.dataset.fingerprint,
        "jets": len(subject.y),
        "areas": found["areas"],
        "claims": found[claims.NAME]["rows"],
        "directions": found["directions"]["summary"],
        "shapes": {
            name: {key: value for key, value in answer.items() if key != "features"}
            for name, answer in found["shapes"]["answers"].items()
        },
        "flatness": found["flatness"]["ratios"],
    }
    write_json(output / "metrics.json", content)
