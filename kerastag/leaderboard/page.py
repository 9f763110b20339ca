"""The leaderboard as Markdown and as one self-contained HTML page. Entries may come from others: their words are escaped."""

import dataclasses
import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePath

from kerastag import pages, plots, tables
from kerastag.catalogue import DEFENSES, MODELS, Catalogue
from kerastag.leaderboard.entries import Attacked, Cost, Entry
from kerastag.plots.style import Drawn
from kerastag.results import Seeds

TITLE = "Leaderboard of jet taggers under attack"
_USUAL_FOLDER = Path("saved_models/leaderboard")
SUMMARY = (
    "Areas (AUC) of each tagger's main discriminator; ± is half the 68 % bootstrap interval. *Attacked* is what the strongest "
    "attack known leaves, of those that came with the entry and of those that others have submitted. Compare taggers "
    "only where jets and box are the same."
)
COLUMNS = (
    "*Certified* is what no attack goes below in the box without ties. Where a box has ties, what follows others may move "
    "further than there, so what is attacked may lie below what is certified. Over "
    "seeds are means ± standard deviations, with the number of trainings, under the strongest attack that came with the "
    "entry. Changes are absolute ones under simulated variations. *Seen by trees* is the area with which boosted trees tell "
    "jets under the strongest attack from clean ones; 0.5 is not at all. *Random search* among the signs of useless "
    "gradients means that it takes more than all attacks that follow them. Parameters are all numbers of a network, moments "
    "of its normalisations among them. Speeds are of the machine that made the entry, training times, without evaluation, "
    "of the one that trained. Boosted trees have no gradients: attacks that need them are made on a network, and random "
    "search asks the trees themselves. A tagger is entered if its outputs are finite and the same each time, its gradients "
    "are not zero, and its forward pass takes none. Whether it searches without gradients is not looked at. Entries without "
    "all attacks, or with fewer than 100 resamples, have no place and stand last. What was not measured is empty; of trees no "
    "signs are looked for. The figure has the taggers that met the same jets as others. What boxes are, and how kerastag's own "
    "taggers were trained, is in RESULTS of its repository, section Leaderboard."
)
# Columns of the short table.
_SHORT = (
    "clean",
    "attacked",
    "clean and attacked, over seeds",
    "strongest attack",
    "certified, untied",
    "mean change",
    "defence",
)
_EXAMPLE = "jet_flavor_nominal"
_JOIN = """\
The [same page as HTML](leaderboard.html) is sorted by a click, and has what else there is to know of each entry.

To enter a tagger, or to attack one better than we did (`--help` tells how the file is made). The tagger must be at hand:
it comes along, is CMS's, or is trained first, by the command that its entry names.

```bash
python scripts/leaderboard.py --evaluate runs/mine --name "my tagger" --authors "A. Author" --diagnose{folder}
python scripts/leaderboard.py --submit attacked.npz --tagger {tagger} --author "B. Author"{folder}
```
"""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of the table.

    Attributes:
        text: What it shows; "" where nothing was measured.
        key: Number by which it is sorted; None to sort by its text.
        link: Where to read of it.
    """

    text: str
    key: float | None = None
    link: str | None = None


@dataclasses.dataclass(frozen=True)
class Line:
    """An entry as the page shows it.

    Attributes:
        name: Name of the tagger.
        link: Where to read of it.
        data: Its data set, and the box, by which the page filters.
        box: Likewise.
        cells: Cells by column, without the name.
        details: What else there is to know, a sentence each.
    """

    name: str
    link: str | None
    data: str
    box: str
    cells: dict[str, Cell]
    details: list[str]


def markdown(entries: Sequence[Entry], figure: str, folder: Path = _USUAL_FOLDER) -> str:
    """The leaderboard as Markdown.

    Args:
        entries: The entries, in their order.
        figure: Path of the figure from that of the page.
        folder: Folder of the entries.
    """
    lines = [_line(entry) for entry in entries]
    table = _table(lines, list(lines[0].cells))
    join = _JOIN.format(tagger=_EXAMPLE, folder="")
    if folder.resolve().parts[-2:] != _USUAL_FOLDER.parts:  # which is in a clone, with the scripts and shipped taggers
        where = folder.name if folder.is_absolute() else folder
        words = {"tagger": PurePath(entries[0].file_name).stem, "folder": f" --entries {shlex.quote(str(where))}"}
        join = _JOIN.format(**words).replace("python scripts/leaderboard.py", "kerastag leaderboard")
    return f"# {TITLE}\n\n{SUMMARY}\n\n{COLUMNS}\n\n{join}\n{table}\n\n![Clean against attacked area]({figure})\n"


def short(entries: Sequence[Entry]) -> str:
    """The main columns as Markdown, a table for each data set and box.

    Args:
        entries: The entries, in their order.
    """
    contests = itertools.groupby(entries, key=lambda entry: entry.contest)
    parts = [[_line(entry) for entry in contest] for _, contest in contests]
    titles = [_escaped(f"{lines[0].data}, {lines[0].box}:") for lines in parts]
    return "\n\n".join(f"{title}\n\n{_table(lines, _SHORT)}" for title, lines in zip(titles, parts, strict=True))


def _table(lines: Sequence[Line], columns: Sequence[str]) -> str:
    """Some columns as a Markdown table."""
    rows = [[Cell(line.name, link=line.link), *(line.cells[column] for column in columns)] for line in lines]
    return tables.markdown(["tagger", *columns], [[_linked(cell) for cell in row] for row in rows])


def html(entries: Sequence[Entry], png: bytes) -> str:
    """The leaderboard as HTML that needs no other file.

    Args:
        entries: The entries, in their order.
        png: The figure.
    """
    lines = [_line(entry) for entry in entries]
    filters = {"data set": sorted({line.data for line in lines}), "box": sorted({line.box for line in lines})}
    said = {"summary": SUMMARY.replace("*", ""), "columns": COLUMNS.replace("*", "")}
    template = pages.environment("kerastag.leaderboard").get_template("leaderboard.html")
    return template.render(title=TITLE, **said, lines=lines, filters=filters, figure=pages.embedded(png))


def draw(entries: Sequence[Entry]) -> Drawn:
    """Clean against attacked area, a panel for each data set and box, of the entries that have a place if any has one."""
    ranked = [entry for entry in entries if not entry.why_unranked] or entries
    rows = [
        {
            "group": f"{_data(entry)}, {entry.box}",
            "tagger": entry.name,
            "discriminator": entry.discriminator,
            "clean": entry.clean,
            "attacked": entry.best.area,
        }
        for entry in ranked
    ]
    return plots.fronts(rows, "Strongest attack known")


def _line(entry: Entry) -> Line:
    certified, varied = entry.certified, entry.varied
    cells = {
        "data set": Cell(_data(entry)),
        "box": Cell(entry.box),
        "clean": Cell(str(entry.clean), entry.clean.value),
        "attacked": Cell(str(entry.best.area), entry.best.area.value),
        "clean and attacked, over seeds": _over_seeds(entry),
        "strongest attack": Cell(_by(entry.best) + (f"; no place: {why}" if (why := entry.why_unranked) else "")),
        "certified, untied": Cell(str(certified.area), certified.area.value) if certified else Cell(""),
        "mean change": Cell(f"{varied.mean:.4f}", varied.mean) if varied else Cell(""),
        "worst change": Cell(f"{varied.worst:.4f}", varied.worst) if varied else Cell(""),
        "seen by trees": Cell(str(entry.seen.area), entry.seen.area.value) if entry.seen else Cell(""),
        "signs of useless gradients": Cell(_signs(entry)),
        "defence": _named(entry.defence, DEFENSES),
        "architecture": _named(entry.architecture, MODELS),
        "parameters": Cell("" if entry.parameters is None else f"{entry.parameters:,}", entry.parameters),
        "jets/s of a core": Cell(f"{entry.cost.jets_per_second:,.0f}", entry.cost.jets_per_second) if entry.cost else Cell(""),
        "training, s": _training(entry.cost),
        "authors": Cell(entry.authors or ""),
    }
    return Line(entry.name, entry.link, _data(entry), entry.box, cells, _details(entry))


def _data(entry: Entry) -> str:
    """Data set and jets; the letters tell data sets of the same schema apart."""
    sample = entry.sample
    return f"{sample.config} {sample.fingerprint[:6]}, {sample.jets:,} jets of {sample.split}"


def _named(name: str | None, catalogue: Catalogue) -> Cell:
    """A defence or an architecture, with its paper where it is one of ours."""
    return Cell(name or "", link=catalogue.find(name).paper if name and name in catalogue else None)


def _training(cost: Cost | None) -> Cell:
    return Cell("") if cost is None or cost.seconds is None else Cell(f"{cost.seconds:,.0f}", cost.seconds)


def _by(attacked: Attacked) -> str:
    return f"{attacked.attack} by {attacked.author}" if attacked.author else attacked.attack


def _signs(entry: Entry) -> str:
    if not entry.diagnosed:
        return ""
    failed = [sign.name for sign in entry.diagnosed if sign.passed is False]
    return ", ".join(failed) or "none"


def _over_seeds(entry: Entry) -> Cell:
    """Means and standard deviations over seeds, under the strongest attack that was tried with the entry."""
    if not entry.seeds:
        return Cell("")
    own = min(attacked.area.value for attacked in entry.attacks)
    clean = Seeds((entry.clean.value, *(seed.clean for seed in entry.seeds)))
    attacked = Seeds((own, *(seed.attacked for seed in entry.seeds)))
    return Cell(f"{clean}, {attacked} ({len(clean.values)})", attacked.mean)


def _details(entry: Entry) -> list[str]:
    attacks = "; ".join(f"{attacked.attack} {attacked.area}" for attacked in entry.attacks)
    details = [
        f"{entry.discriminator} areas, {entry.replicates} resamples, under {attacks}.",
        f"Data set {entry.sample.fingerprint}, jets {entry.sample.sha256}.",
        f"Threat model {entry.threat.sha256}.",
        f"Tagger {_shown(entry.tagger)}, weights {entry.weights_sha256}.",
        f"kerastag {entry.version}: {entry.command}",
    ]
    if entry.training:
        details.append(f"Trained by: {entry.training}")
    if entry.best.sha256:
        details.insert(1, f"Best known attack: file {entry.best.sha256} of {entry.best.author}.")
    if entry.certified:
        details.insert(1, f"Certified by {entry.certified.method}.")
    if entry.varied:
        details.append(f"Of the simulated variations {entry.varied.variation} changes most.")
    if entry.seen:
        details.append(
            f"Trees tell attacked from clean jets with an area of {entry.seen.area}, clean from clean with "
            f"{entry.seen.control}."
        )
    if looked := [sign.name for sign in entry.diagnosed if sign.passed is not None]:
        details.append(f"Signs of useless gradients that were looked for: {', '.join(looked)}.")
    if unseen := [sign.name for sign in entry.diagnosed if sign.passed is None]:
        details.append(f"Signs that could not be looked for: {', '.join(unseen)}.")
    if entry.seed is not None:
        details.append(f"Seeds {', '.join(str(seed) for seed in (entry.seed, *(other.seed for other in entry.seeds)))}.")
    if entry.cost and entry.cost.seconds is not None:
        epochs = "" if entry.cost.epochs is None else f" for {entry.cost.epochs} epochs"
        details.append(f"Trained{epochs} in {entry.cost.seconds:,.0f} s, without evaluation.")
    return details


def _shown(path: str) -> str:
    """A path or a name without the folders of somebody's machine."""
    return PurePath(path).name if PurePath(path).is_absolute() else path


def _linked(cell: Cell) -> str:
    return f"[{_escaped(cell.text)}]({cell.link})" if cell.link else _escaped(cell.text)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is; underscores inside words are no marks."""
    return re.sub(r"([\\`*\[\]|<>~&#]|(?<!\w)_|_(?!\w))", r"\\\1", text)
