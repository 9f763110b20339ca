"""What symmetries of space and order leave alone: turned and mirrored events, flipped impact parameters, slots in any order."""

import dataclasses

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from kerastag import models
from kerastag.layers import TrackQuantities
from kerastag.schema import JET_FLAVOR, Group, Schema, Variable
from kerastag.simulation.calorimeter import CaloJets
from kerastag.simulation.kinematics import wrapped
from kerastag.simulation.tracking import Tracks
from kerastag.simulation.unit import reconstructed
from kerastag.statistics import Statistics
from tfds_jets import reading
from tfds_jets.tfds_jets_dataset_builder import SAMPLE_FILE

SEEDS = st.integers(0, 2**31 - 1)
# What changes its sign in the order of `helix.PARAMETERS`, d0, z0, φ, θ, q/p, when z does.
ALONG_BEAM = np.array([1, -1, 1, -1, 1])
EVENTS, JETS, TRACKS = 3, 2, 6


def events(seed):
    """Jets and tracks of some events: most tracks come from the origin, some from a point 3 mm along the jet."""
    generator = np.random.default_rng(seed)
    pairs = EVENTS * JETS
    eta, phi = generator.uniform(-1.5, 1.5, pairs), generator.uniform(-np.pi, np.pi, pairs)
    pt = generator.uniform(20, 200, pairs)
    jets = CaloJets(np.repeat(np.arange(EVENTS), JETS), pt, eta, phi, pt)
    jet = np.repeat(np.arange(pairs), TRACKS)
    track_eta, track_phi = eta[jet] + generator.normal(0, 0.1, len(jet)), phi[jet] + generator.normal(0, 0.1, len(jet))
    track_pt = generator.uniform(0.6, 20, len(jet))
    theta = 2 * np.arctan(np.exp(-track_eta))
    lift = np.where(generator.random(len(jet)) < 0.4, 3.0, 0.0) * np.sin(phi[jet] - track_phi)
    sigma = np.array([0.02, 0.05, 1e-3, 1e-3, 1e-3])
    mixed = np.eye(5) + 0.2 * generator.uniform(-1, 1, (len(jet), 5, 5))
    covariance = mixed @ np.swapaxes(mixed, 1, 2) * sigma[:, None] * sigma
    parameters = np.stack([lift, 0 * lift, track_phi, theta, np.sign(lift - 0.01) / track_pt * np.sin(theta)], axis=1)
    parameters[:, :2] += generator.normal(0, sigma[:2], (len(jet), 2))
    return jets, Tracks(jets.event[jet], parameters, covariance, track_pt, track_eta)


def turned(jets, tracks, angle):
    """The same events after a turn about the beam; jets may end on the other side of ±π than their tracks."""
    parameters = tracks.parameters.copy()
    parameters[:, 2] += angle
    return dataclasses.replace(jets, phi=wrapped(jets.phi + angle)), dataclasses.replace(tracks, parameters=parameters)


def mirrored(jets, tracks):
    """The same events with z turned round."""
    parameters = tracks.parameters * ALONG_BEAM
    parameters[:, 3] += np.pi
    covariance = tracks.covariance * ALONG_BEAM[:, None] * ALONG_BEAM
    tracks = dataclasses.replace(tracks, parameters=parameters, covariance=covariance, eta=-tracks.eta)
    return dataclasses.replace(jets, eta=-jets.eta), tracks


def is_odd(name):
    """Whether an input changes its sign with z: η of a jet or to it, z0, θ, and covariances of one of these alone."""
    if name in ("jet_eta", "Jet_eta", "vertex_delta_eta_jet"):
        return True
    return (name.count("Z0") + name.count("THETA")) % 2 == 1


def assert_equal(found, expected, odd=lambda name: False):
    np.testing.assert_array_equal(found.counts, expected.counts)
    for old, new in ((expected.jets, found.jets), (expected.tracks, found.tracks)):
        assert set(old) == set(new)
        for name, values in old.items():
            if name == "Jet_phi":  # kept beside the inputs
                continue
            sign = -1 if odd(name) else 1
            # Fits of vertices are iterated until positions move by little, which rounding makes another little.
            np.testing.assert_allclose(sign * new[name], values, rtol=1e-3, atol=1e-6, err_msg=name)


@given(SEEDS, st.sampled_from([2 * np.pi, -2 * np.pi, np.pi]) | st.floats(-10, 10))
def test_inputs_do_not_depend_on_where_the_azimuth_begins(seed, angle):
    jets, tracks = events(seed)
    assert_equal(reconstructed(*turned(jets, tracks, angle), EVENTS)[0], reconstructed(jets, tracks, EVENTS)[0])


@given(SEEDS)
def test_inputs_know_no_forward_and_backward(seed):
    jets, tracks = events(seed)
    assert_equal(reconstructed(*mirrored(jets, tracks), EVENTS)[0], reconstructed(jets, tracks, EVENTS)[0], is_odd)


def quantities(x):
    """The five of each track, `(jets, 5, tracks)`: signed and plain d0, z0, pT, ΔR."""
    return np.asarray(TrackQuantities.from_schema(JET_FLAVOR)(x)).reshape(len(x), 5, 6)


def columns(name):
    return [JET_FLAVOR.index(f"track_{slot}_{name}") for slot in range(6)]


def flipped(x, *names):
    """The jets with some parameters of all tracks of the other sign; absent tracks stay."""
    x = x.copy()
    present = x[:, columns("D0D0")] != JET_FLAVOR.defaults[columns("D0D0")]
    for name in names:
        x[:, columns(name)] *= np.where(present, -1, 1).astype(np.float32)
    return x


@st.composite
def helices(draw):
    """Random jets `(20, 184)` whose tracks look like tracks; some are absent."""
    generator = np.random.default_rng(draw(SEEDS))
    x = np.tile(JET_FLAVOR.defaults, (20, 1))
    x[:, JET_FLAVOR.index("jet_eta")] = generator.uniform(-2, 2, 20)
    present = generator.random((20, 6)) < 0.7
    for name, scale in {"D0": 0.1, "Z0": 0.5, "PHI": 0.2, "THETA": 0.2, "QOVERP": 0.3}.items():
        x[:, columns(name)] = np.where(present, generator.normal(0, scale, present.shape), x[:, columns(name)])
    for name, scale in {"D0D0": 1e-3, "Z0Z0": 1e-2}.items():
        x[:, columns(name)] = np.where(present, generator.uniform(scale, 3 * scale, present.shape), x[:, columns(name)])
    return x


@given(helices())
def test_a_negative_tag_flips_signed_impact_parameters_and_nothing_else(x):
    plain, negative = quantities(x), quantities(flipped(x, "D0"))
    np.testing.assert_array_equal(negative[:, 0], -plain[:, 0])
    np.testing.assert_array_equal(negative[:, 1:], plain[:, 1:])
    assert (abs(plain[:, 0]) > 0).any()
    assert flipped(flipped(x, "D0"), "D0").tobytes() == x.tobytes()


def test_negative_tags_are_as_frequent_as_positive_ones_where_nothing_lives():
    """The second largest signed significance of simulated jets: light jets of prompt tracks against all b jets."""
    jets = next(reading.read([reading.RootFile.of(SAMPLE_FILE)], JET_FLAVOR, "", reading.Cleaning.none(JET_FLAVOR)))
    with uproot.open(SAMPLE_FILE) as file:
        prompt = ak.to_numpy(ak.all(file["jets/track_origin"].array() == 0, axis=1))[jets.spectators["entry"]]
    signed = quantities(jets.features)[:, 0]

    def tagged(rows, sign, cut):
        values = np.where(signed[rows] == 0, -np.inf, sign * signed[rows])
        return np.count_nonzero(np.sort(values, axis=1)[:, -2] > cut)

    for cut in (0.0, 0.7, 1.0):  # of log(1 + |d0|/σ)
        light, b = ((tagged(rows, 1, cut), tagged(rows, -1, cut)) for rows in ((jets.label == 2) & prompt, jets.label == 0))
        assert sum(light) > 500 and abs(light[0] - light[1]) < 4 * np.sqrt(sum(light))
        assert b[0] - b[1] > 50 * np.sqrt(sum(b))


@given(helices())
def test_quantities_of_tracks_survive_both_mirrors(x):
    np.testing.assert_array_equal(quantities(flipped(x, "D0", "PHI", "QOVERP")), quantities(x))
    behind = flipped(x, "Z0", "THETA")
    behind[:, JET_FLAVOR.index("jet_eta")] *= -1
    np.testing.assert_allclose(quantities(behind), quantities(x), rtol=1e-4, atol=1e-4)


def with_slots(slots):
    """A schema of jets with so many slots for tracks."""
    track = tuple(Variable(f"track_{{slot}}_{name}", f"track_{name}", default=-5.0) for name in ("d0", "pt", "phi"))
    jet = Group("jet", (Variable("pt", "pt"), Variable("eta", "eta")), optional=False)
    groups = (jet, Group("track", track, slots=slots))
    return Schema("slots", groups, JET_FLAVOR.classes, pt="pt", eta="eta")


def deep_sets(slots):
    width = len(with_slots(slots).features)
    same = Statistics(*(np.full(width, value) for value in (0.0, 1.0, 0.0, 1.0, 0.0)))
    return models.deep_sets(with_slots(slots), same, encoder=(8, 8), hidden=(8,))


@pytest.fixture(scope="module")
def sets():
    """The same network for four and for seven slots; the flags of the last three have weights of their own."""
    short, long, generator = deep_sets(4), deep_sets(7), np.random.default_rng(3)
    # New networks have biases of 0, with which an absent track would say nothing in any case.
    weights = [0.3 * generator.normal(size=values.shape) for values in short.get_weights()]
    (first,) = [n for n, (a, b) in enumerate(zip(weights, long.get_weights(), strict=True)) if a.shape != b.shape]
    short.set_weights(weights)
    long.set_weights(
        [np.insert(w, 4, generator.normal(size=(3, 8)), axis=0) if n == first else w for n, w in enumerate(weights)]
    )
    return short, long


def slots_of(jet, tracks, slots):
    """Features of jets `(jets, 2)` and tracks `(jets, tracks, 3)` in the order of the schema, absent slots last."""
    padded = np.full((len(jet), slots, 3), -5.0, np.float32)
    padded[:, : tracks.shape[1]] = tracks
    return np.concatenate([jet, np.swapaxes(padded, 1, 2).reshape(len(jet), -1)], axis=1)


@given(SEEDS, st.integers(0, 4), st.randoms(use_true_random=False))
def test_neither_order_nor_empty_slots_change_logits(sets, seed, present, random):
    short, long = sets
    generator = np.random.default_rng(seed)
    jet, tracks = (generator.normal(size=shape).astype(np.float32) for shape in ((5, 2), (5, present, 3)))
    expected = short(slots_of(jet, tracks, 4))
    order = random.sample(range(present), present)
    np.testing.assert_allclose(short(slots_of(jet, tracks[:, order], 4)), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(long(slots_of(jet, tracks, 7)), expected, rtol=1e-6, atol=1e-6)
