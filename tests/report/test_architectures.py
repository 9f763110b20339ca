"""The part on architectures, made of what a study has stored, and the numbers that it computes of that."""

import itertools
import types

import numpy as np
import pytest
from scipy import stats

from kerastag.errors import UserError
from kerastag.evaluation import architectures as comparison
from kerastag.evaluation.taggers import TREES
from kerastag.files import write_json
from kerastag.report.parts import architectures
from kerastag.results import Interval, NotDefined, Seeds
from kerastag.runs.report import _check_study

PGD, LOST = "loss, PGD-20 on margin ε=0.01", "loss, lost track on margin"
# Loss under PGD and to a lost track of two seeds.
LOSSES = {
    "mlp": ((0.010, 0.012), (0.04, 0.05)),
    "paper_mlp": ((0.005, 0.006), (0.10, 0.11)),
    "pfn": ((0.020, 0.0222), (0.05, 0.05)),
    "particle_net_lite": ((0.0151, 0.017), (0.03, 0.05)),
    "mine:net": ((0.001, 0.001), (0.01, 0.01)),
}


def stored(losses=LOSSES, fingerprint="of the jets") -> dict:
    results = {}
    for model, (pgd, lost) in losses.items():
        for training in comparison.TRAININGS:
            factor = 1.0 if training == "nominal" else 0.5
            numbers = {"clean": Seeds((0.94, 0.941)), PGD: Seeds(tuple(factor * loss for loss in pgd)), LOST: Seeds(lost)}
            results[comparison.name_of(model, training)] = numbers
    results[TREES] = {"clean": Seeds((0.95,)), PGD: Seeds((-0.006,))}
    costs = {"mlp, nominal": {"parameters": 1000, "Keras": 2e5}, "pfn, nominal": {"parameters": 70}}
    return {"fingerprint": fingerprint, "jets": 8000, "main": "BvL", "results": results, "costs": costs}


def subject(folder):
    return types.SimpleNamespace(study=folder, dataset=types.SimpleNamespace(fingerprint="of the jets", path="data"))


def test_part_shows_the_tables_of_the_study_and_answers(tmp_path):
    write_json(tmp_path / comparison.RESULT, stored())
    numbers = architectures.numbers(subject(tmp_path))
    section = architectures.section(subject(tmp_path), numbers)
    assert "8,000 jets" in section.text[0] and len(section.text) == 3
    assert section.text[1].startswith(
        "Nominal training: more structure makes a tagger more vulnerable, of 2 networks of more structure "
        f"2 lose more and 0 less. Above mlp in {PGD}: pfn +0.0101 [+0.0088, +0.0114], particle_net_lite +0.0051 ["
    )
    of_study, differences, correlations, costs = section.tables
    assert [row[0] for row in of_study.rows][:2] == ["mlp, nominal", "mlp, adversarial"] and of_study.rows[-1][0] == TREES
    assert of_study.rows[-1][1:] == ["1", "0.9500", "-0.0060", ""]
    assert [row[0] for row in differences.rows][:2] == ["paper_mlp, nominal", "paper_mlp, adversarial"]
    assert [row[2] for row in correlations.rows] == ["4"] * 4
    assert costs.rows == [["mlp, nominal", "1,000", "200,000"], ["pfn, nominal", "70.00", ""]]
    assert set(architectures.draw(subject(tmp_path), numbers)) == {figure.name for figure in section.figures}
    assert len(architectures.tables_of(numbers)["architectures"]) == 21


def test_differences_are_paired_by_seed():
    rows = comparison.differences(comparison.points(stored()["results"]))
    (row,) = (row for row in rows if (row["training"], row["loss"], row["model"]) == ("nominal", LOST, "pfn"))
    paired = stats.ttest_rel((0.05, 0.05), (0.04, 0.05)).confidence_interval(0.95)
    assert row["difference"].value == pytest.approx(0.005)
    np.testing.assert_allclose([row["difference"].low, row["difference"].high], [paired.low, paired.high])
    assert {row["structure"] for row in rows if row["model"] == "mine:net"} == {None}
    assert {row["model"] for row in rows} == LOSSES.keys() - {"mlp"}


def test_correlation_is_over_networks_of_known_structure_with_the_share_of_all_their_orders():
    (row,) = (
        row
        for row in comparison.correlations(comparison.points(stored()["results"]))
        if (row["training"], row["loss"]) == ("nominal", PGD)
    )
    structure, losses = (0, 0, 1, 2), (0.011, 0.0055, 0.0211, 0.01605)

    def rho(values):
        return stats.spearmanr(structure, values).statistic

    orders = [abs(rho(values)) for values in itertools.permutations(losses)]
    assert row["correlation"] == pytest.approx(rho(losses))
    assert row["p"] == pytest.approx(np.mean(np.array(orders) >= abs(rho(losses)) - 1e-9))


@pytest.mark.parametrize(
    ("pfn", "lite", "sentence"),
    [
        (
            (0.001, 0.003),
            (0.002, 0.004),
            "more structure makes a tagger less vulnerable, of 2 networks",
        ),
        ((0.020, 0.022), (0.002, 0.004), "it depends on the network, of 2 networks of more structure 1 lose more and 1"),
        ((0.010, 0.022), (0.004, 0.016), "undecided, of 2 networks of more structure 0 lose more and 0 less"),
        (
            (0.020, 0.022),
            (0.004, 0.016),
            "more structure makes a tagger more vulnerable or no different within errors, of 2 networks of more structure 1",
        ),
        ((0.020,), (0.004,), "one seed tells nothing"),
    ],
)
def test_answers_go_by_intervals(pfn, lite, sentence):
    losses = {"mlp": ((0.010, 0.012)[: len(pfn)], (0.04,)), "pfn": (pfn, (0.04,)), "particle_net_lite": (lite, (0.04,))}
    nominal, adversarial = comparison.answers(comparison.points(stored(losses)["results"]))
    assert nominal.startswith(f"Nominal training: {sentence}") and adversarial.startswith(f"Adversarial training: {sentence}")


def test_without_more_structure_there_is_no_answer(tmp_path):
    content = stored({name: LOSSES[name] for name in ("pfn", "mlp")})
    assert not list(comparison.answers(comparison.points(content["results"])))
    assert not comparison.correlations(comparison.points(content["results"]))
    write_json(tmp_path / comparison.RESULT, content)
    section = architectures.section(subject(tmp_path), architectures.numbers(subject(tmp_path)))
    assert section.text[1] == "No network has more structure than the first."


def test_one_seed_has_no_interval():
    losses = {"mlp": ((0.01,), (0.04,)), "pfn": ((0.02,), (0.04,))}
    rows = comparison.differences(comparison.points(stored(losses)["results"]))
    assert rows and all(isinstance(row["difference"], NotDefined) for row in rows)
    assert all(
        isinstance(row["difference"], Interval) for row in comparison.differences(comparison.points(stored()["results"]))
    )


def test_nothing_is_shown_where_nothing_was_measured():
    numbers = architectures.numbers(subject(None))
    assert not numbers and not architectures.draw(subject(None), numbers) and not architectures.tables_of(numbers)
    assert "--study" in architectures.section(subject(None), numbers).text[0]


def test_studies_of_other_jets_or_of_no_architectures_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no comparison of architectures .*\(--study\); make it with .* --models"):
        _check_study(subject(tmp_path))
    write_json(tmp_path / comparison.RESULT, {"results": {}, "seeds": [0]})  # of a study without --models
    with pytest.raises(UserError, match="no comparison of architectures"):
        _check_study(subject(tmp_path))
    write_json(tmp_path / comparison.RESULT, stored(fingerprint="another"))
    with pytest.raises(UserError, match="another data set"):
        _check_study(subject(tmp_path))
    write_json(tmp_path / comparison.RESULT, stored())
    _check_study(subject(tmp_path))
    _check_study(subject(None))
