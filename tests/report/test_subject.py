"""What a report is about, in words."""

from types import SimpleNamespace

import pytest

from kerastag.report.subject import Subject
from kerastag.request import ReportOptions, Sample


@pytest.mark.parametrize(
    ("variations", "said"),
    [
        ((), "9 jets of toy, the test split"),
        (("nominal",), "9 jets of toy, the test split"),
        (("d0_bias_10um", "fakes"), "9 jets of toy, simulated with d0_bias_10um, fakes, the test split"),
    ],
)
def test_jets_of_a_variation_are_not_titled_as_nominal_ones(variations, said):
    dataset = SimpleNamespace(schema=SimpleNamespace(name="toy"), variations=variations)
    about = SimpleNamespace(jets=range(9), dataset=dataset, sample=Sample(), options=ReportOptions())
    assert Subject.title.fget(about) == said
