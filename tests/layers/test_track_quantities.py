import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastag.layers.track_quantities import TrackQuantities
from kerastag.schema import DEEPNTUPLE, JET_FLAVOR
from tfds_jets import reading
from tfds_jets.tfds_jets_dataset_builder import SAMPLE_FILE


@pytest.fixture(scope="module")
def features():
    """The first 500 simulated jets."""
    chunks = reading.read([reading.RootFile.of(SAMPLE_FILE)], JET_FLAVOR, "", reading.Cleaning.none(JET_FLAVOR))
    return next(chunks).features[:500]


@pytest.fixture(scope="module")
def layer():
    return TrackQuantities.from_schema(JET_FLAVOR)


def column(features, slot, name):
    return features[:, JET_FLAVOR.index(f"track_{slot}_{name}")].astype(np.float64)


def test_quantities_are_those_of_numpy(features, layer):
    quantities = layer(features).numpy().reshape(len(features), 5, 6)
    jet_eta = features[:, JET_FLAVOR.index("jet_eta")].astype(np.float64)
    for slot in (0, 3, 5):
        exists = column(features, slot, "D0D0") > 0
        d0, z0, phi = (column(features, slot, name)[exists] for name in ("D0", "Z0", "PHI"))
        s_d0 = d0 / np.sqrt(np.maximum(column(features, slot, "D0D0")[exists], 0.005**2))
        s_z0 = z0 / np.sqrt(np.maximum(column(features, slot, "Z0Z0")[exists], 0.030**2))
        theta = column(features, slot, "THETA")[exists] + 2 * np.arctan(np.exp(-jet_eta[exists]))
        eta = np.arctanh(np.cos(theta))
        pt = np.sin(theta) / np.abs(column(features, slot, "QOVERP")[exists])
        expected = [
            np.sign(d0 * phi) * np.log1p(np.abs(s_d0)),
            np.log1p(np.abs(s_d0)),
            np.log1p(np.abs(s_z0)),
            np.log(pt),
            5 * np.hypot(phi, eta - jet_eta[exists]),
        ]
        np.testing.assert_allclose(quantities[exists, :, slot].T, expected, rtol=2e-3, atol=2e-3)
        assert (pt > 0.45).all(), "tracks were selected above 0.5 GeV"


def test_absent_tracks_have_zeros_and_finite_gradients(features, layer):
    x = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(x)
        quantities = layer(x)
    gradient = tape.gradient(quantities, x).numpy()
    absent = column(features, 5, "D0D0") == 0
    assert absent.any()
    assert not quantities.numpy().reshape(len(features), 5, 6)[absent, :, 5].any()
    assert np.isfinite(gradient).all()
    assert not gradient[absent][:, JET_FLAVOR.index("track_5_D0")].any()


def test_gradient_of_the_d0_significance_is_a_finite_difference(features, layer):
    track_0_d0 = JET_FLAVOR.index("track_0_D0")
    x = tf.constant(features[:50])
    with tf.GradientTape() as tape:
        tape.watch(x)
        significance = layer(x)[:, 6]
    gradient = tape.gradient(significance, x).numpy()[:, track_0_d0]
    shifted = features[:50].copy()
    shifted[:, track_0_d0] += 1e-4 * np.abs(features[:50, track_0_d0]) + 1e-6
    shift = shifted[:, track_0_d0] - features[:50, track_0_d0]
    expected = (layer(shifted).numpy()[:, 6] - significance.numpy()) / shift
    np.testing.assert_allclose(gradient, expected, rtol=0.05, atol=0.5)


def test_stays_finite_far_outside_physics(features, layer):
    """An attack without a cap may make variances negative or tracks parallel to the beam."""
    rng = np.random.default_rng(0)
    x = tf.constant((features + features.std(axis=0) * rng.choice([-1, 1], features.shape)).astype(np.float32))
    assert (x.numpy()[:, JET_FLAVOR.index("track_0_D0D0")] < 0).any()
    with tf.GradientTape() as tape:
        tape.watch(x)
        quantities = layer(x)
    assert np.isfinite(quantities).all()
    assert np.isfinite(tape.gradient(quantities, x)).all()


def test_config_round_trip(features, layer):
    restored = TrackQuantities.from_config(layer.get_config())
    np.testing.assert_array_equal(restored(features), layer(features))
    inputs = keras.Input((184,))
    assert keras.Model(inputs, layer(inputs)).output_shape == (None, 30)


def test_only_schemas_with_helices_have_any():
    assert DEEPNTUPLE.helix_features == {}
    assert JET_FLAVOR.helix_features["phi"][5] == "track_5_PHI"
