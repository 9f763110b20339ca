"""Files of entries, read and written, and checked for what their types do not say."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from kerastag.errors import UserError
from kerastag.files import read_json, write_json
from kerastag.leaderboard.entries import Entry
from kerastag.results import Interval, plain
from kerastag.schema.plain import build

_LONGEST_TEXT, _LONGEST_COMMAND = 200, 4000
_WORDS = (
    "name",
    "tagger",
    "authors",
    "link",
    "architecture",
    "defence",
    "discriminator",
    "version",
    "attacked_on",
    "command",
    "training",
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read(path: Path) -> Entry:
    """An entry.

    Raises:
        UserError: if it cannot be read, or a field is missing, unknown, of another type or out of range.
    """
    content = plain(read_json(path, {}))
    try:
        entry = build(Entry, content)
        _check(entry)
    except UserError as error:
        raise UserError(f"'{path}' is damaged: {error}") from error
    if path.name != entry.file_name:
        raise UserError(f"'{path}' is the entry of '{entry.name}'; call it '{entry.file_name}'.")
    return entry


def read_all(folder: Path) -> list[Entry]:
    """The entries of a folder, those on the same jets in the same box together, of these the ones that withstand most first.

    Those that have no place come last.

    Raises:
        UserError: if there are none, or as `read`.
    """
    entries = [read(path) for path in sorted(folder.glob("*.json"))]
    if not entries:
        raise UserError(f"There are no entries in '{folder}'; make one with --evaluate, or name another folder with --entries.")
    return sorted(entries, key=lambda entry: (*entry.contest, entry.why_unranked is not None, -entry.best.area.value))


def write(folder: Path, entry: Entry) -> Path:
    """Write an entry into a folder, and say where.

    Raises:
        UserError: if a field is out of range.
    """
    _check(entry)
    path = folder / entry.file_name
    write_json(path, {name: value for name, value in plain(entry).items() if value not in (None, [])})
    return path


def _check(entry: Entry) -> None:
    """Check what types do not say.

    Raises:
        UserError: if a value is out of range.
    """
    for name, text in _texts(entry):
        check_words(**{name: text})
    for attacked in (entry.best, *entry.attacks):
        _check_digest("sha256", attacked.sha256)
    for name, digest in (
        ("weights_sha256", entry.weights_sha256),
        ("sha256", entry.sample.sha256),
        ("sha256", entry.threat.sha256),
    ):
        _check_digest(name, digest)
    for name, area in _areas(entry):
        if not (0 <= area.value <= 1 and 0 <= area.low <= area.high <= 1):
            raise UserError(f"The field '{name}' must be an area between 0 and 1 with its interval, not {area.value}.")
    seeds = [entry.seed, *(other.seed for other in entry.seeds)]
    if entry.seeds and len(set(seeds)) < len(seeds):
        raise UserError("The field 'seeds' must have each seed once, and not that of the entry.")
    if entry.varied is not None and entry.varied.worst < entry.varied.mean:
        raise UserError("The field 'worst' must be at least the mean change.")
    for name, number in (("jets", entry.sample.jets), ("parameters", entry.parameters), ("replicates", entry.replicates)):
        if number is not None and number < 1:
            raise UserError(f"The field '{name}' must be at least 1, not {number}.")
    for name, size in _sizes(entry):
        if not 0 <= size < math.inf:
            raise UserError(f"The field '{name}' must be finite and at least 0, not {size}.")
    if entry.threat.label != (label := entry.threat.condition.box_label):
        raise UserError(f"The field 'label' must say what the box is, '{label}', not '{entry.threat.label}'.")
    if not entry.attacks or entry.best.area.value > min(attacked.area.value for attacked in entry.attacks):
        raise UserError("The field 'best' must be the smallest of all areas under attack.")
    if entry.best not in entry.attacks and None in (entry.best.author, entry.best.sha256):
        raise UserError("The field 'best' must be one of the attacks, or have its author and the SHA-256 of its file.")


def check_words(**words: str | None) -> None:
    """Check words of a user, by field.

    Args:
        **words: Each None or a line; a `name` must do for a file, a `link` be an address.

    Raises:
        UserError: if one cannot be shown.
    """
    for name, text in words.items():
        if text is None:
            continue
        longest = _LONGEST_COMMAND if name in ("command", "training") else _LONGEST_TEXT
        if not (len(text) <= longest and text.isprintable() and text.strip()):
            raise UserError(f"The field '{name}' must be a line of 1 to {longest} characters.")
        if name == "name" and not re.search(r"\w", text):
            raise UserError(f"The field 'name' must have a letter or a digit, not '{text}'.")
        if name == "link" and not re.fullmatch(r"https?://[^\s\"'<>()|\\`]+", text):
            raise UserError(f"The field 'link' must be an address that begins with https:// or http://, not '{text}'.")


def _check_digest(name: str, digest: str | None) -> None:
    if digest is not None and not _SHA256.fullmatch(digest):
        raise UserError(f"The field '{name}' must be a SHA-256 of 64 hexadecimal digits, not '{digest}'.")


def _texts(entry: Entry) -> Iterator[tuple[str, str]]:
    for name in _WORDS:
        if (text := getattr(entry, name)) is not None:
            yield name, text
    sample, threat = entry.sample, entry.threat
    yield from (("config", sample.config), ("split", sample.split), ("fingerprint", sample.fingerprint))
    yield from (("label", threat.label), ("scale", threat.scale), *(("only", name) for name in threat.only))
    if threat.budget is not None:
        yield "budget", threat.budget
    if entry.varied is not None:
        yield "variation", entry.varied.variation
    if entry.certified is not None:
        yield "method", entry.certified.method
    yield from (("diagnosed", sign.name) for sign in entry.diagnosed)
    for attacked in (entry.best, *entry.attacks):
        yield "attack", attacked.attack
        if attacked.author is not None:
            yield "author", attacked.author


def _areas(entry: Entry) -> Iterator[tuple[str, Interval]]:
    yield "clean", entry.clean
    yield "best", entry.best.area
    yield from (("attacks", attacked.area) for attacked in entry.attacks)
    if entry.certified is not None:
        yield "certified", entry.certified.area
    if entry.seen is not None:
        yield from (("seen", entry.seen.area), ("seen", entry.seen.control))
    for of_seed in entry.seeds:
        yield from (("seeds", Interval.around(area, 0)) for area in (of_seed.clean, of_seed.attacked))


def _sizes(entry: Entry) -> Iterator[tuple[str, float]]:
    yield "epsilon", entry.threat.epsilon
    if entry.threat.cap is not None:
        yield "cap", entry.threat.cap
    if entry.varied is not None:
        yield from (("mean", entry.varied.mean), ("worst", entry.varied.worst))
    if entry.cost is not None:
        yield from (
            ("jets_per_second", entry.cost.jets_per_second),
            ("epochs", entry.cost.epochs or 0),
            ("seconds", entry.cost.seconds or 0),
        )
