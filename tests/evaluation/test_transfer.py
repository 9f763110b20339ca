import numpy as np
import pytest

from kerastag import models
from kerastag.attacks import FGSM, ThreatModel
from kerastag.attacks.samples import attacked_features, attacked_logits
from kerastag.evaluation.comparison import compare, conditions
from kerastag.evaluation.transfer import Contestant, cross_examine, markdown, records, shared_jets, white_box
from kerastag.metrics import discriminator_auc
from kerastag.saving.taggers import NamedTagger

CONDITIONS = ["clean", "FGSM ε=0.05", "PGD-2 ε=0.05"]


@pytest.fixture(scope="module")
def split(dataset):
    return dataset.arrays("test")


def conditions_of(dataset):
    return conditions(dataset.schema, dataset.statistics.sigma, [0.05], [None], ("fgsm", "pgd-2"))


@pytest.fixture(scope="module")
def contestants(dataset, split):
    """Two networks on the same inputs, and one on others."""
    import keras

    made = []
    for number, (name, inputs) in enumerate({"a": "jet_flavor", "b": "jet_flavor", "other": "reversed"}.items()):
        keras.utils.set_random_seed(number)
        model = models.mlp(dataset.schema, dataset.statistics, hidden=(8,))
        model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
        model.fit(dataset.batches("train", 64), shuffle=False, epochs=2, verbose=0)
        made.append(Contestant(NamedTagger(name, name, model, dataset.schema), inputs, split.features, conditions_of(dataset)))
    return made


@pytest.fixture(scope="module")
def examined(dataset, split, contestants):
    return cross_examine(contestants, split.y, split.events, replicates=50)


def test_diagonal_is_the_white_box_comparison(dataset, split, contestants, examined):
    matrix, logits = examined
    y = split.y
    taggers = {one.tagger.name: one.tagger.model for one in contestants}
    expected, scores = compare(taggers, split, y, conditions_of(dataset), replicates=50)
    for name, by_condition in white_box(matrix).items():
        assert list(by_condition) == CONDITIONS
        for condition, row in by_condition.items():
            for discriminator in ("BvL", "CvB", "CvL"):
                for key in ("value", "loss", "loss_low", "loss_high"):
                    assert row[discriminator][key] == pytest.approx(expected[name][condition][discriminator][key], abs=1e-6)
            np.testing.assert_allclose(logits[name][condition], scores[name][condition], atol=1e-5)


def test_other_cells_are_jets_attacked_on_one_and_shown_to_another(dataset, split, contestants, examined):
    y = split.y
    attack = FGSM(ThreatModel.from_schema(dataset.schema, dataset.statistics.sigma, 0.05))
    attacked = attacked_features(contestants[0].tagger.model, split.features, y, attack)
    area = discriminator_auc(y, attacked_logits(contestants[1].tagger.model, attacked, y, None))["BvL"]
    cell = examined[0]["FGSM ε=0.05"]["a"]["b"]["BvL"]
    assert cell["value"] == pytest.approx(area)
    clean = discriminator_auc(y, attacked_logits(contestants[1].tagger.model, split.features, y, None))["BvL"]
    assert cell["loss"] == pytest.approx(clean - area)
    assert cell["relative_loss"] == pytest.approx((clean - area) / (clean - 0.5))


def test_taggers_of_other_inputs_are_not_shown_the_attacked_jets(examined):
    matrix, _ = examined
    assert matrix["FGSM ε=0.05"]["a"]["other"] == "other inputs: reversed"
    assert matrix["FGSM ε=0.05"]["other"]["a"] == "other inputs: jet_flavor"
    assert isinstance(matrix["FGSM ε=0.05"]["other"]["other"], dict)
    assert list(matrix["clean"]["a"]) == ["a"]


def test_excess_over_the_first_is_paired(examined):
    matrix, _ = examined
    first, second = (matrix["FGSM ε=0.05"][name][name]["BvL"] for name in "ab")
    assert (first["excess"], first["excess_low"], first["excess_high"]) == (0, 0, 0)
    assert second["excess"] == pytest.approx(second["relative_loss"] - first["relative_loss"])
    width = second["excess_high"] - second["excess_low"]
    widths = [row["relative_loss_high"] - row["relative_loss_low"] for row in (first, second)]
    assert 0 < width < 1.5 * np.hypot(*widths)


def test_tables_hold_every_cell(examined):
    matrix, _ = examined
    text = markdown(matrix, {"a": "jet_flavor", "b": "jet_flavor", "other": "reversed"})
    own, excess, across = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(own.splitlines()) == 2 + 3 * 3
    assert len(excess.splitlines()) == 2 + 2
    assert len(across.splitlines()) == 2 + 2 * 3
    assert f"{matrix['PGD-2 ε=0.05']['b']['a']['BvL']['value']:.4f} ±" in across
    rows = records(matrix)
    found = {(row["condition"], row["attacked_on"], row["evaluated_on"], row["quantity"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    assert found["FGSM ε=0.05", "a", "b", "CvL AUC"] == matrix["FGSM ε=0.05"]["a"]["b"]["CvL"]["value"]
    assert found["FGSM ε=0.05", "a", "other", "BvL AUC"] == "other inputs: reversed"


def test_missing_flavour_is_said_everywhere(dataset, split, contestants):
    no_b = np.flatnonzero(split.label != 0)
    few = [Contestant(one.tagger, one.inputs, split.features[no_b], one.conditions) for one in contestants[:2]]
    matrix, _ = cross_examine(few, split.y[no_b], split.take(no_b).events, replicates=5)
    row = matrix["FGSM ε=0.05"]["a"]["b"]
    assert row["BvL"] == row["CvB"] == row["mistag"] == "not defined: no b jets"
    assert 0 < row["CvL"]["value"] < 1
    assert markdown(matrix, {"a": "x", "b": "x"}).count("not defined: no b jets") > 10
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


def test_guess_has_nothing_to_lose(dataset, split, contestants):
    import keras

    inputs = keras.Input((184,))
    guess = keras.Model(inputs, keras.layers.Dense(3, kernel_initializer="zeros")(inputs))
    named = NamedTagger("guess", "guess", guess, None)
    one = Contestant(named, "jet_flavor", split.features, contestants[0].conditions)
    matrix, _ = cross_examine([contestants[0], one], split.y, split.events, replicates=5)
    row = matrix["FGSM ε=0.05"]["guess"]["guess"]["BvL"]
    assert (row["value"], row["loss"]) == (0.5, 0)
    assert "relative_loss" not in row and "excess" not in row
    assert "not defined: a guess" in markdown(matrix, {"a": "jet_flavor", "guess": "jet_flavor"})
