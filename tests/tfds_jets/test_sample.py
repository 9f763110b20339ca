"""The simulated jets that come with the package."""

import numpy as np
import pytest

from kerastag.schema import DEEPCSV, JET_FLAVOR
from kerastag.simulation import validation
from tfds_jets.copies import Copies, Hashes
from tfds_jets.tfds_jets_dataset_builder import SAMPLE_FILE


@pytest.fixture(scope="module")
def sample():
    """Features and labels of `JET_FLAVOR`."""
    return validation.read(SAMPLE_FILE, JET_FLAVOR)


def test_has_the_promised_size_and_mix(sample):
    _, label = sample
    assert len(label) == 100_000
    assert SAMPLE_FILE.stat().st_size < 30e6
    b, c, _ = np.bincount(label) / len(label)
    assert b == pytest.approx(0.4, abs=0.02)
    assert 0.12 < c < 0.20


def test_no_jet_counts_as_a_copy_of_another(sample):
    features, label = sample
    copies = Copies()
    copies.place(Hashes(JET_FLAVOR)(features), np.zeros(len(label), np.int64))
    assert copies.number == 0


def test_moments_are_those_of_the_published_data_set(sample):
    """All but one of the 184 means within 0.3 published σ, half of them within 0.05.

    The one is a mass of primary tracks in jets with at least six: jets of Pythia 8 have more of them than those of 2016.
    """
    pulls = {row.name: abs(row.pull) for row in validation.moments(*sample)}
    assert np.median(list(pulls.values())) < 0.05
    assert [name for name, pull in pulls.items() if pull > 0.3] in ([], ["track_5_vertex_mass"])


def test_numbers_by_flavour_are_those_of_the_check_simulation():
    """Within 12 %, or 0.01 of a rate; one of 57, a median of few light jets there, within a quarter."""
    table = validation.by_flavour(SAMPLE_FILE)
    assert table["median vertex significance"].pop() == pytest.approx(14, rel=0.25)
    for name, values in table.items():
        for value, expected in zip(values, validation.EXPECTED[name], strict=False):
            near = pytest.approx(expected, rel=0.12, abs=0.01 if name.startswith(("jets", "tracks")) else 0)
            assert value == near, name


def test_deepcsv_reads_it_too():
    features, label = validation.read(SAMPLE_FILE, DEEPCSV)
    assert features.shape == (100_000, 66)
    assert np.isfinite(features).all()
    assert features.min() > -998, "an absent value was taken for a number"
    assert np.bincount(label).min() > 10_000
