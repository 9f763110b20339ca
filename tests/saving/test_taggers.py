import dataclasses

import keras
import pytest

from kerastag import models, saving
from kerastag.errors import UserError
from kerastag.layers.class_logits import ClassLogits
from kerastag.saving.taggers import NamedTagger, check_inputs, load, load_all
from kerastag.schema import DEEPCSV, JET_FLAVOR, Group, Variable


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
    tagger = load(str(tmp_path / "bare.keras"))
    assert tagger.schema is None
    with pytest.raises(UserError, match="takes 5 features, but jet_flavor has 184"):
        check_inputs(tagger, JET_FLAVOR)


def test_wrong_classes_are_refused(tmp_path):
    inputs = keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(4)(inputs)).save(tmp_path / "four.keras")
    with pytest.raises(UserError, match=r"four\.keras' gives 4 logits, but there are 3 flavours"):
        load(str(tmp_path / "four.keras"))
    keras.Model(inputs, ClassLogits(("QCD", "Hbb"))(keras.layers.Dense(2)(inputs))).save(tmp_path / "two.keras")
    with pytest.raises(UserError, match=r"two\.keras' cannot be evaluated here: A tagger of the classes QCD, Hbb"):
        load(str(tmp_path / "two.keras"))


def test_finer_classes_are_summed_and_travel_with_the_export(dataset, tmp_path):
    tagger = models.mlp(dataset.schema, dataset.statistics, hidden=(8,))
    fine = keras.layers.Dense(4)(tagger.output)
    fine = keras.Model(tagger.input, ClassLogits(("b", "bb", "c", "udsg"))(fine))
    saving.export(fine, dataset.schema, dataset.statistics, tmp_path / "fine")
    loaded = load(f"mine={tmp_path / 'fine'}")
    assert (loaded.name, loaded.schema) == ("mine", dataset.schema)
    assert loaded.model.output_shape == (None, 3)


def test_names_must_differ_and_exist(tmp_path):
    inputs = keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(3)(inputs)).save(tmp_path / "bare.keras")
    with pytest.raises(UserError, match=r"Two taggers are called 'bare\.keras'; tell them apart with NAME=PATH"):
        load_all([str(tmp_path / "bare.keras")] * 2)
    with pytest.raises(UserError, match=r"'DeepCVS' is no tagger: .*legacy taggers are DeepCSV, DeepFlavour"):
        load("DeepCVS")
    with pytest.raises(UserError, match="'mine=' names no tagger"):
        load("mine=")


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (lambda: keras.layers.Dense(3, "softmax"), "gives probabilities; attacks need logits"),
        (lambda: keras.Sequential([keras.layers.Dense(3, dtype="bfloat16")]), "computes in half precision"),
    ],
    ids=["softmax", "half precision"],
)
def test_tagger_that_attacks_would_misjudge_is_refused(last, said, tmp_path):
    inputs = keras.Input((20,))
    keras.Model(inputs, keras.layers.Activation("linear")(last()(inputs))).save(tmp_path / "tagger.keras")
    with pytest.raises(UserError, match=said):
        load(str(tmp_path / "tagger.keras"))
