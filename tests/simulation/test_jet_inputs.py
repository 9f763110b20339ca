"""Inputs of Jet Flavor 2016 against plain loops over the jets and against closed forms."""

import math

import numpy as np
import pytest
from scipy import integrate

from kerastag.simulation import association, jet_inputs, tracking
from kerastag.simulation.groups import all_pairs


def test_a_central_track_has_three_eighths_of_a_probability():
    assert jet_inputs.jet_probability(np.zeros(1))[0] == pytest.approx(0.3749, abs=1e-4)


def test_probability_is_an_integral_up_to_the_missing_factor():
    """Two Gaussian cores, of which the integral lacks √2, and two exponential tails."""
    s = 1.3
    cores = sum(
        a * integrate.quad(lambda x, w=w: math.exp(-(x**2) / (2 * w**2)), s, np.inf)[0] for a, w in ((0.32, 0.56), (0.19, 0.89))
    )
    tails = sum(integrate.quad(lambda x, a=a, b=b: math.exp(-a - b * x), s, np.inf)[0] for a, b in ((3.09, 0.81), (6.07, 0.23)))
    assert jet_inputs.jet_probability(np.array([s]))[0] == pytest.approx(cores / math.sqrt(2) + tails, rel=1e-9)


def in_loops(batch, number: int) -> dict[str, float]:
    """The inputs of one jet that are made of tracks, calculated track by track."""
    jets, tracks = batch.jets, batch.tracks
    selected = []
    for track in np.flatnonzero(tracks.event == jets.event[number]):
        delta_eta = tracks.eta[track] - jets.eta[number]
        delta_phi = math.remainder(tracks.phi[track] - jets.phi[number], 2 * math.pi)
        if tracks.pt[track] >= 0.5 and math.hypot(delta_eta, delta_phi) <= 0.4 and abs(tracks.d0[track]) <= 2:
            selected.append((abs(tracks.d0[track]), track, delta_eta, delta_phi))
    selected.sort(reverse=True)
    s_d0 = [d0 / math.sqrt(tracks.covariance[track, 0, 0]) for d0, track, *_ in selected]
    s_z0 = [abs(tracks.z0[track]) / math.sqrt(tracks.covariance[track, 1, 1]) for _, track, *_ in selected]
    missing = -math.inf
    product = math.prod(float(jet_inputs.jet_probability(np.array([s]))[0]) for s in s_d0)
    series = sum((-math.log(product)) ** k / math.factorial(k) for k in range(len(selected))) if selected else 0
    pt = sum(tracks.pt[track] for _, track, *_ in selected)
    return {
        "track_2_d0_significance": s_d0[1] if len(selected) > 1 else missing,
        "track_3_d0_significance": s_d0[2] if len(selected) > 2 else missing,
        "track_2_z0_significance": s_z0[1] if len(selected) > 1 else missing,
        "track_3_z0_significance": s_z0[2] if len(selected) > 2 else missing,
        "n_tracks_over_d0_threshold": sum(s > 1.8 for s in s_d0) if len(selected) > 1 else 0,
        "jet_prob": product * series if selected else -1,
        "jet_width_eta": math.sqrt(sum(tracks.pt[t] * e**2 for _, t, e, _ in selected) / pt) if selected else missing,
        "jet_width_phi": math.sqrt(sum(tracks.pt[t] * p**2 for _, t, _, p in selected) / pt) if selected else missing,
    }


def test_track_based_inputs_agree_with_loops(batches):
    batch = batches["bottom"]
    for number in range(0, len(batch.jets), 7):
        for name, value in in_loops(batch, number).items():
            assert batch.jet[name][number] == pytest.approx(value, rel=1e-6, abs=1e-300), (number, name)


@pytest.mark.parametrize(("count", "expected"), [(1, 0.375), (2, 0.416), (3, 0.436), (4, 0.448), (5, 0.457), (6, 0.464)])
def test_jet_probability_of_prompt_tracks_at_zero(count, expected):
    """The largest possible values for one to six tracks, as the published data set has them."""
    ones = np.ones(count)
    parameters = np.tile([0.0, 0.0, 0.1, 1.5, 0.5], (count, 1))
    tracks = tracking.Tracks(np.zeros(count, int), parameters, np.tile(np.eye(5), (count, 1, 1)), 2 * ones, 0 * ones)
    near = association.Cones(1, np.zeros(count, int), np.arange(count), 0.1 * ones, 0.1 * ones)
    columns = jet_inputs._impact_parameters(tracks, near)
    assert columns["jet_prob"][0] == pytest.approx(expected, abs=1e-3)
    assert columns["jet_width_eta"][0] == pytest.approx(0.1)


def test_vertex_inputs_agree_with_the_vertices_of_the_listed_tracks(sample):
    """In jets with a single vertex, the jet's inputs are those of its listed tracks."""
    jets, tracks = sample
    secondary = tracks["vertex_displacement"] > 0
    single = np.flatnonzero(jets["n_secondary_vertices"] == 1)
    first = {jet: row for row, jet in zip(np.flatnonzero(secondary)[::-1], tracks["jet"][secondary][::-1], strict=True)}
    rows = np.array([first[jet] for jet in single])
    listed = {name: values[rows] for name, values in tracks.items()}
    np.testing.assert_allclose(jets["vertex_mass"][single], listed["vertex_mass"])
    np.testing.assert_allclose(jets["vertex_energy_fraction"][single], listed["vertex_energy_fraction"])
    np.testing.assert_allclose(jets["n_secondary_vertex_tracks"][single], listed["vertex_n_tracks"])
    np.testing.assert_allclose(jets["vertex_significance"][single], 10 * listed["vertex_displacement_significance"])
    delta_r = np.hypot(listed["vertex_delta_eta_jet"], listed["vertex_delta_phi_jet"])
    np.testing.assert_allclose(jets["delta_r_vertex"][single], delta_r)


def test_jets_without_vertices_have_the_published_sentinels(sample):
    jets, _ = sample
    without = jets["n_secondary_vertices"] == -1
    assert 0.4 < without.mean() < 0.9
    for name, sentinel in (
        ("vertex_significance", -1),
        ("n_secondary_vertex_tracks", -1),
        ("vertex_mass", -1),
        ("delta_r_vertex", np.inf),
        ("vertex_energy_fraction", -np.inf),
    ):
        assert (jets[name][without] == sentinel).all()
        assert np.isfinite(jets[name][~without]).all()


def test_primary_tracks_come_first_each_by_ascending_d0(sample):
    _, tracks = sample
    secondary = tracks["vertex_displacement"] > 0
    same_jet = np.diff(tracks["jet"]) == 0
    assert not (secondary[:-1] & ~secondary[1:])[same_jet].any()
    same = same_jet & (secondary[:-1] == secondary[1:])
    assert (np.diff(tracks["D0"])[same] >= 0).all()
    assert np.isnan(tracks["vertex_delta_eta_jet"][~secondary]).all()
    assert np.isfinite(tracks["vertex_delta_eta_jet"][secondary]).all()


def test_pairs_of_two_collections():
    left, right = all_pairs(np.array([2, 0, 1]), np.array([0, 0, 2]), 3)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 2), (1, 0), (1, 1)]
