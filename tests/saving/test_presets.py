"""Taggers by a short name."""

import math
import shutil
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

import kerastag
from kerastag import legacy
from kerastag.errors import UserError
from kerastag.layers.class_logits import class_names
from kerastag.saving import presets
from kerastag.saving.taggers import find, from_preset, inputs_of
from kerastag.schema import DEEPCSV, JET_FLAVOR
from tests.legacy.conftest import WEIGHTS, needs_weights

# Trained numbers of each.
SHIPPED = {
    "deepcsv_adversarial": 47_403,
    "deepcsv_nominal": 47_403,
    "jet_flavor_adversarial": 123_395,
    "jet_flavor_input_gradient": 123_395,
    "jet_flavor_nominal": 123_395,
}
needs_clone = pytest.mark.skipif(not presets.SHIPPED.is_dir(), reason="an installed package has no saved_models")


@needs_clone
def test_those_that_come_along_have_names():
    assert set(SHIPPED) <= set(presets.shipped())
    tagger = from_preset("jet_flavor_adversarial")
    x = np.tile(JET_FLAVOR.defaults, (2, 1)).astype(np.float32)
    path = presets.SHIPPED / "jet_flavor_adversarial"
    np.testing.assert_array_equal(tagger(x), kerastag.load(path)(x))
    found = find("robust=jet_flavor_adversarial")
    assert (found.name, found.source, found.schema.name) == ("robust", str(path), "jet_flavor")
    assert inputs_of("jet_flavor_adversarial").name == "jet_flavor"
    assert kerastag.from_preset is from_preset


@needs_clone
@pytest.mark.parametrize(("name", "parameters"), SHIPPED.items())
def test_they_have_as_many_parameters_as_their_networks(name, parameters):
    weights = from_preset(name).trainable_weights
    assert sum(math.prod(weight.shape) for weight in weights) == parameters


@needs_clone
def test_what_comes_along_is_found_from_every_folder_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(presets.SHIPPED.parent)
    assert presets.short("saved_models/deepcsv_nominal") == presets.short("deepcsv_nominal") == "deepcsv_nominal"
    assert presets.short(str(presets.SHIPPED / "deepcsv_nominal")) == "deepcsv_nominal"
    assert presets.short("runs/deepcsv_nominal") == "runs/deepcsv_nominal" and presets.short("DeepCSV") == "DeepCSV"
    monkeypatch.chdir(tmp_path)
    assert presets.short("saved_models/deepcsv_nominal") == "saved_models/deepcsv_nominal"


@needs_clone
def test_a_path_may_have_an_equals_sign_and_be_a_path(tmp_path):
    """Which in NAME=SOURCE parts the name from the tagger."""
    folder = tmp_path / "eps=0.01"
    shutil.copytree(presets.SHIPPED / "deepcsv_nominal", folder)
    x = jets(DEEPCSV)
    for path in (folder, str(folder)):
        np.testing.assert_array_equal(from_preset(path)(x), from_preset("deepcsv_nominal")(x))
    assert (find(str(folder)).name, find(f"a={folder}").name) == ("eps=0.01", "a")
    assert inputs_of(str(folder)) == inputs_of(f"a={folder}") == inputs_of("deepcsv_nominal")


@needs_clone
@pytest.mark.parametrize("part", [".", "tagger.keras", "saved_model"], ids=["run directory", ".keras file", "SavedModel"])
def test_a_path_is_loaded_as_it_is(part):
    """All three are the same tagger, and it is the one that `load` gives."""
    folder = presets.SHIPPED / "deepcsv_nominal"
    x = jets(DEEPCSV)
    found = from_preset(str(folder / part))(x)
    np.testing.assert_array_equal(found, kerastag.load(folder / part)(x))
    np.testing.assert_allclose(found, keras.models.load_model(folder / "tagger.keras")(x), atol=1e-4)
    assert np.ptp(found, axis=0).min() > 0.1


@needs_weights
@pytest.mark.parametrize("name", ["DeepCSV", "DeepFlavour", "DeepDoubleBvL", "RobustParTAK4-nominal", "RobustParTAK4-ngm"])
def test_a_tagger_of_cms_has_its_name(name, monkeypatch):
    monkeypatch.setenv("KERASTAG_WEIGHTS", str(WEIGHTS))
    x = jets(legacy.get(name).schema)
    found = from_preset(name)
    np.testing.assert_array_equal(found(x), legacy.load(name, WEIGHTS)(x))
    assert class_names(found) == legacy.get(name).classes and np.ptp(found(x), axis=0).max() > 1e-3


def jets(schema):
    """Made-up jets of a schema, of which no two are alike, float32 `(8, features)`."""
    noise = np.random.default_rng(0).normal(size=(8, len(schema.features)))
    return (schema.defaults + np.where(schema.integer, 0, noise)).astype(np.float32)


def test_without_a_clone_it_is_said_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setattr(presets, "SHIPPED", tmp_path / "saved_models")
    with pytest.raises(UserError, match=r"jet_flavor_nominal.*saved_models of a clone of the repository"):
        from_preset("jet_flavor_nominal")


@needs_clone
def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jet_flavor_nominal").mkdir()
    assert presets.locate("jet_flavor_nominal") == Path("jet_flavor_nominal")
    with pytest.raises(UserError, match="'jet_flavor_nominal' is no tagger"):
        from_preset("jet_flavor_nominal")


def hub(monkeypatch, fetch):
    """Stands for the Hub's client."""
    names = ("RevisionNotFoundError", "RepositoryNotFoundError", "LocalEntryNotFoundError")
    errors = types.SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})
    constants = types.SimpleNamespace(ENDPOINT="https://the.hub")
    client = types.SimpleNamespace(snapshot_download=fetch, errors=errors, constants=constants)
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)


@needs_clone
def test_the_hub_is_asked_for_the_revision_that_was_named(monkeypatch):
    asked = []

    def fetch(repository, revision):
        asked.append((repository, revision))
        return str(presets.SHIPPED / "deepcsv_nominal")

    hub(monkeypatch, fetch)
    assert find("hf://someone/taggers@v1").schema.name == "deepcsv" and inputs_of("hf://someone/taggers").name == "deepcsv"
    assert asked[0] == ("someone/taggers", "v1") and asked[-1] == ("someone/taggers", None)


def test_mistakes_are_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="with the extra 'hub', or give the path"):
        from_preset("hf://someone/taggers")
    with pytest.raises(UserError, match="names nothing on the Hub"):
        from_preset("hf://taggers")

    def fetch(repository, revision):
        raise ConnectionError("404 Client Error.\nmore")

    hub(monkeypatch, fetch)
    with pytest.raises(UserError, match=r"cannot be fetched from https://the\.hub: ConnectionError: 404 Client Error\.$"):
        from_preset("hf://someone/taggers")
    with pytest.raises(UserError, match=r"'nothing' is no tagger.*known by name are .*DeepCSV"):
        from_preset("nothing")
