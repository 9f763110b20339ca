"""What a report is about: taggers, jets and attacks, with the logits of every combination kept on disk."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerastag import data
from kerastag.attacks import Attack, CorrelatedShift, ThreatModel, named
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.errors import UserError
from kerastag.evaluation.comparison import RELATIVE_CAP
from kerastag.evaluation.input_scan import RESULT
from kerastag.files import replaced
from kerastag.metrics import Bootstrap, Interval, NotDefined, RankedPair
from kerastag.saving.taggers import NamedTagger, check_inputs, load

# Jets from which the correlations of the correlated distortion are taken.
_CORRELATION_JETS = 20_000
_IMPORTANCE_JETS = 3000


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Under what a tagger is evaluated.

    Attributes:
        kind: A name that `kerastag.attacks.named` knows, "correlated", or "clean".
        epsilon: Its size.
        cap: Relative cap; None for none.
        objective: What an attack increases.
    """

    kind: str = "clean"
    epsilon: float = 0.0
    cap: float | None = None
    objective: str = "cross_entropy"

    @property
    def is_attack(self) -> bool:
        """Whether it looks at the tagger's gradient."""
        return self.kind not in ("clean", "noise", "systematic-up", "systematic-down", "correlated")

    @property
    def title(self) -> str:
        """Name for tables and legends, without ε and cap."""
        words = {"systematic-up": "shift up", "systematic-down": "shift down"}
        name = words.get(self.kind, self.kind.upper() if self.is_attack else self.kind)
        return name if self.objective == "cross_entropy" else f"{name} on {self.objective}"

    @property
    def label(self) -> str:
        """Name with ε and cap."""
        if self.kind == "clean":
            return "clean"
        return f"{self.title} ε={self.epsilon:g}" + (f" cap {self.cap:.0%}" if self.cap is not None else "")


CLEAN = Scenario()


@dataclasses.dataclass(frozen=True)
class Options:
    """What a report depends on beside taggers and jets.

    Attributes:
        split: Of the data set.
        epsilon: Size of the attacks in the headline.
        epsilons: Sizes of the curves.
        uncertainty: Relative uncertainty of a bin against which distributions are held.
        max_jets: How many jets of the split; None for all.
        replicates: Bootstrap resamples.
        features: Names of inputs for the figures by flavour and of the loss surface; empty lets numbers decide.

    Raises:
        UserError: if a number is out of range.
    """

    split: str
    epsilon: float
    epsilons: Sequence[float]
    uncertainty: float
    max_jets: int | None
    replicates: int
    features: Sequence[str]

    def __post_init__(self):
        positive = {"epsilon": self.epsilon, "epsilons": min(self.epsilons), "uncertainty": self.uncertainty}
        for name, value in positive.items():
            if not (np.isfinite(value) and value > 0):
                raise UserError(f"'{name}' must be positive, not {value:g}.")
        smallest = {"replicates": 2} | ({} if self.max_jets is None else {"max-jets": 1})
        for name, least in smallest.items():
            if getattr(self, name.replace("-", "_")) < least:
                raise UserError(f"'{name}' must be at least {least}, not {getattr(self, name.replace('-', '_'))}.")

    @property
    def distortion(self) -> float:
        """Size of the distortions in the verdict: five times ε, since they are not aimed."""
        return 5 * self.epsilon


class Subject:
    """Taggers by name, each with its seeds, on the jets of one split.

    Args:
        arguments: Taggers as the user names them; a NAME= that is given several times stands for the seeds of one training.
        dataset: The jets.
        options: The rest.
        store: Folder of what was computed before.
        scan: Folder of a scan of inputs; None for none.

    Attributes:
        say: Called with what is being computed, for a progress bar.

    Raises:
        UserError: if a tagger or the split does not fit.
    """

    def __init__(self, arguments: Sequence[str], dataset: data.JetDataset, options: Options, store: Path, scan: Path | None):
        self.dataset, self.options, self._store, self.scan = dataset, options, store, scan
        dataset.count(options.split)
        for name in options.features:
            dataset.schema.index(name)
        self.split = dataset.arrays(options.split).take(slice(options.max_jets))
        self.y = self.split.y
        self.bootstrap = Bootstrap(self.split.events, options.replicates, weights=self.split.weights)
        self.taggers = _grouped(arguments, dataset)
        self._digests = {id(one): digest(one) for seeds in self.taggers.values() for one in seeds}
        self._attacks: dict[Scenario, Attack] = {}
        self.say: Callable[[str], None] = lambda text: None

    @functools.cached_property
    def importance(self) -> np.ndarray:
        """How much a small move of each input matters to the first tagger: mean |∂J/∂u| of some jets, `(features,)`."""
        return self.steepness(slice(_IMPORTANCE_JETS)).mean(axis=0)

    def steepness(self, rows: slice) -> np.ndarray:
        """|∂J/∂u| of the first tagger at some jets, `(jets, features)`; 0 for cells that cannot move."""
        x, y = tf.constant(self.split.features[rows]), tf.constant(self.y[rows])
        attack = self.attack(self.fgsm())
        _, gradient = attack.gradient(self.model(self.names[0]), x, y, training=False)
        free = np.asarray(attack.threat_model.budget(x)) > 0
        return np.abs(np.where(free, gradient, 0) * self.dataset.statistics.sigma)

    @property
    def names(self) -> list[str]:
        """Names of the taggers; the first is the one that others are compared with."""
        return list(self.taggers)

    def model(self, name: str):
        """The tagger, of several seeds the first."""
        return self.taggers[name][0].model

    def threat_model(self, epsilon: float, cap: float | None = None) -> ThreatModel:
        """The box of that size around jets of this data set."""
        return ThreatModel.from_schema(self.dataset.schema, self.dataset.statistics.sigma, epsilon, cap)

    def attack(self, condition: Scenario) -> Attack | None:
        """The attack or distortion of a condition; None for clean jets."""
        if condition.kind == "clean":
            return None
        if condition not in self._attacks:
            threat_model = self.threat_model(condition.epsilon, condition.cap)
            if condition.kind == "correlated":
                training = self.dataset.arrays("train").features[:_CORRELATION_JETS]
                made = CorrelatedShift.of_jets(threat_model, training)
            else:
                made = named(condition.kind, threat_model, condition.objective)
            self._attacks[condition] = made
        return self._attacks[condition]

    def attacked(self, name: str, condition: Scenario) -> np.ndarray:
        """Attacked features, float32 `(jets, features)`."""
        return attacked_features(self.model(name), self.split.features, self.y, self.attack(condition))

    def logits(self, name: str, condition: Scenario = CLEAN, seed: int = 0) -> np.ndarray:
        """Logits, float32 `(jets, classes)`, computed once and read back from then on."""
        one = self.taggers[name][seed]
        key = [self._digests[id(one)], self.of_data(), dataclasses.asdict(condition)]
        file = self._store / f"logits-{fingerprint(key)}.npy"
        if not file.is_file():
            self.say(f"{name}, {condition.label}")
            scores = attacked_logits(one.model, self.split.features, self.y, self.attack(condition))
            with replaced(file) as new:
                np.save(new, scores, allow_pickle=False)
        return np.load(file, allow_pickle=False)

    @functools.cache  # noqa: B019  (a subject lives as long as the process)
    def area(
        self, name: str, condition: Scenario = CLEAN, discriminator: str = "BvL", seed: int = 0
    ) -> tuple[float, np.ndarray]:
        """Area and its resampled values, `(replicates,)`.

        Raises:
            UserError: if a flavour has no jets.
        """
        pair = RankedPair(self.y, self.logits(name, condition, seed), discriminator)
        value = pair.auc(self.split.weights)
        if isinstance(value, NotDefined):
            raise UserError(f"The {self.options.split} split cannot be evaluated: {discriminator} is {value}.")
        return value, self.bootstrap.aucs(pair)

    def interval(self, name: str, condition: Scenario = CLEAN, discriminator: str = "BvL") -> Interval:
        """Area with its interval."""
        return Interval.of(*self.area(name, condition, discriminator))

    def loss(self, name: str, condition: Scenario, discriminator: str = "BvL") -> Interval:
        """Clean minus attacked area with its interval, paired."""
        return self.difference((name, CLEAN), (name, condition), discriminator)

    def difference(self, one: tuple[str, Scenario], other: tuple[str, Scenario], discriminator: str = "BvL") -> Interval:
        """Area of one tagger and condition minus that of another, with its interval, paired."""
        (value, areas), (less, less_areas) = (self.area(*which, discriminator) for which in (one, other))
        return Interval.of(value - less, areas - less_areas)

    def of_seeds(self, name: str, condition: Scenario = CLEAN) -> np.ndarray:
        """Area of each seed, `(seeds,)`."""
        return np.array([self.area(name, condition, "BvL", seed)[0] for seed in range(len(self.taggers[name]))])

    @functools.cached_property
    def strongest(self) -> dict[tuple[str, float | None], Scenario]:
        """For each tagger and cap the attack that leaves the least BvL area."""
        return {
            (name, cap): min(self.strong_attacks(cap), key=lambda condition: self.area(name, condition)[0])
            for name in self.names
            for cap in (None, RELATIVE_CAP)
        }

    def fgsm(self, cap: float | None = None) -> Scenario:
        """FGSM of the headline's size."""
        return Scenario("fgsm", self.options.epsilon, cap)

    def strong_attacks(self, cap: float | None = None) -> list[Scenario]:
        """The attacks of which the strongest is looked for."""
        epsilon = self.options.epsilon
        apgd = (Scenario("apgd-50", epsilon, cap), Scenario("apgd-50", epsilon, cap, "BvL"))
        return [self.fgsm(cap), Scenario("pgd-20", epsilon, cap), *apgd]

    def distortions(self, cap: float | None = None) -> list[Scenario]:
        """What mismodelling does without looking at a tagger."""
        kinds = ("noise", "systematic-up", "systematic-down", "correlated")
        return [Scenario(kind, self.options.distortion, cap) for kind in kinds]

    def of_data(self) -> list:
        """What tells these jets apart from others."""
        return [self.dataset.fingerprint, self.options.split, self.options.max_jets]

    def made_of(self, scan: bool) -> list:
        """Everything that a part of the report depends on, of the scan only if it says so."""
        taggers = {name: [self._digests[id(one)] for one in seeds] for name, seeds in self.taggers.items()}
        scanned = (self.scan / RESULT).read_text() if scan and self.scan else None
        return [list(taggers.items()), self.dataset.fingerprint, dataclasses.asdict(self.options), scanned]

    @property
    def nonfinite_gradients(self) -> int:
        """Gradient cells that were not finite in the attacks of this process."""
        return sum(int(attack.nonfinite_gradients) for attack in self._attacks.values())

    @property
    def sample(self) -> str:
        """What the jets are, for titles."""
        return f"{len(self.y):,} jets of {self.dataset.schema.name}, {self.options.split} split"


def digest(tagger: NamedTagger) -> str:
    """SHA-256 of what a tagger was loaded from, and of the history beside it."""
    if tagger.record is not None:
        return tagger.record.sha256
    path = Path(tagger.source)
    files = [path]
    if (path / "tagger.keras").is_file():
        files = [path / "tagger.keras", path / "history.csv"]
    elif path.is_dir():
        files = sorted(path.rglob("*"))
    made = hashlib.sha256()
    for file in files:
        if file.is_file():
            made.update(str(file.relative_to(path) if path.is_dir() else file.name).encode())
            made.update(hashlib.sha256(file.read_bytes()).digest())
    return made.hexdigest()


def fingerprint(content) -> str:
    """Twenty letters that tell plain data apart."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def _grouped(arguments: Sequence[str], dataset: data.JetDataset) -> dict[str, list[NamedTagger]]:
    """Taggers by name; the same name more than once only where the user gave it."""
    found: dict[str, list[NamedTagger]] = {}
    for argument in arguments:
        tagger = load(argument)
        check_inputs(tagger, dataset.schema)
        if tagger.name in found and "=" not in argument:
            raise UserError(f"Two taggers are called '{tagger.name}'; tell them apart with NAME=PATH.")
        found.setdefault(tagger.name, []).append(tagger)
    return found
