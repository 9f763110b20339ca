"""Random schemas and files through the whole builder: a data set holds what NumPy makes of the same numbers."""

import collections
import dataclasses
import hashlib
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kerastag import data
from tests.properties.test_data import expected, schemas, written
from tfds_jets.splitting import FRACTIONS

JETS, COPIES = 80, 3  # of each file; the latter have the same inputs


@dataclasses.dataclass
class Oracle:
    """What NumPy and Python make of files.

    Attributes:
        jets: Features as bytes, label and event of each jet that has a flavour, by source and entry.
        read: Number of all jets.
        reasons: Cells that became their default, by reason and feature.
    """

    jets: dict[tuple[int, int], tuple[bytes, int, int]] = dataclasses.field(default_factory=dict)
    read: int = 0
    reasons: dict[str, collections.Counter] = dataclasses.field(
        default_factory=lambda: {name: collections.Counter() for name in ("absent", "not_finite", "out_of_range")}
    )

    def add(self, path, schema, generator):
        """Write a file of random jets, and remember them."""
        content, events = random_jets(schema, generator), generator.integers(0, JETS, JETS + COPIES)
        written(path, schema, content, events)
        self.read += len(content)
        source = int(hashlib.sha256(path.read_bytes()).hexdigest()[:15], 16)
        entries = [entry for entry, (_, _, flavour, _) in enumerate(content) if flavour != 15]
        for entry, features in zip(entries, expected(schema, content, self.reasons), strict=True):
            self.jets[source, entry] = features.tobytes(), (5, 4, 0).index(content[entry][2]), int(events[entry])


def random_jets(schema, generator):
    """Jets as lists, with numbers of all kinds."""

    def values(size):
        odd = generator.choice(np.array([np.nan, np.inf, -np.inf, -999.0, 0.0]), size)
        return np.where(generator.random(size) < 0.1, odd, generator.normal(0, 30, size)).astype(np.float32).tolist()

    def objects():
        return [tuple(values(len(schema.groups[1].variables))) for _ in range(generator.integers(0, 6))]

    jets = [(*values(2), int(generator.choice([5, 4, 0, 15])), objects()) for _ in range(JETS)]
    return jets + [(np.nan, np.nan, 5, [])] * COPIES


def jets_of(split):
    """Features as bytes, label and event of each jet of a split, by source and entry."""
    columns = (split.spectators["source"], split.spectators["entry"], split.features, split.label, split.spectators["event"])
    return {
        (int(source), int(entry)): (features.tobytes(), int(label), int(event))
        for source, entry, features, label, event in zip(*columns, strict=True)
    }


def assert_splits(splits, oracle):
    """Each jet is in one split, events stay together, and so do copies, which may leave their event."""
    found = {name: jets_of(split) for name, split in splits.items()}
    assert sum(map(len, found.values())) == len(oracle.jets)
    assert {place: jet for jets in found.values() for place, jet in jets.items()} == oracle.jets
    number = collections.Counter(features for features, *_ in oracle.jets.values())
    of_features, of_event = {}, {}
    for name, jets in found.items():
        for features, _, event in jets.values():
            assert of_features.setdefault(features, name) == name
            assert number[features] > 1 or of_event.setdefault(event, name) == name


def assert_counts(dataset, splits, oracle):
    for name, split in splits.items():
        assert list(dataset.jets[name].values()) == np.bincount(split.label, minlength=3).tolist()
    cleaning = dataset.cleaning
    assert cleaning["read"] == oracle.read
    assert cleaning["unknown_flavour"] == oracle.read - len(oracle.jets)
    assert cleaning["copies"] == len(oracle.jets) - len({features for features, *_ in oracle.jets.values()}) > 0
    for reason in ("not_finite", "out_of_range"):
        assert cleaning[reason] == dict(oracle.reasons[reason])


def assert_statistics(statistics, x, defaults):
    """Of the cells that are present, over the training jets."""
    present = x != defaults
    np.testing.assert_allclose(statistics.default_fraction, 1 - present.mean(axis=0), atol=1e-12)
    for column in np.flatnonzero(present.any(axis=0)):
        values = x[present[:, column], column].astype(np.float64)
        found = (getattr(statistics, name)[column] for name in ("mean", "sigma", "median"))
        np.testing.assert_allclose([*found], [values.mean(), values.std(), np.median(values)], rtol=1e-9, atol=1e-9)


# Each is a build, too long to look for a smaller one that fails.
@settings(max_examples=max(3, settings.default.max_examples // 8), phases=[Phase.generate])
@given(schemas(), st.integers(0, 2**31 - 1), st.integers(1, 3))
def test_a_data_set_holds_what_numpy_makes_of_its_files(schema, seed, files):
    generator, oracle = np.random.default_rng(seed), Oracle()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "jets"
        folder.mkdir()
        for number in range(files):
            oracle.add(folder / f"{number}.root", schema, generator)
        dataset = data.prepare(schema, data_dir=Path(scratch) / "data", manual_dir=folder)
        splits = {name: dataset.arrays(name) for name in FRACTIONS if sum(dataset.jets[name].values())}
    assert_splits(splits, oracle)
    assert_counts(dataset, splits, oracle)
    assert_statistics(dataset.statistics, splits["train"].features, schema.defaults)
