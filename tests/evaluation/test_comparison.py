import keras
import numpy as np
import pytest

from kerastag import models, plots
from kerastag.attacks import CLEAN, PGD, Condition, ThreatModel, conditions
from kerastag.attacks.samples import attacked_logits
from kerastag.evaluation.comparison import MISTAG_RATE, compare, evaluate, markdown, to_draw, to_json
from kerastag.evaluation.taggers import Tagger
from kerastag.evaluation.transfer import Contestant, cross_examine
from kerastag.jets import Jets
from kerastag.leaderboard.measuring import Measured
from kerastag.metrics import DISCRIMINATORS, Bootstrap, discriminator_auc
from kerastag.request import PAPER, AttackGrid
from kerastag.results import NotDefined
from kerastag.schema import JET_FLAVOR

# The box makes no difference here, and the paper's is the quicker.
FGSM = Condition("fgsm", 0.01, physics=PAPER)


def test_same_call_gives_the_same_attacked_logits_in_any_number_of_batches(dataset, tagger):
    jets = dataset.arrays("test").take(slice(100))
    attack = PGD(ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.5, physics=PAPER), steps=3)
    first, second = (attacked_logits(tagger, jets.features, jets.y, attack) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    # Matrix products of another batch size add up in another order: 259 terms of float32.
    in_batches = attacked_logits(tagger, jets.features, jets.y, None, batch_size=7)
    np.testing.assert_allclose(in_batches, tagger(jets.features), rtol=1e-5, atol=5e-6)


@pytest.fixture(scope="module")
def comparison(dataset):
    keras.utils.set_random_seed(1)
    tagger = models.mlp(dataset.schema, dataset.statistics, hidden=(16, 16))
    grid = AttackGrid(attacks=("fgsm", "pgd-2"), epsilons=(0.01,), physics=PAPER)
    return compare({"a": tagger}, dataset, dataset.arrays("test"), conditions(grid), replicates=50)


def test_areas_and_paired_losses_of_each_condition(dataset, comparison):
    labels = [condition.label for condition in comparison.evaluations["a"]]
    attacks = ("FGSM ε=0.01", "PGD-2 ε=0.01")
    assert labels == ["clean", *(f"{attack} paper's box{cap}" for cap in ("", " cap 20%") for attack in attacks)]
    for condition, scores in comparison.logits["a"].items():
        areas = {name: discriminator_auc(dataset.arrays("test").y, scores[name])[name] for name in dataset.schema.headline}
        assert {name: comparison.area("a", condition, name).value for name in dataset.schema.headline} == pytest.approx(areas)
    attacked, clean, loss = comparison.area("a", FGSM), comparison.area("a", CLEAN), comparison.loss("a", FGSM)
    assert loss.value == pytest.approx(clean.value - attacked.value)
    clean_areas, attacked_areas = (
        discriminator_auc(dataset.arrays("test").y, comparison.logits["a"][condition]["BvL"]) for condition in (CLEAN, FGSM)
    )
    for name in dataset.schema.headline:
        expected = clean_areas[name] - attacked_areas[name]
        assert comparison.loss("a", FGSM, name).value == pytest.approx(expected, abs=1e-9)
    # Pairing pays: the loss is known better than the areas.
    assert loss.interval.error < 0.5 * np.hypot(attacked.interval.error, clean.interval.error)
    assert comparison.nonfinite_gradients == {}


def test_table_and_json_hold_the_same_numbers(comparison):
    table = markdown(comparison).splitlines()
    # Areas, and behind a sentence the working point.
    assert len(table) == 2 * (2 + 5) + 3
    attacked, loss = comparison.area("a", FGSM).interval, comparison.loss("a", FGSM).interval
    cells = [cell.strip() for cell in table[3].split("|")]
    assert (cells[2], cells[3], cells[6]) == (FGSM.label, f"{attacked}", f"{loss}")
    content = to_json(comparison)["a"]
    assert list(content) == [condition.label for condition in comparison.evaluations["a"]]
    assert content[FGSM.label]["BvL"] == {
        "value": attacked.value,
        "low": attacked.low,
        "high": attacked.high,
        "loss": loss.value,
        "loss_low": loss.low,
        "loss_high": loss.high,
    }


def test_missing_flavour_is_said_in_the_table(dataset, tagger):
    jets = dataset.arrays("test")
    without_b = jets.take(jets.label != 0)
    comparison = compare({"a": tagger}, dataset, without_b, [CLEAN])
    assert comparison.area("a", CLEAN) == NotDefined("no b jets")
    assert to_json(comparison)["a"][CLEAN.label]["BvL"] == "not defined: no b jets"
    assert "not defined: no b jets" in markdown(comparison)


def test_roc_figure_says_what_is_missing():
    y = np.eye(3)[[1, 1, 2, 2]]
    figure, _ = plots.roc(
        y, {"a": {CLEAN.label: np.arange(12.0).reshape(4, 3)}}, [DISCRIMINATORS[name] for name in ("BvL", "CvL")], "few"
    )
    assert [text.get_text() for text in figure.axes[0].texts] == ["not defined: no b jets"]


def test_sizes_that_a_figure_shows_are_those_nearest_to_the_usual():
    def drawn(*epsilons, attacks=("noise", "fgsm")):
        return [condition.label for condition in to_draw(conditions(AttackGrid(attacks, epsilons)))]

    assert drawn(0.005, 0.01, 0.02, 0.05, 0.1) == ["clean", "FGSM ε=0.01", "FGSM ε=0.05"]
    assert drawn(0.3) == ["clean", "FGSM ε=0.3"]
    assert drawn(0.0, 0.2) == ["clean", "FGSM ε=0.2"]
    assert drawn(0.2, attacks=("noise",)) == ["clean", "noise ε=0.2"]


def test_each_column_is_attacked_on_its_own_margin(dataset, tagger):
    jets = dataset.arrays("test")
    aims = {name: Condition("fgsm", 0.05, objective=name, physics=PAPER) for name in ("margin", *dataset.schema.headline)}
    areas = compare({"a": tagger}, dataset, jets, [CLEAN, *aims.values()], replicates=20).evaluations["a"]
    for name in dataset.schema.headline:
        assert areas[aims["margin"]].areas[name].value == areas[aims[name]].areas[name].value
        assert areas[aims["margin"]].areas[name].value < areas[CLEAN].areas[name].value
    assert Condition("fgsm", 0.05, objective="margin").label == "FGSM on margin ε=0.05"


def test_jets_of_one_flavour_attacked_and_thresholds_frozen_on_clean_jets(dataset, tagger, comparison):
    """Against scikit-learn and a count of jets."""
    from sklearn.metrics import roc_auc_score

    jets = dataset.arrays("test")
    clean, attacked = (comparison.logits["a"][condition]["BvL"] for condition in (CLEAN, FGSM))
    evaluation = comparison.evaluations["a"][FGSM]
    of_pair = np.isin(jets.label, (0, 2))
    for flavour, number in (("b", 0), ("light", 2)):
        logits = np.where((jets.label == number)[:, None], attacked, clean)[of_pair]
        expected = roc_auc_score(jets.label[of_pair] == 0, logits[:, 0].astype(float) - logits[:, 2])
        assert evaluation.alone[flavour].value == pytest.approx(expected)
    score = clean[:, 0] - clean[:, 2].astype(float)
    cut = np.sort(score[jets.label == 2])[::-1][int(np.ceil(MISTAG_RATE * (jets.label == 2).sum())) - 1]
    passed = attacked[:, 0].astype(float) - attacked[:, 2] >= cut
    tagged = passed[jets.label == 0]
    if min(tagged.sum(), (score[jets.label == 0] >= cut).sum()) < 20:
        assert isinstance(evaluation.tagged["b"], NotDefined)
    else:
        assert evaluation.tagged["b"].value == pytest.approx(tagged.mean())


def test_logits_that_are_no_numbers_are_no_loss_of_zero():
    y = np.eye(3, dtype=np.float32)[np.arange(300) % 3]
    clean = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    attacked = clean.copy()
    attacked[5] = np.nan
    bootstrap = Bootstrap(np.arange(300), 20)
    before, after = (
        evaluate(y, dict.fromkeys(JET_FLAVOR.headline, logits), clean, bootstrap, JET_FLAVOR) for logits in (clean, attacked)
    )
    loss = before.areas["BvL"] - after.areas["BvL"]
    assert isinstance(loss, NotDefined) and "not finite" in str(loss)
    assert np.isnan(after.cross_entropy)


def test_cross_entropy_counts_weights():
    """Two jets whose losses are ln 3 and ln 1.5, the second with three times the weight."""
    y, logits = np.eye(3)[[0, 1]], np.array([[0, 0, 0], [0, np.log(4.0), 0]])
    bootstrap = Bootstrap(np.arange(2), 2, weights=np.array([1.0, 3.0]))
    found = evaluate(y, dict.fromkeys(JET_FLAVOR.separations, logits), logits, bootstrap, JET_FLAVOR)
    assert found.cross_entropy == pytest.approx((np.log(3) + 3 * np.log(1.5)) / 4)


def test_the_threshold_is_that_of_clean_jets():
    """5,000 made-up jets whose attacked scores are lower by 1."""
    label, generator = np.arange(6000) % 3, np.random.default_rng(1)
    clean = np.zeros((6000, 3))
    clean[:, 0] = generator.normal(size=6000) + 2.0 * (label == 0)
    attacked = clean - np.array([1.0, 0, 0])
    weights = generator.uniform(0.5, 2, 6000)
    y, bootstrap = np.eye(3)[label], Bootstrap(np.arange(6000), 5, weights=weights)
    found = evaluate(y, dict.fromkeys(JET_FLAVOR.separations, attacked), clean, bootstrap, JET_FLAVOR)
    order = np.argsort(-clean[label == 2, 0])
    above = np.cumsum(weights[label == 2][order])
    cut = clean[label == 2, 0][order][np.searchsorted(above, MISTAG_RATE * above[-1])]
    b = label == 0
    share = weights[b & (attacked[:, 0] >= cut)].sum() / weights[b].sum()
    assert found.tagged["b"].value == pytest.approx(share)
    assert share < 0.8 * weights[b & (clean[:, 0] >= cut)].sum() / weights[b].sum()


def test_areas_count_weights(dataset, tagger):
    """Of a comparison and of an entry of the leaderboard, against scikit-learn."""
    from sklearn.metrics import roc_auc_score

    jets = dataset.arrays("test")
    weights = np.random.default_rng(0).uniform(0.1, 3, len(jets))
    heavy = Jets(jets.features, jets.label, jets.spectators | {"generator_weight": weights}, 3)
    logits = attacked_logits(tagger, jets.features, jets.y, None).astype(float)
    pair = np.isin(jets.label, (0, 2))
    expected = roc_auc_score(jets.label[pair] == 0, (logits[:, 0] - logits[:, 2])[pair], sample_weight=weights[pair])
    assert expected != pytest.approx(roc_auc_score(jets.label[pair] == 0, (logits[:, 0] - logits[:, 2])[pair]), abs=1e-4)
    found = [compare({"a": tagger}, dataset, heavy, [CLEAN], 5).area("a", CLEAN).value]
    found.append(Measured(Tagger.network(tagger, "a"), dataset, heavy, 5).of(heavy.features).value)
    matrix = cross_examine([Contestant("a", tagger, dataset, heavy)], [CLEAN], 5)
    found.append(matrix.white_box.area("a", CLEAN).value)
    assert found == pytest.approx([expected] * 3, abs=1e-6)
