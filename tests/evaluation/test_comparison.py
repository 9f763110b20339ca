import numpy as np
import pytest

from kerastag.attacks import PGD, ThreatModel
from kerastag.attacks.samples import attacked_logits
from kerastag.evaluation.comparison import compare, conditions, markdown
from kerastag.metrics import discriminator_auc


def test_same_call_gives_the_same_attacked_logits_in_any_number_of_batches(dataset, tagger):
    split = dataset.arrays("test")
    x, y = split.features[:100], split.y[:100]
    attack = PGD(ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.5), steps=3)
    first, second = (attacked_logits(tagger, x, y, attack) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    # Matrix products of another batch size add up in another order: 259 terms of float32.
    np.testing.assert_allclose(attacked_logits(tagger, x, y, None, batch_size=7), tagger(x), rtol=1e-5, atol=5e-6)


def test_table_holds_areas_and_paired_losses(dataset, tagger):
    split = dataset.arrays("test")
    y = split.y
    under = conditions(dataset.schema, dataset.statistics.sigma, [0.01], attacks=("fgsm", "pgd-2"))
    results, logits = compare({"a": tagger}, split, y, under, replicates=50)
    assert list(results["a"]) == ["clean", "FGSM ε=0.01", "PGD-2 ε=0.01", "FGSM ε=0.01 cap 20%", "PGD-2 ε=0.01 cap 20%"]
    for name, scores in logits["a"].items():
        assert results["a"][name]["BvL"]["value"] == pytest.approx(discriminator_auc(y, scores)["BvL"])
    attacked, clean = results["a"]["FGSM ε=0.01"]["BvL"], results["a"]["clean"]["BvL"]
    assert attacked["loss"] == pytest.approx(clean["value"] - attacked["value"])
    # Pairing pays: the loss is known better than the areas.
    assert attacked["loss_high"] - attacked["loss_low"] < 0.5 * np.hypot(
        attacked["high"] - attacked["low"], clean["high"] - clean["low"]
    )
    table = markdown(results).splitlines()
    assert len(table) == 2 + 5
    assert f"{attacked['value']:.4f} ±" in table[3]


def test_missing_flavour_is_said_in_the_table(dataset, tagger):

    split = dataset.arrays("test")
    no_b = split.label != 0
    part = split.take(no_b)
    results, _ = compare({"a": tagger}, part, part.y, conditions(dataset.schema, dataset.statistics.sigma, []))
    assert results["a"]["clean"]["BvL"] == "not defined: no b jets"
    assert "not defined: no b jets" in markdown(results)


def test_roc_figure_says_what_is_missing():
    from kerastag import plots

    y = np.eye(3)[[1, 1, 2, 2]]
    figure, _ = plots.roc(y, {"a": {"clean": np.arange(12.0).reshape(4, 3)}}, ("BvL", "CvL"), "few")
    assert [text.get_text() for text in figure.axes[0].texts] == ["not defined: no b jets"]
