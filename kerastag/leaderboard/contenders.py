"""What is entered: a network, or boosted trees, which are trained here, since a file that holds them could run code."""

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerastag.data import JetDataset
from kerastag.errors import UserError
from kerastag.evaluation.taggers import TREES, Tagger
from kerastag.jets import Jets
from kerastag.leaderboard import trainings
from kerastag.saving import presets
from kerastag.saving.taggers import NamedTagger, check_inputs, load, name_and_source

# What boosted trees are called where a path is asked for.
TREES_SOURCE = "trees"
# Seed with which they are trained.
_SEED_OF_TREES = 0
# Digits behind the point of the logits by which trees are known again.
_DIGITS = 4


@dataclasses.dataclass(frozen=True)
class Contender:
    """A tagger of an entry.

    Attributes:
        tagger: To be measured and attacked.
        source: Path or name by which it is found again.
        loaded: As it was loaded; None for boosted trees.
        attacked_on: Path or name of the network whose gradients attacks follow, where the tagger has none of its own.
        gradients: Name of that network for tables.
        seconds: Time of its training, where it was trained here.
    """

    tagger: Tagger
    source: str
    loaded: NamedTagger | None
    attacked_on: str | None = None
    gradients: str | None = None
    seconds: float | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of it, by field of an entry."""
        if self.loaded is None:
            known = {"architecture": "scikit-learn's gradient-boosted trees", "defence": "nominal", "seed": _SEED_OF_TREES}
            return known | {"attacked_on": self.attacked_on}
        known = {"parameters": self.loaded.model.count_params(), "training": trainings.command(self.loaded)}
        return known | trainings.facts(self.loaded)

    def digest(self, jets: Jets) -> str:
        """SHA-256 by which it is known again: of its weights in their order, or of the logits of trees, rounded."""
        if self.loaded is None:  # the last digits may differ between processors; + 0 makes one 0 of both
            content = [np.round(self.tagger.logits(jets.features), _DIGITS) + 0]
        else:
            content = self.loaded.model.get_weights()
        digest = hashlib.sha256()
        for values in content:
            values = np.asarray(values, np.dtype(values.dtype).newbyteorder("<"))
            digest.update(f"{values.dtype.name} {values.shape} ".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()


def name_of(argument: str) -> str:
    """What tables call the contender of NAME=SOURCE or SOURCE, before it is loaded or trained."""
    name, source = name_and_source(argument)
    return TREES if (name, source) == (TREES_SOURCE, TREES_SOURCE) else name


def find(argument: str, dataset: JetDataset, attacked_on: str | None = None) -> Contender:
    """A contender by its name.

    Args:
        argument: NAME=SOURCE or SOURCE: "trees", or as of `kerastag.saving.taggers.find`.
        dataset: Data set of the jets; trees are trained on it.
        attacked_on: For trees, path or name of the network whose gradients attacks follow.

    Raises:
        UserError: if there is none, it does not fit the jets, or trees have no network beside them.
    """
    _, source = name_and_source(argument)
    if source != TREES_SOURCE:
        if attacked_on is not None:
            raise UserError(f"--attacked-on is for {TREES_SOURCE}; '{source}' has gradients of its own, which attacks follow.")
        loaded = _network(argument, dataset)
        return Contender(Tagger.network(loaded.model, loaded.name), presets.short(source), loaded)
    if attacked_on is None:
        raise UserError(f"'{TREES_SOURCE}' have no gradients; name a network whose attacks follow with --attacked-on TAGGER.")
    gradients, train = _network(attacked_on, dataset), dataset.arrays("train")
    start = time.perf_counter()
    trees = Tagger.trees(train, gradients.model, _SEED_OF_TREES)
    seconds = time.perf_counter() - start
    trees = dataclasses.replace(trees, name=name_of(argument))
    return Contender(trees, TREES_SOURCE, None, presets.short(name_and_source(attacked_on)[1]), gradients.name, seconds)


def other_seeds(contender: Contender, given: Sequence[str], dataset: JetDataset) -> list[tuple[int, Tagger]]:
    """Trainings like that of a contender but for the seed, with their seeds.

    Args:
        contender: The contender.
        given: Run directories; for trees, which are trained here, the seeds.
        dataset: Data set of the jets.

    Raises:
        UserError: if one cannot be loaded or differs in something else.
    """
    if contender.loaded is None:
        train, gradients = dataset.arrays("train"), contender.tagger.attacked
        return [(seed, Tagger.trees(train, gradients, seed)) for seed in seeds_of_trees(given)]
    others = trainings.other_seeds(contender.loaded, given, dataset)
    return [(trainings.settings_of(other)["seed"], Tagger.network(other.model, other.name)) for other in others]


def seeds_of_trees(given: Sequence[str]) -> list[int]:
    """Seeds of further trees from a command line.

    Raises:
        UserError: if one is no whole number that scikit-learn takes, or comes twice or with the entry itself.
    """
    seeds = [int(word) if word.isascii() and word.isdecimal() else -1 for word in given]
    if not all(0 < seed < 2**32 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise UserError(
            f"--other-seeds of {TREES_SOURCE}, which are trained here with seed {_SEED_OF_TREES}, takes other whole numbers, "
            f"each once, such as 1 2; it is {' '.join(given)}."
        )
    return seeds


def _network(argument: str, dataset: JetDataset) -> NamedTagger:
    found = load(argument, dataset.schema)
    check_inputs(found, dataset.schema)
    return found
