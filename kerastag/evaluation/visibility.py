"""Whether attacked jets can be told from clean ones. The one place that decides, for attacks, reports and claims.

Jets of each flavour are compared with *other* jets, clean: the same jets on both sides have no fluctuations with which a
distance could be compared. All features and discriminators count as one test at 5 %, the two-sample classifier as another.
What an uncertainty allows is said in `kerastag.evaluation.two_samples`.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from kerastag import results, tables
from kerastag.evaluation import two_samples
from kerastag.evaluation.two_sample_trees import Classifier
from kerastag.evaluation.two_samples import LEVEL, Difference
from kerastag.metrics import discriminant
from kerastag.schema import Schema
from kerastag.schema.discovery import SPIKE
from kerastag.schema.variables import Feature

# A χ² needs some ten expected cells in either sample.
_FEWEST = 20


@dataclasses.dataclass(frozen=True)
class Side:
    """One of two samples of jets.

    Attributes:
        features: float32 `(jets, features)`.
        label: Class indices `(jets,)`.
        logits: Those of the tagger whose discriminators are compared, `(jets, classes)`; None for none.
    """

    features: np.ndarray
    label: np.ndarray
    logits: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Test:
    """A feature or discriminator of a flavour in both samples.

    Attributes:
        name: Feature or discriminator.
        flavour: Name of the class.
        quantity: "share of" the default or a special value; "shape" of all others; "spikes", how often some values occur.
        distance: Kolmogorov-Smirnov distance; difference of a share; half the sum of differences of shares.
        p: Probability of what exceeds the uncertainty, were there no difference.
        corrected: The same for the largest excess of all tests together, by the method of Holm.
        jets: Number of attacked jets of all flavours, and of clean ones, at which the difference shows; None for never.
    """

    name: str
    flavour: str
    quantity: str
    distance: float
    p: float
    corrected: float
    jets: float | None

    __test__ = False  # not for pytest

    @property
    def shows(self) -> bool:
        """Whether the difference is significant."""
        return self.corrected < LEVEL


@dataclasses.dataclass(frozen=True)
class Visibility:
    """Whether attacked jets can be told from clean ones.

    Attributes:
        tests: Those of features.
        discriminators: Those of discriminators.
        classifier: The two-sample classifier; None if none was trained.
        uncertainty: Relative uncertainty of densities that was allowed in tests.
        jets: Number of attacked and of clean jets.
    """

    tests: tuple[Test, ...]
    discriminators: tuple[Test, ...]
    classifier: Classifier | None
    uncertainty: float
    jets: tuple[int, int]

    @property
    def invisible(self) -> bool:
        """Whether no test is significant and the classifier's area is compatible with its control."""
        shapes = any(test.shows for test in (*self.tests, *self.discriminators))
        return not shapes and (self.classifier is None or not self.classifier.shows)

    @functools.cached_property
    def showing(self) -> tuple[str, ...]:
        """Names of the features that show in any flavour, the clearest first."""
        return tuple(dict.fromkeys(test.name for test in clearest(self.tests) if test.shows))

    def of(self, feature: str) -> dict[str, Any]:
        """The clearest test of a feature, and the smallest number of jets at which any of it shows, as part of a row.

        Args:
            feature: Name of a feature that has been tested.
        """
        tests = clearest([test for test in self.tests if test.name == feature])
        test = tests[0]
        jets = min((test.jets for test in tests if test.jets is not None), default=None)
        names = ("flavour", "quantity", "distance", "corrected")
        return {name: getattr(test, name) for name in names} | {"shows": test.shows, "jets": jets}

    @property
    def summary(self) -> dict[str, Any]:
        """The main numbers, as a row of a table."""
        trees = self.classifier
        return {
            "invisible": self.invisible,
            "uncertainty": self.uncertainty,
            "attacked_jets": self.jets[0],
            "clean_jets": self.jets[1],
            "inputs": len({test.name for test in self.tests}),
            "inputs_that_show": len(self.showing),
            **_extremes("input", self.tests),
            **_extremes("discriminator", self.discriminators),
            "classifier": trees.area if trees else None,
            "classifier_control": trees.control if trees else None,
            "classifier_excess": trees.excess if trees else None,
            "classifier_p": trees.p if trees else None,
            "classifier_jets": trees.jets if trees else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """Summary and all tests as plain data, for JSON."""
        return results.plain({**self.summary, "tests": self.tests, "discriminators": self.discriminators})

    def table(self, number: int = 10) -> str:
        """The tests of features that show most and all of discriminators, as Markdown."""
        return tables.markdown(HEADER, lines([*clearest(self.tests)[:number], *self.discriminators]))


def _extremes(what: str, tests: Sequence[Test]) -> dict[str, float | None]:
    """The smallest p, and the smallest number of jets at which any test shows."""
    return {
        f"{what}_p": min((test.corrected for test in tests), default=1.0),
        f"{what}_jets": min((test.jets for test in tests if test.jets is not None), default=None),
    }


HEADER = ["what", "flavour", "quantity", "distance", "p", "corrected p", "shows at N jets"]


def lines(tests: Sequence[Test]) -> list[list[str]]:
    """A line of a table under `HEADER` for each test."""
    return [
        [
            test.name,
            test.flavour,
            test.quantity,
            f"{test.distance:.3f}",
            f"{test.p:.1g}",
            f"{test.corrected:.1g}",
            rounded(test.jets),
        ]
        for test in tests
    ]


def rounded(jets: float | None) -> str:
    """A number of jets in two digits, or "never"."""
    if jets is None:
        return "never"
    digits = max(int(np.floor(np.log10(max(jets, 1)))) - 1, 0)
    return f"{int(round(jets, -digits)):,}"


def clearest(tests: Sequence[Test]) -> list[Test]:
    """Tests in the order of their p-values, of equal ones those of larger distance first."""
    return sorted(tests, key=lambda test: (test.p, -test.distance))


def visibility(
    schema: Schema,
    attacked: Side,
    clean: Side,
    *,
    before: Side | None = None,
    uncertainty: float = 0.0,
    classifier: Classifier | None = None,
    seed: int = 0,
) -> Visibility:
    """Whether attacked jets can be told from clean ones.

    Args:
        schema: Schema of the features.
        attacked: Attacked jets.
        clean: Other jets, clean.
        before: The attacked jets as they were; no test compares with them, but distances to them, which have no
            fluctuations, tell at how many jets an attack shows. Without them distances between the samples do, which makes
            these numbers too small.
        uncertainty: Relative uncertainty u of densities, see `kerastag.evaluation.two_samples`.
        classifier: What `kerastag.evaluation.two_sample_trees` sees of the same attack; None for nothing.
        seed: Seed of permutations.
    """
    generator = np.random.default_rng(seed)
    features = [*_compare_features(schema, attacked, clean, before, uncertainty, generator)]
    shapes = [*features, *_compare_discriminators(schema, attacked, clean, before, uncertainty)]
    corrected = two_samples.holm(np.array([entry.difference.p for entry in shapes]))
    tests = [entry.test(float(p), LEVEL / len(shapes)) for entry, p in zip(shapes, corrected, strict=True)]
    jets = (len(attacked.label), len(clean.label))
    return Visibility(tuple(tests[: len(features)]), tuple(tests[len(features) :]), classifier, uncertainty, jets)


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A test before the correction for the number of tests.

    Attributes:
        name, flavour, quantity: As of `Test`.
        difference: Between attacked and clean jets.
        needed: Size of either sample of the jets that enter at which the difference shows, as a function of the level.
        part: Share of all jets that enter.
    """

    name: str
    flavour: str
    quantity: str
    difference: Difference
    needed: Callable[[float], float]
    part: float

    def test(self, corrected: float, level: float) -> Test:
        jets = self.needed(level) / self.part
        distance, p = self.difference.distance, self.difference.p
        return Test(self.name, self.flavour, self.quantity, distance, p, corrected, jets if np.isfinite(jets) else None)


def _compare_features(
    schema: Schema,
    attacked: Side,
    clean: Side,
    before: Side | None,
    uncertainty: float,
    generator: np.random.Generator,
) -> Iterator[_Entry]:
    for number, flavour in enumerate(schema.class_names):
        rows = [side.features[side.label == number] for side in (attacked, clean, before or clean)]
        if not len(rows[0]) or not len(rows[1]):
            continue
        part = (len(rows[0]) + len(rows[1])) / (len(attacked.label) + len(clean.label))
        for column, feature in enumerate(schema.features):
            cells = [features[:, column] for features in rows]
            special = counted_values(feature)
            yield from _shares(feature, flavour, special, cells, uncertainty, part)
            others = [values[~np.isin(values, special)] for values in cells]
            if len(others[0]) and len(others[1]):
                part_of_others = part * sum(map(len, others[:2])) / sum(map(len, cells[:2]))
                yield _shape(feature.name, flavour, others, uncertainty, part_of_others, generator)
                yield from _spikes(feature, flavour, others, uncertainty, part_of_others)


def counted_values(feature: Feature) -> np.ndarray:
    """Values whose share is compared by itself, float32 `(values,)`: the default, and those with a meaning of their own."""
    return np.array([feature.default, *feature.special], np.float32)


def _shares(
    feature: Feature, flavour: str, special: np.ndarray, cells: Sequence[np.ndarray], uncertainty: float, part: float
) -> Iterator[_Entry]:
    """The default and each special value, in attacked, clean and reference cells."""
    first, second, reference = (_occurrences(values, special) for values in cells)
    differences = two_samples.compare_shares(first, len(cells[0]), second, len(cells[1]), uncertainty)
    _, excesses = two_samples.share_excess(first, len(cells[0]), reference, len(cells[2]), uncertainty)
    shares = (first + reference) / (len(cells[0]) + len(cells[2]))
    for value, difference, excess, share in zip(special, differences, excesses, shares, strict=True):
        if share > 0 or difference.distance > 0:
            needed = functools.partial(two_samples.jets_for_share, float(excess), float(share))
            yield _Entry(feature.name, flavour, f"share of {value:g}", difference, needed, part)


def _shape(
    name: str,
    flavour: str,
    values: Sequence[np.ndarray],
    uncertainty: float,
    part: float,
    generator: np.random.Generator | None = None,
) -> _Entry:
    """The distribution of attacked, clean and reference values."""
    first, second, reference = values
    difference = two_samples.compare_shapes(first, second, uncertainty, generator)
    excess = two_samples.shape_excess(first, reference, uncertainty)
    return _Entry(name, flavour, "shape", difference, functools.partial(two_samples.jets_for_shape, excess), part)


def _spikes(feature: Feature, flavour: str, values: Sequence[np.ndarray], uncertainty: float, part: float) -> Iterator[_Entry]:
    """Values that more than 1 % of the cells of both samples together have, as those of a table; all others as one."""
    different, counts = np.unique(np.concatenate(values[:2]), return_counts=True)
    spikes = different[counts > max(SPIKE * counts.sum(), _FEWEST)]
    if feature.integer or not len(spikes):
        return
    occurrences = (_occurrences(side, spikes) for side in values)
    first, second, reference = (
        np.append(counts, len(side) - counts.sum()) for counts, side in zip(occurrences, values, strict=True)
    )
    difference = two_samples.compare_spikes(first, second, uncertainty)
    excess = two_samples.spike_excess(first, reference, uncertainty)
    needed = functools.partial(two_samples.jets_for_spikes, excess, len(first))
    yield _Entry(feature.name, flavour, "spikes", difference, needed, part)


def _occurrences(cells: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many cells hold each value, `(values,)`."""
    return (cells[:, None] == values).sum(axis=0)


def _compare_discriminators(
    schema: Schema, attacked: Side, clean: Side, before: Side | None, uncertainty: float
) -> Iterator[_Entry]:
    if attacked.logits is None or clean.logits is None:
        return
    reference = before if before is not None and before.logits is not None else clean
    for separation in schema.in_tables:
        values = [(discriminant(np.asarray(side.logits), separation), side.label) for side in (attacked, clean, reference)]
        for number, flavour in enumerate(schema.class_names):
            of_flavour = [value[label == number] for value, label in values]
            part = sum(map(len, of_flavour[:2])) / (len(attacked.label) + len(clean.label))
            if len(of_flavour[0]) and len(of_flavour[1]):
                yield _shape(separation.name, flavour, of_flavour, uncertainty, part)
