import copy
import dataclasses

import keras
import numpy as np
import pytest

from kerastag import models
from kerastag.attacks import CLEAN, Condition
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.evaluation.comparison import compare
from kerastag.evaluation.transfer import Contestant, cross_examine, markdown, records, shared_jets, to_json
from kerastag.metrics import discriminator_auc
from kerastag.request import PAPER
from kerastag.results import NotDefined

# The box makes no difference here, and the paper's is the quicker.
FGSM, PGD = Condition("fgsm", 0.05, physics=PAPER), Condition("pgd-2", 0.05, physics=PAPER)
CONDITIONS = [CLEAN, FGSM, PGD]


@pytest.fixture(scope="module")
def jets(dataset):
    return dataset.arrays("test")


@pytest.fixture(scope="module")
def other_dataset(dataset):
    """The same data set as that of other inputs."""
    other = copy.copy(dataset)
    other.schema = dataclasses.replace(dataset.schema, name="reversed")
    return other


@pytest.fixture(scope="module")
def contestants(dataset, other_dataset, jets):
    """Two networks on the same inputs, and one on others."""
    datasets = {"a": dataset, "b": dataset, "other": other_dataset}
    return [Contestant(name, trained(dataset, seed), datasets[name], jets) for seed, name in enumerate(datasets)]


def trained(dataset, seed):
    keras.utils.set_random_seed(seed)
    model = models.mlp(dataset.schema, dataset.statistics, hidden=(8,))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(dataset.batches("train", 64), shuffle=False, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def matrix(contestants):
    return cross_examine(contestants, CONDITIONS, replicates=50)


def test_diagonal_is_the_white_box_comparison(dataset, jets, contestants, matrix):
    taggers = {contestant.name: contestant.model for contestant in contestants}
    expected = compare(taggers, dataset, jets, CONDITIONS, replicates=50)
    assert list(matrix.white_box.evaluations) == ["a", "b", "other"]
    for name, by_condition in matrix.white_box.evaluations.items():
        assert list(by_condition) == CONDITIONS
        for condition, evaluation in by_condition.items():
            assert evaluation.cross_entropy == pytest.approx(expected.evaluations[name][condition].cross_entropy, rel=1e-6)
            for discriminator in matrix.schema.headline:
                question = (name, condition, discriminator)
                assert matrix.white_box.area(*question).value == pytest.approx(expected.area(*question).value, abs=1e-6)
                losses = [dataclasses.astuple(found.loss(*question).interval) for found in (matrix.white_box, expected)]
                assert losses[0] == pytest.approx(losses[1], abs=1e-6)
            for discriminator, logits in expected.logits[name][condition].items():
                np.testing.assert_allclose(matrix.white_box.logits[name][condition][discriminator], logits, atol=1e-5)


def test_other_cells_are_jets_attacked_on_one_and_shown_to_another(dataset, jets, contestants, matrix):
    attacked = attacked_features(contestants[0].model, jets.features, jets.y, FGSM.build(dataset))
    area, clean = (
        discriminator_auc(jets.y, attacked_logits(contestants[1].model, features, jets.y, None))["BvL"]
        for features in (attacked, jets.features)
    )
    cell = (FGSM, "a", "b")
    assert matrix.area(*cell).value == pytest.approx(area)
    assert matrix.loss(*cell).value == pytest.approx(clean - area)
    assert matrix.relative_loss(*cell).value == pytest.approx((clean - area) / (clean - 0.5))


def test_taggers_of_other_inputs_are_not_shown_the_attacked_jets(matrix):
    assert matrix.inputs == {"a": "jet_flavor", "b": "jet_flavor", "other": "reversed"}
    assert matrix.duels[FGSM]["a"]["other"] == NotDefined("other inputs, reversed")
    assert matrix.duels[FGSM]["other"]["a"] == NotDefined("other inputs, jet_flavor")
    assert 0 < matrix.area(FGSM, "other", "other").value < 1
    assert list(matrix.duels[CLEAN]["a"]) == ["a"]


def test_excess_over_the_first_is_paired(matrix):
    first, second = (matrix.excess(FGSM, name) for name in "ab")
    assert dataclasses.astuple(first.interval) == (0, 0, 0)
    losses = [matrix.relative_loss(FGSM, name, name) for name in "ab"]
    assert second.value == pytest.approx(losses[1].value - losses[0].value)
    assert 0 < second.interval.error < 1.5 * np.hypot(*(loss.interval.error for loss in losses))


def test_tables_hold_every_cell(matrix):
    white_box, excess, across = [part for part in markdown(matrix).split("\n\n") if part.startswith("|")]
    assert len(white_box.splitlines()) == 2 + 3 * 3
    assert len(excess.splitlines()) == 2 + 2
    assert len(across.splitlines()) == 2 + 2 * 3
    assert f"{matrix.area(PGD, 'b', 'a').interval}" in across


def test_rows_and_json_hold_every_cell(matrix):
    rows = records(matrix)
    values = {(row["condition"], row["attacked_on"], row["evaluated_on"], row["quantity"]): row["value"] for row in rows}
    assert len(values) == len(rows)
    assert values[FGSM.label, "a", "b", "CvL AUC"] == matrix.area(FGSM, "a", "b", "CvL").value
    assert values[FGSM.label, "a", "other", "BvL AUC"] == "not defined: other inputs, reversed"
    content = to_json(matrix)
    assert {
        (condition, source, target, quantity)
        for condition, by_source in content.items()
        for source, by_target in by_source.items()
        for target, quantities in by_target.items()
        for quantity in quantities
    } == set(values)


def test_missing_flavour_is_said_everywhere(jets, contestants):
    without_b = jets.take(jets.label != 0)
    taggers = [dataclasses.replace(contestant, jets=without_b) for contestant in contestants[:2]]
    matrix = cross_examine(taggers, CONDITIONS, replicates=5)
    duel = matrix.duels[FGSM]["a"]["b"]
    assert duel.evaluation.areas["BvL"] == duel.evaluation.areas["CvB"] == duel.mistag == NotDefined("no b jets")
    assert 0 < duel.evaluation.areas["CvL"].value < 1
    assert markdown(matrix).count("not defined: no b jets") > 10
    assert {"quantity": "BvL AUC", "value": "not defined: no b jets"}.items() <= records(matrix)[0].items()


def test_shared_jets_are_found_whatever_their_order():
    generator = np.random.default_rng(0)
    source, entry = np.repeat([7, 3], 50), np.tile(np.arange(50), 2)
    columns = []
    for keep in (generator.permutation(100)[:80], generator.permutation(100)[:70]):
        columns.append({"source": source[keep], "entry": entry[keep]})
    first, second = shared_jets(columns)
    keys = [list(zip(c["source"][r], c["entry"][r], strict=True)) for c, r in zip(columns, (first, second), strict=True)]
    assert keys[0] == keys[1]
    sets = [set(zip(c["source"], c["entry"], strict=True)) for c in columns]
    assert set(keys[0]) == sets[0] & sets[1]
    assert len(keys[0]) == len(set(keys[0]))
    (alone,) = shared_jets(columns[:1])
    np.testing.assert_array_equal(alone, np.arange(80))
    none = shared_jets([columns[0], {"source": np.array([1]), "entry": np.array([1])}])
    assert not len(none[0])


def test_guess_has_nothing_to_lose(contestants):
    inputs = keras.Input((184,))
    model = keras.Model(inputs, keras.layers.Dense(3, kernel_initializer="zeros")(inputs))
    guess = dataclasses.replace(contestants[0], name="guess", model=model)
    matrix = cross_examine([contestants[0], guess], CONDITIONS, replicates=5)
    cell = (FGSM, "guess", "guess")
    assert (matrix.area(*cell).value, matrix.loss(*cell).value) == (0.5, 0)
    assert matrix.relative_loss(*cell) == matrix.excess(FGSM, "guess") == NotDefined("a guess")
    assert "not defined: a guess" in markdown(matrix)
