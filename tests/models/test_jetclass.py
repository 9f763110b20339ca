"""Published networks behind the layer that makes their inputs of raw features of JetClass."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag import models
from kerastag import schema as schemas
from kerastag.attacks import FGSM, ThreatModel
from kerastag.errors import UserError
from kerastag.layers import JetClassInputs, PairFeatures
from kerastag.schema import JET_FLAVOR
from tests.models import checks
from tests.models.test_published import GOLDEN, NETWORKS

SCHEMA = schemas.get("jetclass")
SLOTS = 32
FLAGS = ("charged_hadron", "neutral_hadron", "photon", "electron", "muon")
needs_weights = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the published weights are not part of the repository")


def jets(number: int = 40, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What JetClass stores of jets, float64, particles `(jets, 32)`, and the features of the schema, float32.

    Slots beyond the number of particles are empty; neutral particles have no displacement.
    """
    generator = np.random.default_rng(seed)
    shape = (number, SLOTS)
    jet_eta, jet_phi = generator.uniform(-1.8, 1.8, number), generator.uniform(-np.pi, np.pi, number)
    width = np.where(np.arange(number) == 2, 1.0, 0.2)[:, None]  # of one jet so wide that ΔR is clipped
    eta, phi = (axis[:, None] + width * generator.normal(size=shape) for axis in (jet_eta, jet_phi))
    pt = np.sort(np.exp(generator.normal(1.5, 1.3, shape)))[:, ::-1]
    energy = np.hypot(pt * np.cosh(eta), generator.choice((0.0, 0.14, 0.5), shape))
    kind, size = generator.integers(0, 5, shape), np.where(np.arange(number) == 0, 1, generator.integers(1, SLOTS + 1, number))
    charged = np.isin(kind, (0, 3, 4))
    stored = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "energy": energy,
        "delta_eta": np.where(jet_eta > 0, 1, -1)[:, None] * (eta - jet_eta[:, None]),
        "delta_phi": phi - jet_phi[:, None],
        "charge": np.where(charged, generator.choice((-1.0, 1.0), shape), 0.0),
        "there": np.arange(SLOTS) < size[:, None],
        "jet_eta": jet_eta,
        "jet_pt": generator.uniform(500, 1000, number),
        "jet_energy": generator.uniform(800, 3000, number),
    }
    stored |= {name: generator.normal(0, 2, shape) * charged for name in ("d0", "dz")}
    stored |= {name: np.exp(generator.normal(-1.5, 2, shape)) * charged for name in ("d0_error", "dz_error")}
    stored |= {name: (kind == value).astype(float) for value, name in enumerate(FLAGS)}
    return stored, features(stored)


def features(stored: dict[str, np.ndarray]) -> np.ndarray:
    x = np.tile(SCHEMA.defaults, (len(stored["jet_pt"]), 1)).astype(np.float32)
    for name in ("pt", "eta", "energy"):
        x[:, SCHEMA.index(name)] = stored[f"jet_{name}"]
    x[:, SCHEMA.index("n_particles")] = stored["there"].sum(axis=1)
    columns = stored | {"pt": np.hypot(stored["px"], stored["py"])}
    for column, feature in enumerate(SCHEMA.features):
        if feature.slot is not None:
            values, there = columns[feature.variable.removeprefix("particle_")], stored["there"]
            x[:, column] = np.where(there[:, feature.slot], values[:, feature.slot], x[:, column])
    return x


def expected_features(stored: dict[str, np.ndarray], channels: int) -> np.ndarray:
    """By the formulas of the authors' configuration, in its order, `(jets, 32, channels)`; 0 in empty slots."""
    pt = np.hypot(stored["px"], stored["py"])
    standardised = [
        (np.log(pt) - 1.7) * 0.7,
        (np.log(stored["energy"]) - 2.0) * 0.7,
        (np.log(pt / stored["jet_pt"][:, None]) + 4.7) * 0.7,
        (np.log(stored["energy"] / stored["jet_energy"][:, None]) + 4.7) * 0.7,
        (np.hypot(stored["delta_eta"], stored["delta_phi"]) - 0.2) * 4,
    ]
    columns = [np.clip(values, -5, 5) for values in standardised]
    if channels > 7:
        columns += [stored[name] for name in ("charge", *FLAGS)]
    if channels > 13:
        columns += [np.tanh(stored["d0"]), np.clip(stored["d0_error"], 0, 1)]
        columns += [np.tanh(stored["dz"]), np.clip(stored["dz_error"], 0, 1)]
    columns += [stored["delta_eta"], stored["delta_phi"]]
    return np.where(stored["there"][..., None], np.stack(columns, axis=-1), 0)


def made(x: np.ndarray, stored: dict[str, np.ndarray], channels: int = 17) -> dict[str, np.ndarray]:
    """What the layer makes, after its config and back."""
    layer = JetClassInputs.from_schema(SCHEMA, channels)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    return {name: np.asarray(values) for name, values in again(x, stored["there"].astype(np.float32)).items()}


@pytest.mark.parametrize("channels", (7, 13, 17))
def test_features_are_those_of_the_authors(channels):
    stored, x = jets()
    inputs = made(x, stored, channels)
    expected = expected_features(stored, channels)
    assert (abs(expected) == 5).any(), "no jet reaches the limits"
    np.testing.assert_allclose(inputs["features"], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(inputs["mask"][..., 0], stored["there"])
    np.testing.assert_allclose(inputs["points"], expected[..., -2:], atol=1e-6)


def test_what_is_absent_of_a_particle_counts_as_nothing():
    stored, x = jets()
    for name in ("d0", "d0_error", "dz", "dz_error"):
        column = SCHEMA.index(f"particle_0_{name}")
        x[:, column], stored[name][:, 0] = SCHEMA.defaults[column], 0.0
    np.testing.assert_allclose(made(x, stored)["features"], expected_features(stored, 17), rtol=1e-5, atol=1e-5)


def test_four_vectors_are_those_of_the_file_but_for_a_rotation_and_a_mirror():
    """They have the same energies, and pairs the same kT, z and ΔR; of heavy particles, whose m² is not rounding, m² too."""
    stored, _ = jets()
    stored["energy"] = stored["energy"] + np.hypot(stored["px"], stored["py"])
    stored["there"] = np.ones_like(stored["there"])
    vectors = made(features(stored), stored)["vectors"]
    theirs = np.stack([stored[name] for name in ("px", "py", "pz", "energy")], axis=-1)
    np.testing.assert_allclose(vectors[..., 3], theirs[..., 3], rtol=1e-6)
    np.testing.assert_allclose(
        abs(vectors[..., 0] + 1j * vectors[..., 1]), abs(theirs[..., 0] + 1j * theirs[..., 1]), rtol=1e-5
    )
    others = ~np.eye(SLOTS, dtype=bool)
    pairs, expected = (PairFeatures()(tf.constant(values, tf.float32)).numpy()[:, others] for values in (vectors, theirs))
    np.testing.assert_allclose(pairs, expected, atol=2e-3)


@needs_weights
@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks_give_what_they_give_to_inputs_made_by_hand(name):
    stored, x = jets()
    tagger, network = models.published_tagger(GOLDEN / f"{name}.npz", SCHEMA), models.published(GOLDEN / f"{name}.npz", SLOTS)
    channels = network.input["features"].shape[-1]
    given = {"features": expected_features(stored, channels), "mask": stored["there"][..., None]}
    given["points"] = given["features"][..., -2:]
    given["vectors"] = made(x, stored)["vectors"]
    expected = network({key: tf.constant(given[key], tf.float32) for key in network.input}).numpy()
    # The Particle Transformer sees how energies and momenta of light particles are rounded.
    np.testing.assert_allclose(tagger(x), expected, rtol=0, atol=1e-4 * abs(expected).max())


@needs_weights
@pytest.mark.parametrize("name", ("particle_net_full", "particle_transformer_small"))
def test_published_networks_are_attacked_from_raw_features(name):
    _, x = jets()
    x[1] = SCHEMA.defaults
    tagger, y = models.published_tagger(GOLDEN / f"{name}.npz", SCHEMA), tf.one_hot(np.arange(len(x)) % 10, 10)
    scale = np.maximum(x.std(axis=0), 1e-3)
    threat_model = ThreatModel.from_schema(SCHEMA, scale, epsilon=0.05)
    attack = FGSM(threat_model)
    attacked = attack(tagger, tf.constant(x), y).numpy()
    frozen = ~np.asarray(threat_model.moves(tf.constant(x)))
    flags = [column for column, feature in enumerate(SCHEMA.features) if feature.integer]
    assert frozen[:, flags].all() and frozen[1].all()
    np.testing.assert_array_equal(attacked[frozen], x[frozen])
    moved = abs(np.asarray(tagger(attacked)) - np.asarray(tagger(x))).max(axis=1)
    assert int(attack.nonfinite_gradients) == 0
    assert moved[1] == 0 and np.median(moved) > 1e-2
    for group in ("pt", "d0") if name == "particle_net_full" else ("pt",):
        columns = [SCHEMA.index(f"particle_0_{group}")]
        assert (attacked[:, columns] != x[:, columns]).any()


@needs_weights
@pytest.mark.slow
def test_the_tagger_is_stored_and_read_as_any_other(tmp_path):
    _, x = jets()
    tagger = models.published_tagger(GOLDEN / "particle_net_full.npz", SCHEMA)
    checks.check_logits(tagger, x, SCHEMA)
    checks.check_stored(tagger, x, SCHEMA, tmp_path)


@needs_weights
def test_schemas_that_lack_something_are_refused():
    weights = GOLDEN / "particle_net_full.npz"
    particle = SCHEMA.groups[1]
    without = dataclasses.replace(particle, variables=tuple(v for v in particle.variables if not v.name.endswith("_dz")))
    for schema, sentence in (
        (JET_FLAVOR, "The schema jet_flavor has no 'pt'"),
        (dataclasses.replace(SCHEMA, groups=(SCHEMA.groups[0], without)), "has no 'particle_0_dz', which networks of JetClass"),
        (dataclasses.replace(SCHEMA, classes=SCHEMA.classes[:3]), "has 10 logits, but jetclass has 3 classes"),
    ):
        with pytest.raises(UserError, match=sentence):
            models.published_tagger(weights, schema)
    for neighbours in (0, -1, 2.5):
        with pytest.raises(UserError, match="'neighbours' must be a whole number above 0"):
            models.published_tagger(weights, SCHEMA, neighbours)
    with pytest.raises(UserError, match="take 7, 13 or 17 features of a particle, not 4"):
        JetClassInputs.from_schema(SCHEMA, 4)
