"""Each legacy tagger against an independent run of the original file."""

import json

import h5py
import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

import kerastag
from kerastag import legacy
from kerastag.attacks import FGSM, PGD, ThreatModel
from kerastag.layers.class_logits import by_flavour, class_names
from kerastag.saving.saved_model import export
from kerastag.statistics import Statistics
from tests.legacy.conftest import WEIGHTS, flat, needs_weights, particle_transformer_jets, toy_inputs
from tests.models import checks

pytestmark = needs_weights
NAMES = ("DeepCSV", "DeepFlavour", "DeepDoubleBvL", "RobustParTAK4-nominal", "RobustParTAK4-ngm")
ONNX = {"DeepFlavour": "DeepFlavourV03_10X_training/model.onnx", "DeepDoubleBvL": "DeepDoubleX/102X/V02/BvL.onnx"}
# Where each network has the schema that its slots are of.
LONGER = {
    "DeepFlavour": ("deep_flavour", "DEEPFLAVOUR"),
    "DeepDoubleBvL": ("deep_double_x", "_SCHEMA"),
    "RobustParTAK4": ("particle_transformer_ak4", "PARTICLE_TRANSFORMER_AK4"),
}


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def deepcsv_features(jets: int = 400, seed: int = 3) -> np.ndarray:
    """Features with the mean and σ of the network, a quarter absent; the last three jets are absent, far out, and 0."""
    content = json.loads((WEIGHTS / "DeepCSV_PhaseI.json").read_text())
    schema = legacy.get("DeepCSV").schema
    offset, scale = (np.array([entry[key] for entry in content["inputs"]]) for key in ("offset", "scale"))
    generator = np.random.default_rng(seed)
    x = -offset + generator.normal(size=(jets, 66)) / scale
    x[:, schema.integer] = np.rint(abs(x[:, schema.integer]))
    x = np.where(generator.random(x.shape) < 0.25, schema.defaults, x)
    x[-3], x[-1] = schema.defaults, 0
    x[-2] = -offset + 10 * generator.normal(size=66) / scale
    return x.astype(np.float32)


def deepcsv_original(x: np.ndarray) -> np.ndarray:
    """Probabilities by lwtnn's formula in float64; absent values are 0, except those above charm."""
    content = json.loads((WEIGHTS / "DeepCSV_PhaseI.json").read_text())
    schema = legacy.get("DeepCSV").schema
    above_charm = np.array(["AboveCharm" in name for name in schema.names])
    x = np.where((x == schema.defaults) & ~above_charm, 0, x).astype(np.float64)
    x = (x + [entry["offset"] for entry in content["inputs"]]) * [entry["scale"] for entry in content["inputs"]]
    for layer in content["layers"]:
        x = x @ np.reshape(layer["weights"], (len(layer["bias"]), -1)).T + layer["bias"]
        x = np.maximum(x, 0) if layer["activation"] == "rectified" else softmax(x)
    return x


def features(name: str) -> np.ndarray:
    if name.startswith("RobustParTAK4"):
        return particle_transformer_jets(name)
    return deepcsv_features() if name == "DeepCSV" else flat(toy_inputs(name))


def original(name: str, x: np.ndarray | None = None) -> np.ndarray:
    """Probabilities of the original network on `features(name)`, or on `x`."""
    if name == "DeepCSV":
        return deepcsv_original(features(name) if x is None else x)
    if name.startswith("RobustParTAK4"):
        return robust_part_original(name, features(name) if x is None else x)
    arrays = toy_inputs(name) if x is None else by_group(name, x)
    session = onnxruntime.InferenceSession(WEIGHTS / ONNX[name])
    if name == "DeepFlavour":
        arrays.append(arrays[0][:, :1])
    else:
        arrays[0] = arrays[0][:, None, :]
    return session.run(None, {f"input_{number}": values for number, values in enumerate(arrays, start=1)})[0]


def robust_part_original(name: str, x: np.ndarray) -> np.ndarray:
    """Probabilities of the ONNX file, whose last inputs are the four-vectors of the first."""
    arrays = by_group(name, x)
    arrays = [values[..., :-4] for values in arrays] + [values[..., -4:] for values in arrays]
    session = onnxruntime.InferenceSession(WEIGHTS / legacy.get(name).path, providers=["CPUExecutionProvider"])
    return session.run(None, {f"input_{number}": values for number, values in enumerate(arrays, start=1)})[0]


def by_group(name: str, x: np.ndarray) -> list[np.ndarray]:
    """The inverse of `flat`, for jets that lack nothing."""
    arrays, first = [], 0
    for group in legacy.get(name).schema.groups:
        width = len(group.variables) * (group.slots or 1)
        part = x[:, first : first + width]
        arrays.append(part if group.slots is None else part.reshape(len(x), -1, group.slots).transpose(0, 2, 1).copy())
        first += width
    return arrays


@pytest.mark.parametrize(("name", "parameters"), [("DeepCSV", 47_504), ("DeepFlavour", 268_258), ("DeepDoubleBvL", 57_540)])
def test_taggers_have_as_many_numbers_as_the_files_of_cms(name, parameters):
    """Of DeepFlavour without its regression, which has 20 and is no part of the tagger."""
    assert legacy.load(name, WEIGHTS).count_params() == parameters
    path = WEIGHTS / legacy.get(name).path
    if name == "DeepCSV":
        stored = [len(layer["weights"]) + len(layer["bias"]) for layer in json.loads(path.read_text())["layers"]]
        assert sum(stored) == parameters
    if name == "DeepDoubleBvL":
        stored = []
        with h5py.File(path) as file:
            file["model_weights"].visititems(lambda _, item: stored.append(getattr(item, "size", 0)))
        assert sum(stored) == parameters


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    """Name of a tagger, the tagger, and its features."""
    return request.param, legacy.load(request.param, WEIGHTS), features(request.param)


def test_probabilities_are_those_of_the_original(case):
    name, tagger, x = case
    probabilities, expected = softmax(tagger(x).numpy()), original(name)
    assert np.median(expected.std(axis=0)) > 0.04, "random jets do not exercise the network"
    print(f"{name}: largest difference of probabilities on {len(x)} random jets {abs(probabilities - expected).max():.1e}")
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_order_of_slots_matters_as_in_the_original(case):
    name, tagger, x = case
    x = x[80:180]  # jets that lack nothing
    moved = checks.permuted(x, legacy.get(name).schema, np.random.default_rng(0))
    assert (moved != x).mean() > 0.3
    probabilities = softmax(tagger(moved).numpy())
    np.testing.assert_allclose(probabilities, original(name, moved), atol=1e-5)
    change = checks.change_by_order(tagger, legacy.get(name).schema, x)
    if name.startswith("RobustParTAK4"):
        checks.check_change(change, tagger, "slots in another order")
    else:
        print(f"{name}: slots in another order change logits by {change}")
        assert change.largest > 0.1


def test_more_empty_slots_than_the_original_has(case, monkeypatch):
    """DeepCSV has a weight for each slot, so it cannot have more."""
    name, tagger, x = case
    if name == "DeepCSV":
        pytest.skip("a weight for each slot")
    module, constant = LONGER[name.partition("-")[0]]
    schema, x = legacy.get(name).schema, x[80:180]
    longer = checks.with_more_slots(schema)
    monkeypatch.setattr(f"kerastag.legacy.{module}.{constant}", longer)
    other = legacy.load(name, WEIGHTS)
    assert other.input_shape[-1] == len(longer.features) > tagger.input_shape[-1]
    change = checks.change_by_empty_slots(tagger, other, schema, longer, x)
    if name.startswith("RobustParTAK4"):
        checks.check_change(change, tagger, "three more empty slots a group")
    else:
        print(f"{name}: three more empty slots a group change logits by {change}")
        assert change.largest > 0.1


def test_deepflavour_agrees_with_its_frozen_graph_in_probabilities_and_regression():
    from kerastag.legacy import deep_flavour

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString((WEIGHTS / legacy.get("DeepFlavour").path).read_bytes())
    arrays = toy_inputs("DeepFlavour")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(graph, name="")
        feed = {f"input_{number}:0": values for number, values in enumerate([*arrays, arrays[0][:, :1]], start=1)}
        feed["cpf_input_batchnorm/keras_learning_phase:0"] = False
        expected, regression = session.run(["ID_pred/Softmax:0", "regression_pred/BiasAdd:0"], feed)
    network = deep_flavour.network(WEIGHTS / legacy.get("DeepFlavour").path)
    logits, energy = network(flat(arrays))
    assert network.count_params() == 268_278
    probabilities = softmax(logits.numpy())
    print(
        f"DeepFlavour's frozen graph: {abs(probabilities - expected).max():.1e}, {abs(energy.numpy() - regression).max():.1e}"
    )
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(energy, regression, atol=1e-5)


def test_hard_sigmoid_of_keras_3_changes_the_probabilities():
    """The comparison with the original must be able to see it."""
    tagger = legacy.load("DeepFlavour", WEIGHTS)
    x = features("DeepFlavour")
    right = softmax(tagger(x).numpy())
    for layer in tagger.layers:
        if isinstance(layer, keras.layers.LSTM):
            layer.cell.recurrent_activation = keras.activations.hard_sigmoid
    wrong = softmax(tagger(x).numpy())
    assert abs(wrong - right).max() > 0.01


def test_gradients_are_central_differences_of_the_original(case):
    name, tagger, x = case
    schema = legacy.get(name).schema
    x = x[100:104]
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        score = tf.reduce_sum(tf.nn.log_softmax(tagger(inputs))[:, 0])
    gradient = tape.gradient(score, inputs).numpy()
    # Components of four-vectors make masses, small differences of large numbers, and have no step that is small enough.
    component = [feature.variable.endswith(("_px", "_py", "_pz", "_e")) for feature in schema.features]
    moves = ~schema.integer & ~np.array(component) & (x != schema.defaults).all(axis=0)
    free = np.flatnonzero(moves & (abs(gradient).max(axis=0) > 1e-3))
    largest = free[np.argsort(-abs(gradient * np.maximum(abs(x), 0.1)).max(axis=0)[free])][:12]
    assert len(largest) == min(12, len(free))
    for column in largest:
        # Transformers have no kinks, but bend within a hundredth of a displacement.
        step = (2e-3 if name.startswith("RobustParTAK4") else 1e-2) * np.maximum(abs(x[:, column]), 0.1)
        up, down = x.copy(), x.copy()
        up[:, column] += step
        down[:, column] -= step
        difference = np.log(original(name, up)[:, 0]) - np.log(original(name, down)[:, 0])
        slope = difference / (up[:, column] - down[:, column])
        # Networks of ReLUs have kinks, so not all jets need to agree.
        close = np.isclose(slope, gradient[:, column], rtol=0.05, atol=2e-3 * abs(gradient[:, column]).max())
        assert close.mean() >= 0.5, (name, schema.names[column], slope, gradient[:, column])


def test_gradients_are_finite_for_empty_and_extreme_jets(case):
    _, tagger, x = case
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        score = tf.reduce_sum(tagger(inputs)[:, 0])
    assert np.isfinite(tape.gradient(score, inputs)).all()


def test_attacks_stay_in_their_budget(case):
    name, tagger, x = case
    schema = legacy.get(name).schema
    scale = np.maximum(x.std(axis=0), 1e-3)
    threat_model = ThreatModel.from_schema(schema, scale, epsilon=0.05, relative_cap=0.2)
    columns = len(class_names(tagger)) if name == "DeepDoubleBvL" else 3
    y = tf.one_hot(np.arange(64) % columns, columns)
    clean = tf.constant(x[-64:])
    budget, moves = threat_model.budget(clean).numpy(), threat_model.moves(clean).numpy()
    limit = np.minimum(0.05 * scale, 0.2 * abs(x[-64:]))
    for attack in (FGSM(threat_model), PGD(threat_model, steps=3)):
        attacked = attack(tagger, clean, y).numpy()
        assert (abs(attacked - x[-64:]) <= limit + 1e-5 * abs(x[-64:])).all()
        np.testing.assert_array_equal(attacked[~moves], x[-64:][~moves])
        assert (attacked != x[-64:]).sum() > 0.2 * (budget > 0).sum()
        assert int(attack.nonfinite_gradients) == 0


def test_reloaded_from_keras_file_and_saved_model(case, tmp_path):
    name, tagger, x = case
    if name == "RobustParTAK4-nominal":
        pytest.skip("RobustParTAK4-ngm is the same network")
    schema = legacy.get(name).schema
    tagger.save(tmp_path / "tagger.keras")
    export(tagger, schema, Statistics.of(x, schema.defaults), tmp_path / "saved_model")
    expected = tagger(x).numpy()
    for path in (tmp_path / "tagger.keras", tmp_path / "saved_model"):
        loaded = kerastag.load(path)
        assert class_names(loaded) == legacy.get(name).classes
        np.testing.assert_allclose(loaded(x), expected, atol=1e-5 * abs(expected).max())
        if name != "DeepDoubleBvL":
            assert by_flavour(loaded)(x).shape == (len(x), 3)
    saved = tf.saved_model.load(tmp_path / "saved_model")
    np.testing.assert_allclose(saved.probabilities(x), softmax(expected), atol=1e-5)


def test_tagger_is_frozen(case):
    _, tagger, x = case
    assert not tagger.trainable_variables
    before = [weight.numpy() for weight in tagger.weights]
    np.testing.assert_array_equal(tagger(x, training=True), tagger(x))
    for weight, value in zip(tagger.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.slow
def test_legacy_taggers_pass_the_harness_of_all_models(case, tmp_path):
    name, tagger, x = case
    if name == "RobustParTAK4-nominal":
        pytest.skip("RobustParTAK4-ngm is the same network")
    schema = legacy.get(name).schema
    if name == "RobustParTAK4-ngm":  # full and special jets, of TeV, extremes, and one without any object
        x = np.concatenate([x[:6], x[60:64], x[80:83], x[-3:], np.broadcast_to(schema.defaults, x[:1].shape)])
    checks.check_logits(tagger, x, schema)
    checks.check_gradients(tagger, x, schema)
    checks.check_stored(tagger, x, schema, tmp_path)
