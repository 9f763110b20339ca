import numpy as np
import pytest

from kerastag.errors import UserError
from kerastag.request import Sample
from kerastag.runs.opening import read


def test_sample_is_the_first_jets_of_a_split(jet_files, data_dir, dataset, capsys):
    """And the first line says what they are of."""
    sample = Sample(config="jet_flavor", manual_dir=str(jet_files), data_dir=str(data_dir), max_jets=20)
    opened, jets = read(sample)
    assert opened.fingerprint == dataset.fingerprint
    np.testing.assert_array_equal(jets.features, dataset.arrays("test").features[:20])
    assert {len(values) for values in jets.spectators.values()} == {20}
    assert capsys.readouterr().out.startswith(f"Data set {dataset.path}, built ")


def test_sample_of_an_unknown_split_is_refused(data_dir, dataset):
    with pytest.raises(UserError, match="no split 'tests', only"):
        read(Sample(config="jet_flavor", data_dir=str(data_dir), split="tests"))
