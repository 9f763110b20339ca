import dataclasses
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.errors import UserError
from kerastag.layers.class_logits import ClassLogits
from kerastag.saving.onnx import export_onnx, parity
from kerastag.saving.saved_model import export
from tests.toy import TOY

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def test_every_format_gives_the_same_probabilities(dataset, tagger, tmp_path):
    x = dataset.arrays("test").features
    export(tagger, dataset.schema, dataset.statistics, tmp_path / "saved_model")
    export_onnx(tagger, dataset.schema, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    logits, probabilities = session.run(["logits", "probabilities"], {"features": x})
    expected = tagger(x).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5 * abs(expected).max())
    np.testing.assert_allclose(probabilities, tf.nn.softmax(expected), atol=1e-6)
    (one,) = session.run(["logits"], {"features": x[:1]})
    np.testing.assert_allclose(one, expected[:1], atol=1e-5 * abs(expected).max())
    assert max(parity(tagger, tmp_path / "saved_model", tmp_path / "model.onnx", x).values()) < 1e-6


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_constants_of_layers_are_no_inputs(tmp_path):
    """`Normalization` keeps its means beside the graph."""
    x = np.random.default_rng(0).normal(3, 2, (50, 20)).astype(np.float32)
    scaled = keras.layers.Normalization()
    scaled.adapt(x)
    inputs = keras.Input((20,))
    tagger = keras.Model(inputs, keras.layers.Dense(3)(scaled(inputs)))
    export_onnx(tagger, TOY, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [value.name for value in session.get_inputs()] == ["features"]
    kernel, bias = tagger.layers[-1].get_weights()
    expected = (x - x.mean(axis=0)) / x.std(axis=0) @ kernel + bias
    np.testing.assert_allclose(session.run(["logits"], {"features": x})[0], expected, atol=1e-4)


def test_parity_sees_a_wrong_export(dataset, tagger, tmp_path):
    x = dataset.arrays("test").features
    export(tagger, dataset.schema, dataset.statistics, tmp_path / "saved_model")
    export_onnx(tagger, dataset.schema, tmp_path / "model.onnx")
    tagger.layers[-1].bias.assign([0.5, 0.0, 0.0])
    assert min(parity(tagger, tmp_path / "saved_model", tmp_path / "model.onnx", x).values()) > 0.01


def test_names_travel_along(dataset, tagger, tmp_path):
    fine = keras.Model(tagger.input, ClassLogits(("b", "bb", "udsg"))(tagger.output))
    export_onnx(fine, dataset.schema, tmp_path / "model.onnx")
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(metadata["features"]) == list(dataset.schema.names)
    assert json.loads(metadata["classes"]) == ["b", "bb", "udsg"]
    assert metadata["schema"] == "jet_flavor"
    backwards = dataclasses.replace(dataset.schema, classes=dataset.schema.classes[::-1])
    export_onnx(tagger, backwards, tmp_path / "backwards.onnx")
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "backwards.onnx").metadata_props}
    assert json.loads(metadata["classes"]) == ["light", "c", "b"]


def test_missing_extra_is_said(dataset, tagger, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r"tf2onnx is missing.*extra 'onnx'"):
        export_onnx(tagger, dataset.schema, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
