"""RobustParTAK4 beyond what every legacy tagger is tested for in `test_parity`."""

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from kerastag import legacy
from kerastag import schema as schemas
from kerastag.attacks import FGSM, PGD, ThreatModel
from kerastag.errors import UserError
from kerastag.legacy import particle_transformer_ak4
from kerastag.saving import taggers
from kerastag.schema import PARTICLE_TRANSFORMER_AK4 as SCHEMA
from tests.legacy.conftest import WEIGHTS, needs_weights, particle_transformer_jets
from tests.models import checks

pytestmark = needs_weights
NAMES = ("RobustParTAK4-nominal", "RobustParTAK4-ngm")
_FACTORS = (np.float32(1 + 2**-8), np.float32(1 - 2**-8))


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    """The tagger, and its features."""
    return legacy.load(request.param, WEIGHTS), particle_transformer_jets(request.param)


def slots(x: np.ndarray) -> list[np.ndarray]:
    """Views of features by group, `(jets, variables, slots)`."""
    views, first = [], 0
    for group in SCHEMA.groups:
        width = len(group.variables) * group.slots
        views.append(x[:, first : first + width].reshape(len(x), -1, group.slots))
        first += width
    return views


def probabilities(tagger, x):
    return tf.nn.softmax(tagger(x)).numpy()


def robust_part_original(name, x):
    """Probabilities of the ONNX file."""
    views = [view.transpose(0, 2, 1) for view in slots(x)]
    arrays = [view[..., :-4] for view in views] + [view[..., -4:] for view in views]
    session = onnxruntime.InferenceSession(WEIGHTS / legacy.get(name).path, providers=["CPUExecutionProvider"])
    return session.run(None, {f"input_{number}": values for number, values in enumerate(arrays, start=1)})[0]


def test_it_has_all_numbers_of_the_file(case):
    tagger, _ = case
    assert tagger.count_params() == 895_670


def test_order_of_objects_does_not_matter(case):
    tagger, x = case
    x = x[:100]
    shuffled = x.copy()
    generator = np.random.default_rng(0)
    for view in slots(shuffled):
        for jet in view:
            jet[:] = jet[:, generator.permutation(jet.shape[1])]
    assert (shuffled != x).mean() > 0.3
    expected = np.asarray(tagger(x))
    change = checks.Change(float(abs(np.asarray(tagger(shuffled)) - expected).max()), float(abs(expected).max()))
    checks.check_change(change, tagger, "objects of each jet in another order")


def test_empty_slots_do_not_matter(case):
    """A jet of a batch with longer jets gets what it gets alone from the original, which is given no empty slots at all.

    The original gives probabilities, so their logarithms are compared, which are logits but for what all of them share.
    """
    tagger, x = case
    session = onnxruntime.InferenceSession(WEIGHTS / legacy.get(tagger.name).path, providers=["CPUExecutionProvider"])
    found, largest = tf.nn.log_softmax(tagger(x)).numpy(), 0.0
    for jet in (0, 1, 2, 3, -3, -1):
        views = [view[jet].T for view in slots(x)]
        filled = [view[: max(1, np.count_nonzero(view[:, -1]))][None] for view in views]
        arrays = [view[..., :-4] for view in filled] + [view[..., -4:] for view in filled]
        expected = session.run(None, {f"input_{number}": values for number, values in enumerate(arrays, start=1)})[0][0]
        largest = max(largest, abs(found[jet] - np.log(expected)).max())
    print(f"{tagger.name}: without empty slots the original's logarithms are {largest:.1e} from ours of {abs(found).max():.2g}")
    assert largest < 1e-5


def test_what_is_in_an_empty_slot_does_not_matter(case):
    tagger, x = case
    filled = x.copy()
    for view in slots(filled):
        view[:, :-4] = np.where(view[:, -4:-3] == 0, 7, view[:, :-4])
    assert (filled != x).any()
    np.testing.assert_allclose(tagger(filled), tagger(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("component", (1e-10, 1e-20, 3e-23, 1e-30))
def test_objects_of_hardly_any_transverse_momentum_count_as_in_the_original(case, component):
    """Their squares are 0 in float32, so that they are there and have no pairs."""
    tagger, x = case
    x = x[60:110].copy()
    for view in slots(x):
        view[:, -4:-2, 1] = component
    np.testing.assert_allclose(probabilities(tagger, x), robust_part_original(tagger.name, x), atol=1e-5)
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        score = tf.reduce_sum(tf.nn.log_softmax(tagger(inputs))[:, 0])
    assert np.isfinite(tape.gradient(score, inputs)).all()


def test_jets_without_objects_get_finite_logits(case):
    """The original gives NaN for them, and their record says that CMS gives no answer."""
    tagger, x = case
    empty = np.zeros_like(x[:2])
    assert np.isfinite(tagger(empty)).all()
    np.testing.assert_allclose(tagger(np.concatenate([x[:3], empty]))[:3], tagger(x[:3]), atol=1e-4)
    record = legacy.get(tagger.name)
    assert not record.answered(empty).any() and record.answered(x).all() and record.unanswered(x) == ""
    assert record.unanswered(np.concatenate([x[:6], empty])).startswith("CMS gives no answer for 25.0% of these jets")


def test_every_continuous_input_moves_the_logits(case):
    tagger, x = case
    inputs = tf.constant(x[95:110])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        score = tf.reduce_sum(tf.nn.log_softmax(tagger(inputs))[:, 0])
    gradient = tape.gradient(score, inputs).numpy()
    assert np.isfinite(gradient).all()
    assert (abs(gradient).max(axis=0) > 0)[~SCHEMA.integer].all()


def test_gradients_of_four_vectors_are_differences_of_the_original(case):
    """Along a change of all momenta by a factor, of objects so heavy that rounding does not make up the masses of pairs."""
    tagger, x = case
    energies = [feature.variable.endswith("_e") for feature in SCHEMA.features]
    x = np.where(energies, 1.1 * x[100:108], x[100:108]).astype(np.float32)
    columns = np.array([feature.variable.endswith(("_px", "_py", "_pz", "_e")) for feature in SCHEMA.features])
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        score = tf.reduce_sum(tf.nn.log_softmax(tagger(inputs))[:, 0])
    slope = (tape.gradient(score, inputs).numpy().astype(np.float64) * x)[:, columns].sum(axis=1)
    up, down = (np.log(robust_part_original(tagger.name, np.where(columns, factor * x, x))[:, 0]) for factor in _FACTORS)
    np.testing.assert_allclose(slope, (up - down) / (_FACTORS[0] - _FACTORS[1]), rtol=0.02, atol=5e-3)


def test_attacked_four_vectors_are_those_of_the_same_object(case):
    """They keep direction and mass, but for a factor, and stay inside the box."""
    tagger, x = case
    x = x[96:128]
    scale = np.maximum(x.std(axis=0), 1e-3)
    threat_model = ThreatModel.from_schema(SCHEMA, scale, epsilon=0.05, relative_cap=0.2)
    clean, y = tf.constant(x), tf.one_hot(np.arange(len(x)) % 3, 3)
    for attack in (FGSM(threat_model), PGD(threat_model, steps=3)):
        attacked = attack(tagger, clean, y).numpy()
        assert (abs(attacked - x) <= np.minimum(0.05 * scale, 0.2 * abs(x)) + 1e-5 * abs(x)).all()
        moved = 0
        for old, new in zip(slots(x), slots(attacked), strict=True):
            exists = old[:, -1] > 0
            ratio = (new[:, -4:] / np.where(old[:, -4:] == 0, 1, old[:, -4:])).transpose(0, 2, 1)[exists]
            np.testing.assert_allclose(ratio, np.repeat(ratio[:, 3:], 4, axis=1), rtol=1e-5)
            moved += (ratio[:, 3] != 1).sum()
        assert moved > 100
        assert int(attack.nonfinite_gradients) == 0


def test_training_is_part_of_the_name_or_an_argument():
    assert legacy.get("RobustParTAK4", "ngm") is legacy.get("RobustParTAK4-ngm")
    assert legacy.get("RobustParTAK4") is legacy.get("RobustParTAK4", "nominal") is legacy.get("RobustParTAK4-nominal")
    with pytest.raises(UserError, match="no legacy tagger 'RobustParTAK4-pgd'; the nearest are 'RobustParTAK4-"):
        legacy.get("RobustParTAK4", "pgd")
    with pytest.raises(UserError, match="no legacy tagger 'DeepCSV-ngm'"):
        legacy.load("DeepCSV", WEIGHTS, training="ngm")


def test_commands_take_both_trainings(monkeypatch):
    monkeypatch.setenv("KERASTAG_WEIGHTS", str(WEIGHTS))
    nominal, adversarial = taggers.find_all(NAMES)
    assert (nominal.name, adversarial.name) == NAMES
    assert nominal.schema is adversarial.schema is SCHEMA
    x = particle_transformer_jets(NAMES[0])[:8]
    (bare,) = taggers.find_all(["RobustParTAK4"])
    assert bare.name == "RobustParTAK4" and bare.record is nominal.record and taggers.inputs_of("RobustParTAK4") is SCHEMA
    assert abs(probabilities(nominal.model, x) - probabilities(adversarial.model, x)).max() > 0.01


def test_jets_of_btvnano_are_scored(monkeypatch):
    monkeypatch.setenv("KERASTAG_WEIGHTS", str(WEIGHTS))
    schema = schemas.get("btvnano")
    taggers.check_inputs(taggers.load("RobustParTAK4", schema), schema)


def test_wrong_files_are_refused(tmp_path):
    classes = legacy.get(NAMES[0]).classes
    (tmp_path / "damaged.onnx").write_bytes(b"\xff\xff\xff")
    with pytest.raises(UserError, match=r"damaged\.onnx' is not an ONNX file, or it is damaged"):
        particle_transformer_ak4.build(tmp_path / "damaged.onnx", classes, "tagger")
    other = WEIGHTS / "DeepFlavourV03_10X_training" / "model.onnx"
    with pytest.raises(UserError, match=r"is another network: float32 'InputProcess\.cpf_bn0\.weight' .* is missing"):
        particle_transformer_ak4.build(other, classes, "tagger")
    (tmp_path / "RobustParTAK4").mkdir()
    (tmp_path / "RobustParTAK4" / "ngm.onnx").write_bytes((WEIGHTS / "RobustParTAK4" / "nominal.onnx").read_bytes())
    with pytest.raises(UserError, match=r"ngm\.onnx' is truncated: it has 3,779,842 of 3,780,300 bytes"):
        legacy.load(NAMES[1], tmp_path)
