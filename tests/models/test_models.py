import re
import sys

import keras
import numpy as np
import pytest

from kerastag import models
from kerastag.errors import UserError

# Of each kind one; `test_every_model` looks at the others.
KINDS = ("mlp", "deep_sets", "paper_mlp", "particle_net_lite")


def test_paper_network_has_its_published_number_of_parameters(dataset):
    assert models.paper_mlp(dataset.schema, dataset.statistics).count_params() == 59_203


def test_paper_network_starts_like_pytorch(dataset):
    keras.utils.set_random_seed(0)
    kernel, bias = models.paper_mlp(dataset.schema, dataset.statistics).layers[3].get_weights()
    limit = 184**-0.5
    assert 0.99 * limit < abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.03)
    assert 0.5 * limit < abs(bias).max() <= limit


@pytest.mark.parametrize("name", KINDS)
def test_gives_logits_and_survives_saving(dataset, name, tmp_path, jets):
    model = models.get(name)(dataset.schema, dataset.statistics)
    logits = model(jets[0]).numpy()
    assert logits.shape == (256, 3)
    assert (logits.sum(axis=1) != 1).all()
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(jets[0]), logits)


def test_unknown_models_are_refused():
    for name in ("recurrent", "no_such_module:model", "json:no_such_function", ":", ":x", "..:x", "json:"):
        with pytest.raises(UserError) as caught:
            models.get(name)
        assert {f"'{name}'", f"'{name.partition(':')[0]}'"} & set(re.findall("'[^']*'", str(caught.value)))


def test_own_model_is_found_by_module_and_function_in_the_current_folder(tmp_path, monkeypatch):
    assert models.get("kerastag.models.mlp:mlp") is models.mlp
    (tmp_path / "my_tagger.py").write_text("def build(schema, statistics):\n    return schema, statistics\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    assert models.get("my_tagger:build")("schema", "statistics") == ("schema", "statistics")


@pytest.mark.parametrize("name", ("os:system", "os:rename", "kerastag:load", "keras:Model", "builtins:exec", "keras:version"))
def test_nothing_is_called_that_was_not_written_to_be_a_model(name):
    with pytest.raises(UserError, match=f"'{name}' is no function whose first arguments are called 'schema' and 'statistics'"):
        models.get(name)


@pytest.mark.parametrize("name", KINDS)
def test_a_tagger_of_some_inputs_sees_no_others(dataset, name, tmp_path, jets):
    inputs = ("jet", "track:2")
    model = models.build(name, dataset.schema, dataset.statistics, inputs)
    x = jets[0].numpy()
    seen = np.isin(dataset.schema.names, dataset.schema.restricted(inputs).names)
    assert seen.sum() == 10 + 2 * 28
    others = np.where(seen, x, np.random.default_rng(0).normal(size=x.shape)).astype(np.float32)
    np.testing.assert_array_equal(model(others), model(x))
    assert (model(np.where(seen, dataset.schema.defaults, x)).numpy() != model(x).numpy()).any()
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), model(x))


def test_all_inputs_give_the_model_itself(dataset):
    model = models.build("paper_mlp", dataset.schema, dataset.statistics, ("jet", "vertex", "track"))
    assert model.count_params() == 59_203 and model.layers[1].name == "mended"
