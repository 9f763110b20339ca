import itertools
import json

import numpy as np
import pytest

import kerastag
from kerastag import legacy
from kerastag.errors import UserError
from kerastag.layers.class_logits import class_names

FUNCTIONS = {
    "rectified": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "elu": lambda z, alpha=1.0: np.where(z > 0, z, alpha * np.expm1(z)),
    "linear": lambda z: z,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
}


def make_network(
    last="softmax", outputs=("probb", "probc", "probudsg"), hidden=("rectified", "sigmoid", "tanh", "elu", "linear")
):
    """A network with every kind of layer and an elu with an alpha."""
    generator = np.random.default_rng(0)
    widths = [4, *range(5, 5 + len(hidden)), len(outputs)]
    layers = [{"architecture": "normalization", "weights": [1, 2, 0.5, 1], "bias": [0.1, 0, -0.2, 0.3], "activation": "linear"}]
    for (inputs, units), activation in zip(itertools.pairwise(widths), [*hidden, last], strict=True):
        if activation == "elu":
            activation = {"function": "elu", "alpha": 0.7}
        weights = generator.normal(size=(units, inputs)).ravel().tolist()
        bias = generator.normal(size=units).tolist()
        layers.append({"architecture": "dense", "weights": weights, "bias": bias, "activation": activation})
    return {
        "inputs": [{"name": f"x{number}", "offset": 0.5 - number, "scale": 1 / (1 + number)} for number in range(4)],
        "defaults": {"x1": -3.0},
        "layers": layers,
        "outputs": list(outputs),
    }


def formula(network: dict, x: np.ndarray) -> np.ndarray:
    """Outputs by lwtnn's formula, in float64."""
    x = x.astype(np.float64)
    for column, entry in enumerate(network["inputs"]):
        values = np.where(np.isfinite(x[:, column]), x[:, column], network["defaults"].get(entry["name"], np.nan))
        x[:, column] = (values + entry["offset"]) * entry["scale"]
    for layer in network["layers"]:
        if layer["architecture"] == "normalization":
            x = (x + layer["bias"]) * layer["weights"]
            continue
        x = x @ np.reshape(layer["weights"], (len(layer["bias"]), -1)).T + layer["bias"]
        activation = layer["activation"]
        x = FUNCTIONS["elu"](x, activation["alpha"]) if isinstance(activation, dict) else FUNCTIONS[activation](x)
    return x


def write(path, network):
    path.write_text(json.dumps(network))
    return path


@pytest.fixture
def x():
    values = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    values[:3, 1] = np.nan, np.inf, -np.inf
    return values


def test_every_layer_is_lwtnns_formula(tmp_path, x):
    network = make_network()
    tagger = legacy.from_lwtnn(write(tmp_path / "toy.json", network))
    logits = tagger(x).numpy().astype(np.float64)
    np.testing.assert_allclose(FUNCTIONS["softmax"](logits), formula(network, x), atol=5e-6)
    assert class_names(tagger) == ("b", "c", "udsg")
    assert tagger.get_layer("inputs").names == ("x0", "x1", "x2", "x3")
    tagger.save(tmp_path / "toy.keras")
    np.testing.assert_array_equal(kerastag.load(tmp_path / "toy.keras")(x), tagger(x))


def test_linear_outputs_are_logits(tmp_path, x):
    network = make_network(last="linear")
    np.testing.assert_allclose(legacy.from_lwtnn(write(tmp_path / "toy.json", network))(x), formula(network, x), atol=1e-5)


def test_single_sigmoid_becomes_two_classes(tmp_path, x):
    network = make_network(last="sigmoid", outputs=("probb",))
    tagger = legacy.from_lwtnn(write(tmp_path / "toy.json", network))
    assert class_names(tagger) == ("not b", "b")
    probabilities = FUNCTIONS["softmax"](tagger(x).numpy().astype(np.float64))
    np.testing.assert_allclose(probabilities[:, 1:], formula(network, x), atol=5e-6)


def test_input_without_default_stays_nan(tmp_path, x):
    x[0, 0] = np.nan
    tagger = legacy.from_lwtnn(write(tmp_path / "toy.json", make_network()))
    assert np.isnan(tagger(x)[0]).all()
    assert np.isfinite(tagger(x)[1:]).all()


def broken(change):
    network = make_network()
    change(network)
    return network


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n["layers"][1]["weights"].pop(), "there are 19 weights of layer 1 where 20 are needed"),
        (lambda n: n["layers"][2]["bias"].append(0.0), "weights of layer 2 where 35 are needed"),
        (lambda n: n["layers"][0]["bias"].pop(), "layer 0 normalises 3 of 4 values"),
        (lambda n: n["layers"][1].update(architecture="maxout"), "layer 1 is of the kind 'maxout'"),
        (lambda n: n["layers"][1].update(activation="swish"), "layer 1 has the activation 'swish'; known are rectified"),
        (lambda n: n["layers"][1].update(activation="softmax"), "softmax before the last layer"),
        (lambda n: n["layers"][1]["weights"].__setitem__(0, float("nan")), "some weights of layer 1 are not finite"),
        (lambda n: n["outputs"].pop(), "its last layer has 3 outputs, but 2 are named"),
        (lambda n: n["inputs"][1].update(name="x0"), "its inputs do not have unique names"),
        (lambda n: n["inputs"][1].pop("scale"), "KeyError 'scale'"),
        (lambda n: n.pop("layers"), "KeyError 'layers'"),
        (lambda n: n["layers"][-1].update(activation="tanh"), "pass 'tanh', so they are not the probabilities"),
    ],
)
def test_invalid_network_is_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        legacy.from_lwtnn(write(tmp_path / "toy.json", broken(change)))


@pytest.mark.parametrize("text", ["{", "[1]", "7", '{"inputs": 1}', "\xff", "[" * 100_000])
def test_file_without_a_network_is_refused(tmp_path, text):
    (tmp_path / "toy.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"toy\.json' is not"):
        legacy.from_lwtnn(tmp_path / "toy.json")


def test_huge_file_is_not_read(tmp_path):
    with (tmp_path / "toy.json").open("wb") as stream:
        stream.truncate(10**9)
    with pytest.raises(UserError, match="1,000,000,000 bytes"):
        legacy.from_lwtnn(tmp_path / "toy.json")
    with pytest.raises(UserError, match="cannot be read"):
        legacy.from_lwtnn(tmp_path / "missing.json")
