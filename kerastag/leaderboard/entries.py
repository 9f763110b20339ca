"""What an entry of the leaderboard says of a tagger in a box. What was not measured is absent."""

import dataclasses
import hashlib
import re

from kerastag.attacks import CLEAN, Condition, ThreatModel, conditions
from kerastag.checksums import of_content
from kerastag.jets import Jets
from kerastag.request import EPSILON, LEADERBOARD, Physics
from kerastag.results import Interval
from kerastag.schema.plain import STRICT

# What tables call the box of an entry unless told otherwise.
USUAL_BOX = dataclasses.replace(CLEAN, attack="fgsm", epsilon=EPSILON).box_label
# Attacks that a tagger must have met to have a place, and resamples behind its intervals.
RANKED_UNDER = tuple(condition.title for condition in conditions(LEADERBOARD) if not condition.is_clean)
_FEWEST_REPLICATES = 100
# What tables say of an attack on a tagger without gradients.
ELSEWHERE = ", made on "


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
        jets_per_second: Speed of the tagger in CPU time, so of one core, on the machine that made the entry.
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
        clean: Area on clean jets.
        attacks: Areas under the attacks that were tried with the entry.
        best: The strongest attack known: of these, or of somebody else.
        replicates: Bootstrap resamples behind the intervals, which hold 68 %.
        weights_sha256: Of its weights in their order; of boosted trees, of their rounded logits of the jets.
        version: Version of kerastag.
        command: What made the entry.
        training: What trained the tagger, where it is known.
        parameters: Number of its weights.
        attacked_on: Path or name of the network that attacks were made on, where the tagger has no gradient.
        authors: Who made the tagger.
        link: Where to read of it.
        architecture: Name of the network.
        defence: How it was trained.
        certified: What no attack can go below.
        varied: Changes under simulated variations.
        diagnosed: Signs of useless gradients, or that there are none.
        seen: What trees see of the strongest attack known.
        seed: Seed of the training.
        seeds: Other seeds, under that same attack.
        cost: Of training and use.
    """

    name: str
    tagger: str
    sample: Sample
    threat: Threat
    discriminator: str
    clean: Interval
    attacks: tuple[Attacked, ...]
    best: Attacked
    replicates: int
    weights_sha256: str
    version: str
    command: str
    training: str | None = None
    parameters: int | None = None
    attacked_on: str | None = None
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
    def contest(self) -> tuple[str, str, str, int, str, str]:
        """What entries must share to be compared, the jets and the box, in words by which they are sorted."""
        sample = self.sample
        return sample.config, sample.fingerprint, sample.split, sample.jets, self.threat.label, self.threat.sha256

    @property
    def why_unranked(self) -> str | None:
        """Why it has no place among the others; None if it has one."""
        made = {attacked.attack for attacked in self.attacks}
        if self.attacked_on is not None:
            made = {attack.partition(ELSEWHERE)[0] for attack in made}
        if missing := [title for title in RANKED_UNDER if title not in made]:
            return f"without {', '.join(missing)}"
        return None if self.replicates >= _FEWEST_REPLICATES else f"fewer than {_FEWEST_REPLICATES} resamples"

    @property
    def box(self) -> str:
        """The box in words; the letters tell budgets of the same name apart."""
        return f"{self.threat.label} {self.threat.sha256[:6]}" if self.threat.budget else self.threat.label

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
    return of_content(threat_model.get_config())


def jets_digest(jets: Jets) -> str:
    """SHA-256 of features and labels of some jets, in their order."""
    digest = hashlib.sha256(jets.features.astype("<f4").tobytes())
    digest.update(jets.label.astype("<i8").tobytes())
    return digest.hexdigest()
