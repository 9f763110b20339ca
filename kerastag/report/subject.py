"""What a report is about: taggers and jets, under conditions whose attacked jets and logits are made once."""

import dataclasses
import functools
import hashlib
import operator
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cachetools
import keras
import numpy as np
import tensorflow as tf

from kerastag import __version__
from kerastag.attacks import CLEAN, Attack, Condition, attacked_features, attacked_logits, rules
from kerastag.checksums import of_content
from kerastag.data import JetDataset
from kerastag.files import replaced
from kerastag.layers.memory import batches
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.request import RELATIVE_CAP, ReportOptions, Sample
from kerastag.results import Resampled, Seeds, Trained, defined
from kerastag.saving.taggers import NamedTagger, load_seeds
from kerastag.schema import Separation

# Memory for attacked jets; those that were not needed for longest make room for others.
CACHE_BYTES = 2 * 1024**3
_IMPORTANCE_JETS = 3000


class Subject:
    """Taggers by name, each with its seeds, on some jets of a data set.

    Args:
        taggers: Taggers as the user names them; a NAME= that is given several times stands for the seeds of one training.
        dataset: Data set of the jets.
        sample: Split and number of the jets.
        options: What the report depends on beside taggers and jets.
        store: Folder of logits that were computed before.
        scan: Folder of a scan of inputs; None for none.
        systematics: Folder of what `kerastag systematics` has measured; None for none.
        study: Folder of a comparison of architectures; None for none.

    Attributes:
        jets: The jets, clean.
        say: Called with what is being computed, for a progress bar.

    Raises:
        UserError: if a tagger, the split or a feature does not fit the data set, or there is no such objective.
    """

    def __init__(
        self,
        taggers: Sequence[str],
        dataset: JetDataset,
        sample: Sample,
        options: ReportOptions,
        store: Path,
        scan: Path | None = None,
        systematics: Path | None = None,
        study: Path | None = None,
    ):
        self.dataset, self.sample, self.options = dataset, sample, options
        self.scan, self.systematics, self.study = scan, systematics, study
        for name in options.features:
            dataset.schema.index(name)
        self.jets = dataset.arrays(sample.split).take(slice(sample.max_jets))
        self.bootstrap = Bootstrap(self.jets.events, options.replicates, weights=self.jets.weights)
        self.taggers = load_seeds(taggers, dataset.schema)
        self.say: Callable[[str], None] = lambda text: None
        self._store, self._rules = store, rules.fingerprint(dataset.schema, options.physics)
        self._digests = {name: [digest(tagger) for tagger in seeds] for name, seeds in self.taggers.items()}
        self._attacks: dict[Condition, Attack | None] = {}
        self._attacked_jets: cachetools.LRUCache = cachetools.LRUCache(CACHE_BYTES, getsizeof=operator.attrgetter("nbytes"))
        self._areas: dict[tuple, Resampled] = {}
        self.attack(self.fgsm())  # an objective that does not exist is found before anything is computed

    @property
    def names(self) -> list[str]:
        """Names of the taggers; the first is the one that others are compared with."""
        return list(self.taggers)

    @property
    def main(self) -> Separation:
        """The discriminator that areas are of where none is named: that at which attacks aim, else the schema's main one."""
        schema = self.dataset.schema
        return schema.separations.get(self.options.objective, schema.main)

    @property
    def scale(self) -> np.ndarray:
        """Unit of moves in figures, and of ε without a budget, `(features,)`."""
        return self.dataset.scale(self.options.scale)

    @property
    def title(self) -> str:
        """Number and origin of the jets, and at what attacks aim if that is not the cross-entropy, for titles."""
        changed = [name for name in self.dataset.variations if name != "nominal"]
        simulated = f", simulated with {', '.join(changed)}" if changed else ""
        aim = "" if self.options.objective == "cross_entropy" else f", attacks on {self.options.objective}"
        return f"{len(self.jets):,} jets of {self.dataset.schema.name}{simulated}, {self.sample.of_split}{aim}"

    def model(self, name: str) -> keras.Model:
        """The tagger, of several seeds the first."""
        return self.taggers[name][0].model

    def attack(self, condition: Condition) -> Attack | None:
        """The attack or distortion of a condition; None for clean jets."""
        if condition not in self._attacks:
            self._attacks[condition] = condition.build(self.dataset)
        return self._attacks[condition]

    def attacked(self, name: str, condition: Condition, seed: int = 0) -> np.ndarray:
        """Features under a condition, float32 `(jets, features)`, read-only.

        Args:
            name: Name of the tagger.
            condition: What the jets go through.
            seed: Number of the tagger among its seeds.
        """
        if condition.is_clean:
            return self.jets.features
        # A distortion does not look at the tagger, so the jets of the first serve all.
        name, seed = (name, seed) if condition.is_attack else (self.names[0], 0)
        return self._attack_jets(name, seed, condition)

    @cachetools.cachedmethod(operator.attrgetter("_attacked_jets"))
    def _attack_jets(self, name: str, seed: int, condition: Condition) -> np.ndarray:
        self.say(f"{name}, {condition.label}")
        tagger = self.taggers[name][seed].model
        # One attack, and so one graph, serves all sizes.
        attack = self.attack(dataclasses.replace(condition, epsilon=1.0))
        attacked = attacked_features(tagger, self.jets.features, self.jets.y, attack, strength=condition.epsilon)
        attacked.setflags(write=False)  # the next reader gets the same array
        return attacked

    def logits(self, name: str, condition: Condition = CLEAN, seed: int = 0) -> np.ndarray:
        """Logits, float32 `(jets, classes)`, computed once and read back from then on. Arguments as of `attacked`."""
        key = [self._digests[name][seed], self.of_data(), dataclasses.asdict(condition), __version__]
        file = self._store / f"logits-{fingerprint(key)}.npy"
        if not file.is_file():
            attacked = self.attacked(name, condition, seed)
            logits = attacked_logits(self.taggers[name][seed].model, attacked, self.jets.y, None)
            with replaced(file) as new:
                np.save(new, logits, allow_pickle=False)
        return np.load(file, allow_pickle=False)

    def labelled_logits(self, name: str, conditions: Iterable[Condition]) -> dict[str, np.ndarray]:
        """Logits of a tagger by label of the condition, `(jets, classes)` each."""
        return {condition.label: self.logits(name, condition) for condition in conditions}

    def area(self, name: str, condition: Condition = CLEAN, discriminator: str | None = None, seed: int = 0) -> Resampled:
        """Area under the ROC curve; the resamples are the same for all, so differences and ratios are paired.

        Args:
            name: Name of the tagger.
            condition: What the jets go through.
            discriminator: Name of a discriminator of the schema; None for the main one.
            seed: Number of the tagger among its seeds.

        Raises:
            UserError: if one of its sides has no jets.
        """
        separation = self.main if discriminator is None else self.dataset.schema.separations[discriminator]
        key = (name, condition, separation.name, seed)
        if key not in self._areas:
            pair = RankedPair(self.jets.y, self.logits(name, condition, seed), separation)
            what = f"{separation.name} AUC of {self.sample.of_split}"
            self._areas[key] = defined(self.bootstrap.area(pair), what)
        return self._areas[key]

    def loss(self, name: str, condition: Condition) -> Resampled:
        """Clean minus attacked main area, of several seeds that of the first."""
        return self.area(name) - self.area(name, condition)

    def trained(self, name: str, condition: Condition = CLEAN) -> Trained:
        """Main area over the seeds of a tagger."""
        return Trained.of([self.area(name, condition, seed=seed) for seed in range(len(self.taggers[name]))])

    def trained_loss(self, name: str, condition: Condition, milder: Condition = CLEAN) -> Trained:
        """What is lost of it from a milder to a stronger condition, over the seeds."""
        seeds = range(len(self.taggers[name]))
        return Trained.of([self.area(name, milder, seed=seed) - self.area(name, condition, seed=seed) for seed in seeds])

    def seeds(self, name: str, condition: Condition = CLEAN) -> Seeds:
        """Main area of each seed."""
        return Seeds(tuple(self.area(name, condition, seed=seed).value for seed in range(len(self.taggers[name]))))

    def condition(
        self, attack: str, epsilon: float | None = None, cap: float | None = None, objective: str | None = None
    ) -> Condition:
        """An attack or distortion under the report's rules of physics, of the headline's size and aim unless told otherwise."""
        size = self.options.epsilon if epsilon is None else epsilon
        condition = Condition(attack, size, cap, scale=self.options.scale, physics=self.options.physics)
        aim = self.options.objective if objective is None else objective
        return dataclasses.replace(condition, objective=aim) if condition.is_attack else condition

    def fgsm(self, cap: float | None = None) -> Condition:
        """FGSM of the headline's size."""
        return self.condition("fgsm", cap=cap)

    def strong_attacks(self, cap: float | None = None) -> list[Condition]:
        """The attacks of which the strongest is looked for, FGSM and PGD first."""
        aims = dict.fromkeys((self.options.objective, self.main.name))
        apgd = [self.condition("apgd-50", cap=cap, objective=aim) for aim in aims]
        return [self.fgsm(cap), self.condition("pgd-20", cap=cap), *apgd]

    @functools.cached_property
    def strongest(self) -> dict[tuple[str, float | None], Condition]:
        """The attack that leaves the least main area, for each tagger and cap."""
        return {
            (name, cap): min(self.strong_attacks(cap), key=lambda condition: self.area(name, condition).value)
            for name in self.names
            for cap in (None, RELATIVE_CAP)
        }

    def distortions(self, cap: float | None = None) -> list[Condition]:
        """Mismodelling that does not look at a tagger."""
        names = ("noise", "systematic-up", "systematic-down", "correlated")
        return [self.condition(name, self.options.distortion, cap) for name in names]

    @functools.cached_property
    def importance(self) -> np.ndarray:
        """How much a small move of each input matters to the first tagger: mean |∂J/∂u| of some jets, `(features,)`."""
        return self.steepness(slice(_IMPORTANCE_JETS)).mean(axis=0)

    def steepness(self, rows: slice) -> np.ndarray:
        """|∂J/∂u| of the first tagger at some jets, `(jets, features)`; 0 for cells that cannot move."""
        x, y = self.jets.features[rows], self.jets.y[rows]
        attack, tagger = self.attack(self.fgsm()), self.model(self.names[0])
        assert attack is not None
        parts = [map(tf.constant, part) for part in batches(tagger, x, y)]
        gradients = [attack.bind(tagger, y).gradient(x)[1].numpy() for x, y in parts]
        free = np.asarray(attack.threat_model.moves(x))
        return np.abs(np.where(free, np.concatenate(gradients), 0) * self.scale)

    @property
    def nonfinite_gradients(self) -> int:
        """Number of gradient cells that were not finite in the attacks of this process."""
        return sum(int(attack.nonfinite_gradients) for attack in self._attacks.values() if attack is not None)

    def of_data(self) -> list:
        """What tells these jets and the rules of their boxes apart from others, as plain data."""
        # Discriminators that the schema declares are no part of the data set's fingerprint.
        ratios = [dataclasses.asdict(ratio) for ratio in self.dataset.schema.ratios]
        return [self.dataset.fingerprint, self.sample.split, self.sample.max_jets, self._rules, *ratios]

    def made_of(self, *files: Path | None) -> list:
        """Everything that a part of the report depends on, as plain data.

        Args:
            *files: Results of other commands that the part takes in; None for one that is not given.
        """
        contents = [file and file.read_text() for file in files] or [None]
        return [list(self._digests.items()), self.of_data(), dataclasses.asdict(self.options), *contents]


def digest(tagger: NamedTagger) -> str:
    """SHA-256 of the files of a tagger and of the history beside it."""
    if tagger.record is not None:
        return tagger.record.sha256
    path = Path(tagger.source)
    files = [path]
    if (path / "tagger.keras").is_file():
        files = [path / "tagger.keras", path / "history.csv"]
    elif path.is_dir():
        files = sorted(path.rglob("*"))
    checksum = hashlib.sha256()
    for file in files:
        if file.is_file():
            checksum.update(str(file.relative_to(path) if path.is_dir() else file.name).encode())
            checksum.update(hashlib.sha256(file.read_bytes()).digest())
    return checksum.hexdigest()


def fingerprint(content: Any) -> str:
    """Twenty letters that tell plain data apart."""
    return of_content(content)[:20]
