import dataclasses
import json

import keras
import numpy as np
import pytest

from kerastag import checksums, models, saving
from kerastag.errors import UserError
from kerastag.files import read_json
from kerastag.layers.class_logits import ClassLogits, class_names
from kerastag.saving.taggers import NamedTagger, check_inputs, load, load_all
from kerastag.schema import DEEPCSV, JET_FLAVOR, FlavourClass, Group, Variable
from kerastag.statistics import Statistics

STATISTICS = Statistics.of(np.random.default_rng(1).normal(size=(50, 66)).astype(np.float32), DEEPCSV.defaults)


def changed(**facts):
    """A tagger of `DEEPCSV` whose vertex mass is described otherwise."""
    groups = tuple(
        dataclasses.replace(
            group,
            variables=tuple(
                dataclasses.replace(variable, **facts) if variable.name == "vertexMass" else variable
                for variable in group.variables
            ),
        )
        for group in DEEPCSV.groups
    )
    return NamedTagger("mine", "runs/mine", None, dataclasses.replace(DEEPCSV, groups=groups))


def test_same_inputs_are_accepted():
    check_inputs(changed(), DEEPCSV)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"name": "vertexMas"}, "'runs/mine' needs the feature 'vertexMas' of deepcsv, .*the nearest there are 'vertexMass'"),
        ({"unit": "MeV"}, "takes 'vertexMass' with unit 'MeV', but in deepcsv it is 'GeV'"),
        ({"default": -5.0}, "'vertexMass' with default '-5.0', but in deepcsv it is '0.0'"),
        ({"integer": True}, "'vertexMass' with integer 'True', but in deepcsv it is 'False'"),
    ],
)
def test_other_features_units_and_special_values_are_refused(facts, said):
    with pytest.raises(UserError, match=said):
        check_inputs(changed(**facts), DEEPCSV)


def test_other_order_or_number_is_refused():
    backwards = dataclasses.replace(DEEPCSV, groups=DEEPCSV.groups[::-1])
    with pytest.raises(UserError, match="in another order: number 0 is 'flightDistance2dVal' there and 'jetPt' here"):
        check_inputs(NamedTagger("mine", "runs/mine", None, backwards), DEEPCSV)
    more = dataclasses.replace(DEEPCSV, groups=(*DEEPCSV.groups, Group("more", (Variable("more", "more"),))))
    with pytest.raises(UserError, match="takes 66 features, but deepcsv has 67"):
        check_inputs(changed(), more)


def test_bare_file_is_checked_by_its_width(tmp_path):
    inputs = keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(3)(inputs)).save(tmp_path / "bare.keras")
    tagger = load(str(tmp_path / "bare.keras"), JET_FLAVOR)
    assert tagger.schema is None
    with pytest.raises(UserError, match="takes 5 features, but jet_flavor has 184"):
        check_inputs(tagger, JET_FLAVOR)


def test_wrong_classes_are_refused(tmp_path):
    inputs = keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(4)(inputs)).save(tmp_path / "four.keras")
    with pytest.raises(UserError, match=r"four\.keras' cannot be evaluated here: .* gives 4 logits, but there are 3 classes"):
        load(str(tmp_path / "four.keras"), JET_FLAVOR)
    keras.Model(inputs, ClassLogits(("QCD", "Hbb"))(keras.layers.Dense(2)(inputs))).save(tmp_path / "two.keras")
    with pytest.raises(UserError, match=r"two\.keras' cannot be evaluated here: A tagger of the classes QCD, Hbb"):
        load(str(tmp_path / "two.keras"), JET_FLAVOR)


def test_finer_classes_are_summed_and_travel_with_the_export(dataset, tmp_path):
    tagger = models.mlp(dataset.schema, dataset.statistics, hidden=(8,))
    fine = keras.layers.Dense(4)(tagger.output)
    fine = keras.Model(tagger.input, ClassLogits(("b", "bb", "c", "udsg"))(fine))
    saving.export(fine, dataset.schema, dataset.statistics, tmp_path / "fine")
    loaded = load(f"mine={tmp_path / 'fine'}", JET_FLAVOR)
    assert (loaded.name, loaded.schema) == ("mine", dataset.schema)
    assert loaded.model.output_shape == (None, 3)


def test_names_must_differ_and_exist(tmp_path):
    inputs = keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(3)(inputs)).save(tmp_path / "bare.keras")
    with pytest.raises(UserError, match=r"Two taggers are called 'bare\.keras'; tell them apart with NAME=PATH"):
        load_all([str(tmp_path / "bare.keras")] * 2, JET_FLAVOR)
    with pytest.raises(UserError, match=r"'DeepCVS' is no tagger: .*known by name are .*DeepCSV, DeepFlavour"):
        load("DeepCVS", JET_FLAVOR)
    with pytest.raises(UserError, match="'mine=' names no tagger"):
        load("mine=", JET_FLAVOR)


def test_classes_of_the_training_are_put_in_the_order_of_the_jets(tmp_path):
    """A run, a SavedModel of it, and a file that says its classes itself; a bare file has those of the jets."""
    schema = dataclasses.replace(DEEPCSV, classes=DEEPCSV.classes[::-1])
    inputs = keras.Input((66,))
    tagger = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Rescaling(1e-3)(inputs)))
    saving.export(tagger, schema, STATISTICS, tmp_path / "run" / "saved_model")
    for folder in ("run", "bare"):
        (tmp_path / folder).mkdir(exist_ok=True)
        tagger.save(tmp_path / folder / "tagger.keras")
    named = keras.Model(inputs, ClassLogits(("c", "light", "b"))(tagger.output))
    named.save(tmp_path / "named.keras")
    # b, c, light of logits light, c, b is no silent order: the asset says which.
    saving.export(keras.Model(inputs, ClassLogits(("b", "c", "light"))(tagger.output)), schema, STATISTICS, tmp_path / "said")
    x = np.random.default_rng(0).normal(size=(5, 66)).astype(np.float32)
    orders = {
        "run": [2, 1, 0],
        "run/saved_model": [2, 1, 0],
        "bare/tagger.keras": [0, 1, 2],
        "named.keras": [2, 0, 1],
        "said": [0, 1, 2],
    }
    for source, columns in orders.items():
        loaded = load(f"a={tmp_path / source}", DEEPCSV)
        np.testing.assert_allclose(loaded.model(x), tagger(x).numpy()[:, columns], rtol=1e-5, err_msg=source)


def test_names_of_the_classes_are_those_of_the_schema(tmp_path):
    classes = tuple(FlavourClass(name, name, name, "black") for name in ("tau", "g", "uds", "c", "b"))
    schema = dataclasses.replace(DEEPCSV, classes=classes)
    inputs = keras.Input((66,))
    hidden = keras.layers.Rescaling(1e-3)(inputs)
    saving.export(keras.Model(inputs, keras.layers.Dense(5)(hidden)), schema, STATISTICS, tmp_path / "five")
    asset = read_json(tmp_path / "five" / "assets" / "kerastag.json")
    assert asset["classes"] == ["tau", "g", "uds", "c", "b"]
    assert class_names(saving.load(tmp_path / "five")) == schema.class_names
    with pytest.raises(UserError, match="gives 3 logits, but there are 5 classes"):
        saving.export(keras.Model(inputs, keras.layers.Dense(3)(hidden)), schema, STATISTICS, tmp_path / "three")
    asset["classes"] = ["b", "c", "light"]
    (tmp_path / "five" / "assets" / "kerastag.json").write_text(json.dumps(asset))
    (tmp_path / "five" / checksums.LIST).unlink()
    with pytest.raises(UserError, match="is damaged: it names 3 classes of 5 logits"):
        saving.load(tmp_path / "five")


def test_one_logit_is_refused(tmp_path):
    two = dataclasses.replace(DEEPCSV, classes=DEEPCSV.classes[:2])
    inputs = keras.Input((66,))
    tagger = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    tagger.save(tmp_path / "one.keras")
    for given in (two, DEEPCSV):
        with pytest.raises(UserError, match=r"cannot be evaluated here: .* gives one logit, .* two classes two logits"):
            load(str(tmp_path / "one.keras"), given)
    with pytest.raises(UserError, match="gives one logit"):
        saving.export(tagger, two, STATISTICS, tmp_path / "exported")


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (lambda: keras.layers.Dense(3, "softmax"), "gives probabilities; attacks need logits"),
        (lambda: keras.Sequential([keras.layers.Dense(3, dtype="bfloat16")]), "Attacks need"),
    ],
    ids=["softmax", "half precision"],
)
def test_tagger_that_attacks_would_misjudge_is_refused(last, said, tmp_path):
    inputs = keras.Input((20,))
    keras.Model(inputs, keras.layers.Activation("linear")(last()(inputs))).save(tmp_path / "tagger.keras")
    with pytest.raises(UserError, match=said):
        load(str(tmp_path / "tagger.keras"), JET_FLAVOR)
