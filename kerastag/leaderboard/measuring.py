"""What an entry says of a tagger, measured."""

import time
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kerastag.attacks import Attack, Condition, ThreatModel
from kerastag.data import JetDataset
from kerastag.evaluation.certified import certificates
from kerastag.evaluation.diagnostics import check_robustness
from kerastag.evaluation.taggers import Tagger
from kerastag.evaluation.two_sample_trees import Halves
from kerastag.jets import Jets
from kerastag.leaderboard import trainings
from kerastag.leaderboard.contenders import Contender
from kerastag.leaderboard.entries import ELSEWHERE, Attacked, Certified, Cost, OfSeed, Seen, Sign, Varied
from kerastag.leaderboard.submission import in_box
from kerastag.metrics import Bootstrap, RankedPair
from kerastag.request import Method
from kerastag.results import Interval, defined
from kerastag.saving import presets
from kerastag.saving.taggers import inputs_of, load
from kerastag.schema import Schema

# Jets on which taggers are diagnosed.
_DIAGNOSED = 5000
# Area by which a random search must take more to count as better: both may find the same corner of a box.
_TIE = 5e-4
# Resamples where the interval is not looked at.
_NO_INTERVAL = 2


class Measured:
    """Areas of the main discriminator of a tagger, with intervals, and what else there is to say.

    Args:
        tagger: The tagger.
        dataset: Data set of the jets.
        jets: The jets, clean.
        replicates: Bootstrap resamples.
        gradients: Name of the network whose gradients attacks follow; None for the tagger itself.
    """

    def __init__(self, tagger: Tagger, dataset: JetDataset, jets: Jets, replicates: int, gradients: str | None = None):
        self.tagger, self.dataset, self.jets = tagger, dataset, jets
        self.replicates, self.main = replicates, dataset.schema.main
        self._gradients = gradients
        self._bootstrap = Bootstrap(jets.events, replicates, weights=jets.weights)
        self._attacked: dict[Condition, np.ndarray] = {}

    def of(self, features: np.ndarray) -> Interval:
        """Area of the jets with other features `(jets, features)`.

        Raises:
            UserError: if it is not defined.
        """
        area = self._bootstrap.area(RankedPair(self.jets.label, self.tagger.logits(features), self.main))
        return defined(area, f"{self.main.name} AUC of {self.tagger.name}").interval

    def under(self, condition: Condition) -> Attacked:
        """That of attacked jets."""
        points = self.points(condition)
        elsewhere = self._gradients is not None and self._build(condition).follows_gradient
        return Attacked(self.of(points), f"{condition.title}{ELSEWHERE}{self._gradients}" if elsewhere else condition.title)

    def seen(self, attacked: np.ndarray) -> Seen:
        """What trees see of attacked features `(jets, features)`."""
        found = Halves(self.jets.features, self.jets.label, self.jets.events).classify(attacked)
        return Seen(found.area, found.control)

    def certified(self, under: Sequence[Condition], method: Method) -> Certified | None:
        """The certificate; None, with the reason printed, where there is none."""
        name, model = self.tagger.name, self.tagger.attacked
        found, reasons = certificates({name: model}, self.dataset, self.jets, under, self.replicates, method)
        if name in reasons:
            print(f"{name} has no certificate. {reasons[name]}")
            return None
        return Certified(defined(found[name][0].areas[self.main.name], f"certified AUC of {name}").interval, method)

    def signs(self, threat_model: ThreatModel) -> tuple[Sign, ...]:
        """Signs of useless gradients, also whether a tagger that comes along gives a stronger attack."""
        x, y = self.jets.features[:_DIAGNOSED], self.jets.y[:_DIAGNOSED]
        source = source_of_transfer(self.tagger.attacked, self.dataset.schema)
        checks = check_robustness(self.tagger.attacked, x, y, threat_model, source, separation=self.main)
        return tuple(Sign(check.name, check.passed) for check in checks)

    def search(self, under: Sequence[Condition], attacks: Sequence[Attacked]) -> Sign:
        """Whether a random search takes more than all that follow the gradient; None where only one kind was tried.

        Args:
            under: The attacks.
            attacks: What each has left.
        """
        left: dict[bool, list[float]] = {True: [], False: []}
        for condition, attacked in zip(under, attacks, strict=True):
            left[self._build(condition).follows_gradient].append(attacked.area.value)
        passed = min(left[True]) < min(left[False]) + _TIE if all(left.values()) else None
        return Sign("random search", passed)

    def speed(self) -> float:
        """Jets per second of a core, the better of two passes; what else the machine does hardly matters to CPU time."""
        seconds = []
        for _ in range(2):
            start = time.process_time()
            self.tagger.logits(self.jets.features)
            seconds.append(time.process_time() - start)
        return len(self.jets) / min(seconds)

    def points(self, condition: Condition) -> np.ndarray:
        """Features under an attack, float32 `(jets, features)`, made once.

        Raises:
            UserError: if those of a user's own attack are not in their box.
        """
        if condition not in self._attacked:
            points = self.tagger.under(self._build(condition), self.jets)
            if ":" in (condition.attack or ""):
                points = in_box(points, self.jets, condition.threat_model(self.dataset), self.dataset.schema)
            self._attacked[condition] = points
        return self._attacked[condition]

    def _build(self, condition: Condition) -> Attack:
        return condition.aimed_at(self.main.name).build_attack(self.dataset)


def source_of_transfer(tagger: keras.Model, schema: Schema) -> dict[str, keras.Model]:
    """By its name the first tagger that comes along, is on these inputs and has other weights; empty if there is none."""
    for name in presets.shipped():
        known = inputs_of(name)
        if known is None or known.features != schema.features:
            continue
        source = load(name, schema).model
        weights, others = (model.get_weights() for model in (tagger, source))
        if not (len(weights) == len(others) and all(map(np.array_equal, weights, others))):
            return {name: source}
    return {}


def largest_and_mean(changes: Mapping[str, float]) -> Varied:
    """Of the changes of an area, by variation."""
    sizes = {name: abs(change) for name, change in changes.items()}
    worst = max(sizes, key=lambda name: sizes[name])
    return Varied(float(np.mean(list(sizes.values()))), sizes[worst], worst)


def cost(measured: Measured, contender: Contender) -> Cost:
    """What the tagger takes, and its training as far as that is known."""
    if contender.loaded is None:
        return Cost(measured.speed(), seconds=contender.seconds)
    return Cost(measured.speed(), *(trainings.epochs_and_seconds(contender.loaded) or ()))


def of_seed(seed: int, tagger: Tagger, strongest: Condition, dataset: JetDataset, jets: Jets) -> OfSeed:
    """Clean area of another training, and its area under an attack."""
    measured = Measured(tagger, dataset, jets, _NO_INTERVAL)
    return OfSeed(seed, measured.of(jets.features).value, measured.under(strongest).area.value)
