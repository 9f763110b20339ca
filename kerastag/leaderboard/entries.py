"""Entries of the leaderboard: a JSON file for each tagger in a box. What was not measured is absent."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

from kerastag.attacks import CLEAN, Condition, ThreatModel
from kerastag.errors import UserError
from kerastag.files import read_json, write_json
from kerastag.jets import Jets
from kerastag.request import EPSILON, Physics
from kerastag.results import Interval, plain
from kerastag.schema.plain import STRICT, build

# What tables call the box of an entry unless told otherwise.
USUAL_BOX = dataclasses.replace(CLEAN, attack="fgsm", epsilon=EPSILON).box_label
_LONGEST_TEXT = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Sample:
    """The jets of an entry.

    Attributes:
        config: Name of the schema.
        fingerprint: That of the data set.
        split: Name of the split.
        jets: How many of its jets, from the first.
        sha256: Of their features and labels, as `jets_digest` gives it.
    """

    config: str
    fingerprint: str
    split: str
    jets: int
    sha256: str

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class Threat:
    """The box in which a tagger was attacked.

    Attributes:
        epsilon: Its size, in units of the scale or multiples of the budget.
        scale: Unit of ε.
        cap: Largest change relative to each value; None for none.
        only: Features that may move; none for all.
        paper, bounds, untied, budget: As of `kerastag.request.Physics`.
        label: What tables call the box.
        sha256: Of the config of the `ThreatModel`, as `threat_digest` gives it.
    """

    epsilon: float
    scale: str
    cap: float | None
    only: tuple[str, ...]
    paper: bool
    bounds: bool
    untied: bool
    budget: str | None
    label: str
    sha256: str

    __pydantic_config__ = STRICT

    @classmethod
    def of(cls, condition: Condition, threat_model: ThreatModel) -> "Threat":
        """That of an attack, whose box on a data set is `threat_model`."""
        return cls(
            condition.epsilon,
            condition.scale,
            condition.cap,
            condition.only,
            **dataclasses.asdict(condition.physics),
            label=condition.box_label,
            sha256=threat_digest(threat_model),
        )

    @property
    def condition(self) -> Condition:
        """An attack in this box."""
        physics = Physics(self.paper, self.bounds, self.untied, self.budget)
        return Condition("fgsm", self.epsilon, self.cap, scale=self.scale, only=self.only, physics=physics)


@dataclasses.dataclass(frozen=True)
class Attacked:
    """What an attack leaves.

    Attributes:
        area: Area of the main discriminator.
        attack: Name of the attack.
        author: Who made it, where it was not made with the entry.
        sha256: Of the file of attacked jets, likewise.
    """

    area: Interval
    attack: str
    author: str | None = None
    sha256: str | None = None

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class Certified:
    """The least area that any attack can leave in the box, inputs untied, and how that was found."""

    area: Interval
    method: str

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class Varied:
    """Absolute changes of the area under simulated variations: their mean, the largest, and the variation that makes it."""

    mean: float
    worst: float
    variation: str

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class Sign:
    """A check of `--diagnose` by its name, and whether it passed; None if it could not be looked at."""

    name: str
    passed: bool | None

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class Seen:
    """How well boosted trees tell attacked jets from clean ones: their area, and that of clean jets among themselves."""

    area: Interval
    control: Interval

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class OfSeed:
    """Clean and attacked area of another training, which differs from that of the entry in the seed alone."""

    seed: int
    clean: float
    attacked: float

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a tagger takes.

    Attributes:
        jets_per_second: Speed of the network on the machine that made the entry.
        epochs: Epochs of its training.
        seconds: Time of its training, without evaluation, on the machine that trained it.
    """

    jets_per_second: float
    epochs: int | None = None
    seconds: float | None = None

    __pydantic_config__ = STRICT


@dataclasses.dataclass(frozen=True)
class Entry:
    """A tagger of the leaderboard.

    Attributes:
        name: For tables.
        tagger: Path or name by which the tagger was loaded.
        sample: Jets that it met.
        threat: The box in which they were attacked.
        discriminator: Whose areas are given.
        parameters: Number of its weights.
        clean: Area on clean jets.
        attacks: Areas under the attacks that were tried with the entry.
        best: The strongest attack known: of these, or of somebody else.
        replicates: Bootstrap resamples behind the intervals, which hold 68 %.
        weights_sha256: Of the files of the tagger.
        version: Version of kerastag.
        command: What made the entry.
        authors: Who made the tagger.
        link: Where to read of it.
        architecture: Name of the network.
        defence: How it was trained.
        certified: What no attack can go below.
        varied: Changes under simulated variations.
        diagnosed: Signs of useless gradients, or that there are none.
        seen: What trees see of the strongest attack that came with the entry.
        seed: Seed of the training.
        seeds: Other seeds, under that same attack.
        cost: Of training and use.
    """

    name: str
    tagger: str
    sample: Sample
    threat: Threat
    discriminator: str
    parameters: int
    clean: Interval
    attacks: tuple[Attacked, ...]
    best: Attacked
    replicates: int
    weights_sha256: str
    version: str
    command: str
    authors: str | None = None
    link: str | None = None
    architecture: str | None = None
    defence: str | None = None
    certified: Certified | None = None
    varied: Varied | None = None
    diagnosed: tuple[Sign, ...] = ()
    seen: Seen | None = None
    seed: int | None = None
    seeds: tuple[OfSeed, ...] = ()
    cost: Cost | None = None

    __pydantic_config__ = STRICT

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return file_name(self.name, self.threat.label)


def file_name(name: str, box: str) -> str:
    """Name of the file of a tagger in a box: its own, with that of the box where it is not the usual one."""
    words = name if box == USUAL_BOX else f"{name} {box.replace('ε=', 'epsilon ')}"
    return re.sub(r"[^\w.+-]+", "-", words).strip("-.") + ".json"


def threat_digest(threat_model: ThreatModel) -> str:
    """SHA-256 of everything that a threat model is made of."""
    return hashlib.sha256(json.dumps(threat_model.get_config(), sort_keys=True).encode()).hexdigest()


def jets_digest(jets: Jets) -> str:
    """SHA-256 of features and labels of some jets, in their order."""
    digest = hashlib.sha256(jets.features.astype("<f4").tobytes())
    digest.update(jets.label.astype("<i8").tobytes())
    return digest.hexdigest()


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
    """The entries of a folder, those that withstand most first.

    Raises:
        UserError: if there are none, or as `read`.
    """
    entries = [read(path) for path in sorted(folder.glob("*.json"))]
    if not entries:
        raise UserError(f"There are no entries in '{folder}'; make one with --evaluate, or name another folder with --entries.")
    return sorted(entries, key=lambda entry: (entry.sample.config, entry.threat.label, -entry.best.area.value))


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
    for name, number in (("jets", entry.sample.jets), ("parameters", entry.parameters), ("replicates", entry.replicates)):
        if number < 1:
            raise UserError(f"The field '{name}' must be at least 1, not {number}.")
    for name, size in _sizes(entry):
        if not 0 <= size < math.inf:
            raise UserError(f"The field '{name}' must be finite and at least 0, not {size}.")
    if entry.threat.label != (label := entry.threat.condition.box_label):
        raise UserError(f"The field 'label' must say what the box is, '{label}', not '{entry.threat.label}'.")
    if not entry.attacks or entry.best.area.value > min(attacked.area.value for attacked in entry.attacks):
        raise UserError("The field 'best' must be the smallest of all areas under attack.")


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
        if not (len(text) <= _LONGEST_TEXT and text.isprintable() and text.strip()):
            raise UserError(f"The field '{name}' must be a line of 1 to {_LONGEST_TEXT} characters.")
        if name == "name" and not re.search(r"\w", text):
            raise UserError(f"The field 'name' must have a letter or a digit, not '{text}'.")
        if name == "link" and not re.fullmatch(r"https?://[^\s\"'<>()]+", text):
            raise UserError(f"The field 'link' must be an address that begins with https:// or http://, not '{text}'.")


def _check_digest(name: str, digest: str | None) -> None:
    if digest is not None and not _SHA256.fullmatch(digest):
        raise UserError(f"The field '{name}' must be a SHA-256 of 64 hexadecimal digits, not '{digest}'.")


def _texts(entry: Entry) -> Iterator[tuple[str, str]]:
    for name in ("name", "tagger", "authors", "link", "architecture", "defence", "discriminator", "version"):
        if (text := getattr(entry, name)) is not None:
            yield name, text
    yield from (("config", entry.sample.config), ("label", entry.threat.label))
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
